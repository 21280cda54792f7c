"""URIs of views are read strictly: whatever is not plainly a file or an object is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.uris import FilePlace, ObjectPlace, locate
from schemas.faults import Poison, Reason

REFUSED = [
    "",
    "/etc/passwd",
    "picture.jpg",
    "file:",
    "file:/etc/passwd",
    "file://",
    "file:///",
    "file:////etc/passwd",
    "file:///images//a.jpg",
    "file:///images/./a.jpg",
    "file:///images/../etc/passwd",
    "file:///images/..",
    "file:///images/%2e%2e/etc/passwd",
    "file:///images/%2E%2E%2Fetc%2Fpasswd",
    "file:///images/.%2e/a.jpg",
    "file:///images/a%2fb.jpg",
    "file:///images/..\\a.jpg",
    "file:///images/%5c..%5ca.jpg",
    "file:///images\\a.jpg",
    "file:///images/a.jpg%00.png",
    "file:///images/a%0a.jpg",
    "file:///images/a.jpg?x=1",
    "file:///images/a.jpg#x",
    "file:///images/a%zz.jpg",
    "file:///images/a%2.jpg",
    "file:///images/a b.jpg",
    "file:///images/a.jpg ",
    " file:///images/a.jpg",
    "file:///images/a.jpg\n",
    "fi\nle:///images/a.jpg",
    "file:///images/\u002e\u2024/a.jpg",
    "file:///images/\uff0e\uff0e/a.jpg",
    "file:///images\uff0fa.jpg",
    "file:///images/%ff%fe.jpg",
    "file:///images/%c0%ae%c0%ae/a.jpg",
    "file:///images/%e2%80%ae.jpg",
    "file://evil/images/a.jpg",
    "file://evil/../images/a.jpg",
    "file://user@localhost/images/a.jpg",
    "file://localhost:80/images/a.jpg",
    "file://127.0.0.1/images/a.jpg",
    "file://..//images/a.jpg",
    "http://127.0.0.1/a.jpg",
    "https://example.com/a.jpg",
    "ftp://example.com/a.jpg",
    "gopher://example.com/a.jpg",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "s3:bucket/key",
    "s3://",
    "s3://bucket",
    "s3://bucket/",
    "s3:///key",
    "s3://Bucket/key",
    "s3://bu_cket/key",
    "s3://b/key",
    "s3://bucket.-/key",
    "s3://user:secret@bucket/key",
    "s3://bucket:80/key",
    "s3://bucket/a/../b",
    "s3://bucket/%2e%2e/b",
    "s3://bucket//b",
    "s3://bucket/a?versionId=1",
    "S3://bucket/key",
    "gs://bucket/key",
]


class TestLocate:
    """`locate`."""

    @pytest.mark.parametrize("uri", REFUSED)
    def test_refuses_what_is_not_plain(self, uri: str) -> None:
        """Other schemes, hosts, traversal, strange characters and encodings are all refused."""
        with pytest.raises(Poison) as caught:
            locate(uri)
        assert Reason.URI_REFUSED is caught.value.reason

    @pytest.mark.parametrize(
        ("uri", "path"),
        [
            ("file:///images/a.jpg", "/images/a.jpg"),
            ("file://localhost/images/a.jpg", "/images/a.jpg"),
            ("FILE:///images/a.jpg", "/images/a.jpg"),
            ("file:///images/line%201/a.jpg", "/images/line 1/a.jpg"),
            ("file:///images/caf%C3%A9.jpg", "/images/café.jpg"),
            ("file:///images/100%25.jpg", "/images/100%.jpg"),
            ("file:///images/...jpg", "/images/...jpg"),
        ],
    )
    def test_reads_a_path_and_decodes_it_once(self, uri: str, path: str) -> None:
        """Percent signs are decoded, whatever they hide is a name."""
        assert FilePlace(PurePosixPath(path)) == locate(uri)

    def test_does_not_decode_twice(self) -> None:
        """A doubly encoded traversal is an odd but harmless file name."""
        assert FilePlace(PurePosixPath("/images/%2e%2e/a.jpg")) == locate("file:///images/%252e%252e/a.jpg")

    @pytest.mark.parametrize(
        ("uri", "bucket", "key"),
        [
            ("s3://bucket/a.jpg", "bucket", "a.jpg"),
            ("s3://my.bucket-1/2026/01/a%20b.jpg", "my.bucket-1", "2026/01/a b.jpg"),
        ],
    )
    def test_reads_an_object(self, uri: str, bucket: str, key: str) -> None:
        """Bucket and key come apart at the first slash."""
        assert ObjectPlace(bucket, key) == locate(uri)

    @given(st.text(max_size=60).map(lambda tail: "file:///images/" + tail) | st.text(max_size=60))
    def test_never_lets_a_path_climb(self, uri: str) -> None:
        """Whatever is accepted has no segment that climbs, and nothing but Poison is raised."""
        with suppress(Poison):
            place = locate(uri)
            assert isinstance(place, FilePlace)
            assert not {"..", ".", ""} & set(place.path.parts)
