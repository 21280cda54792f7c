"""Views on disk are read only below their roots, only when regular, and only as announced."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from evidence.views import ViewFetcher
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import View
from schemas.words import MAX_VIEW_BYTES

RAW = b"the bytes of a picture"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image root with a neighbour that no view may reach."""
    root = tmp_path / "images"
    root.mkdir()
    (tmp_path / "images-secret").mkdir()
    (tmp_path / "images-secret" / "a.jpg").write_bytes(RAW)
    (tmp_path / "secret.jpg").write_bytes(RAW)
    return root


@pytest.fixture
async def fetcher(root: Path) -> AsyncIterator[ViewFetcher]:
    """A fetcher of that root."""
    fetcher = ViewFetcher(roots=[root], timeout_s=5.0)
    yield fetcher
    await fetcher.close()


def view(path: Path | str, raw: bytes = RAW, *, size: int | None = None, sha256: str | None = None) -> View:
    """Announce bytes at a path, or at a URI."""
    return View(
        uri=path if isinstance(path, str) else f"file://{quote(str(path))}",
        sha256=sha256 or hashlib.sha256(raw).hexdigest(),
        size=len(raw) if size is None else size,
    )


async def refusal(fetcher: ViewFetcher, announced: View) -> Reason:
    """Fetch and return why not."""
    with pytest.raises(Poison) as caught:
        await fetcher.fetch(announced)
    return caught.value.reason


class TestFetchingFiles:
    """`ViewFetcher.fetch` of file URIs."""

    async def test_returns_the_bytes(self, fetcher: ViewFetcher, root: Path) -> None:
        """A file below the root, announced truly, is returned whole."""
        path = root / "line 1" / "a.jpg"
        path.parent.mkdir()
        path.write_bytes(RAW)
        assert RAW == await fetcher.fetch(view(path))

    async def test_accepts_a_root_given_through_a_link(self, root: Path, tmp_path: Path) -> None:
        """Roots may be links themselves; views may name either form."""
        (root / "a.jpg").write_bytes(RAW)
        alias = tmp_path / "alias"
        alias.symlink_to(root)
        fetcher = ViewFetcher(roots=[alias])
        assert RAW == await fetcher.fetch(view(alias / "a.jpg"))
        assert RAW == await fetcher.fetch(view(root / "a.jpg"))
        await fetcher.close()

    async def test_accepts_a_relative_root(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A root may be given relative to where the worker runs."""
        (root / "a.jpg").write_bytes(RAW)
        monkeypatch.chdir(root.parent)
        fetcher = ViewFetcher(roots=[Path("images")])
        assert RAW == await fetcher.fetch(view(root / "a.jpg"))
        await fetcher.close()

    async def test_follows_links_that_stay_inside(self, fetcher: ViewFetcher, root: Path) -> None:
        """A link within the root is as good as its target."""
        (root / "a.jpg").write_bytes(RAW)
        (root / "b.jpg").symlink_to(root / "a.jpg")
        assert RAW == await fetcher.fetch(view(root / "b.jpg"))

    @pytest.mark.parametrize("outside", ["secret.jpg", "images-secret/a.jpg"])
    async def test_refuses_paths_outside(self, fetcher: ViewFetcher, root: Path, outside: str) -> None:
        """A neighbour is refused, also one whose name begins as the root's."""
        assert Reason.URI_REFUSED is await refusal(fetcher, view(root.parent / outside))

    async def test_refuses_links_that_lead_out(self, fetcher: ViewFetcher, root: Path) -> None:
        """Neither a linked file nor a file below a linked folder is read."""
        (root / "a.jpg").symlink_to(root.parent / "secret.jpg")
        (root / "more").symlink_to(root.parent / "images-secret")
        assert Reason.URI_REFUSED is await refusal(fetcher, view(root / "a.jpg"))
        assert Reason.URI_REFUSED is await refusal(fetcher, view(root / "more" / "a.jpg"))

    async def test_refuses_links_that_go_round(self, fetcher: ViewFetcher, root: Path) -> None:
        """A loop of links ends."""
        (root / "a").symlink_to(root / "b")
        (root / "b").symlink_to(root / "a")
        assert await refusal(fetcher, view(root / "a")) in {Reason.URI_REFUSED, Reason.VIEW_MISSING}

    async def test_refuses_what_is_no_regular_file(
        self, fetcher: ViewFetcher, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A FIFO nobody writes to, a folder, a socket: refused at once, not waited for."""
        os.mkfifo(root / "fifo")
        (root / "folder").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            monkeypatch.chdir(root)  # paths of sockets must be short
            listener.bind("socket")
            for name in ("fifo", "folder", "socket"):
                assert Reason.URI_REFUSED is await refusal(fetcher, view(root / name))

    async def test_refuses_devices(self) -> None:
        """A device below a root is not read."""
        fetcher = ViewFetcher(roots=[Path("/dev")])
        assert Reason.URI_REFUSED is await refusal(fetcher, view("file:///dev/zero"))
        await fetcher.close()

    async def test_names_a_missing_file(self, fetcher: ViewFetcher, root: Path) -> None:
        """No file, a file taken for a folder, a name too long: the view is missing."""
        (root / "a.jpg").write_bytes(RAW)
        for path in (root / "none.jpg", root / "none" / "a.jpg", root / "a.jpg" / "b.jpg", root / ("x" * 300)):
            assert Reason.VIEW_MISSING is await refusal(fetcher, view(path))

    async def test_a_missing_root_is_not_the_views_fault(self, tmp_path: Path) -> None:
        """A root that is not there, an unmounted volume say, is waited for."""
        fetcher = ViewFetcher(roots=[tmp_path / "gone"])
        with pytest.raises(Retryable) as caught:
            await fetcher.fetch(view(tmp_path / "gone" / "a.jpg"))
        assert "images" == caught.value.dependency
        await fetcher.close()

    @pytest.mark.parametrize("size", [len(RAW) - 1, len(RAW) + 1, 1])
    async def test_compares_the_size(self, fetcher: ViewFetcher, root: Path, size: int) -> None:
        """A size other than announced is refused, larger or smaller."""
        (root / "a.jpg").write_bytes(RAW)
        assert Reason.VIEW_SIZE is await refusal(fetcher, view(root / "a.jpg", size=size))

    async def test_compares_the_hash(self, fetcher: ViewFetcher, root: Path) -> None:
        """Other bytes of the same length are refused."""
        (root / "a.jpg").write_bytes(RAW)
        assert Reason.VIEW_SHA256 is await refusal(fetcher, view(root / "a.jpg", sha256="0" * 64))

    async def test_refuses_to_read_too_much(self, fetcher: ViewFetcher, root: Path) -> None:
        """A view announced beyond the limit is refused before anything is opened."""
        announced = view(root / "none.jpg", size=MAX_VIEW_BYTES + 1)
        assert Reason.TOO_LARGE is await refusal(fetcher, announced)

    async def test_refuses_unlisted_buckets(self, fetcher: ViewFetcher) -> None:
        """Without configured buckets nothing is fetched from any."""
        assert Reason.URI_REFUSED is await refusal(fetcher, view("s3://bucket/a.jpg"))

    async def test_without_roots_nothing_is_read(self, root: Path) -> None:
        """No configured root means no file."""
        (root / "a.jpg").write_bytes(RAW)
        fetcher = ViewFetcher(roots=[])
        assert Reason.URI_REFUSED is await refusal(fetcher, view(root / "a.jpg"))
        await fetcher.close()
