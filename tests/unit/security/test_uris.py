"""A file system that changes under the reader's hands, and URIs that name machines."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evidence import views
from evidence.views import ViewFetcher
from schemas.faults import Poison, Reason
from schemas.messages import View

RAW = b"the bytes of a picture"
SECRET = b"the bytes of a secret!"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image root beside a secret of the same size as its picture, whose hash the attacker knows."""
    root = tmp_path / "images"
    (root / "line").mkdir(parents=True)
    (root / "line" / "a.jpg").write_bytes(RAW)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.jpg").write_bytes(SECRET)
    return root


def announced(path: Path, raw: bytes = SECRET) -> View:
    """Announce bytes at a path."""
    return View(uri=path.as_uri(), sha256=hashlib.sha256(raw).hexdigest(), size=len(raw))


@pytest.fixture
def between_check_and_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Return how to have something done at the worst moment: after a path was resolved, before it is opened."""
    resolve = os.path.realpath

    def at(then: Callable[[], None]) -> None:
        def resolved(path: os.PathLike[str] | str) -> str:
            real = resolve(path)
            if str(path).endswith("a.jpg"):
                then()
            return real

        monkeypatch.setattr(os.path, "realpath", resolved)

    yield at
    monkeypatch.undo()


class TestSwappedLinks:
    """Links that lead out, put there when the check is over."""

    async def test_a_file_becomes_a_link(
        self, root: Path, between_check_and_open: Callable[[Callable[[], None]], None]
    ) -> None:
        """The last name is opened without following."""

        def swap() -> None:
            (root / "line" / "a.jpg").unlink()
            (root / "line" / "a.jpg").symlink_to(root.parent / "outside" / "a.jpg")

        between_check_and_open(swap)
        with pytest.raises(Poison) as caught:
            await ViewFetcher(roots=[root]).fetch(announced(root / "line" / "a.jpg"))
        assert Reason.URI_REFUSED is caught.value.reason

    async def test_a_folder_becomes_a_link(
        self, root: Path, between_check_and_open: Callable[[Callable[[], None]], None]
    ) -> None:
        """Nor is any folder on the way."""

        def swap() -> None:
            (root / "line").rename(root / "moved")
            (root / "line").symlink_to(root.parent / "outside")

        between_check_and_open(swap)
        with pytest.raises(Poison) as caught:
            await ViewFetcher(roots=[root]).fetch(announced(root / "line" / "a.jpg"))
        assert caught.value.reason in {Reason.URI_REFUSED, Reason.VIEW_MISSING}

    async def test_again_and_again(self, root: Path) -> None:
        """A link that flickers while two hundred views are fetched never shows the secret."""
        name, stop = root / "line" / "b.jpg", threading.Event()

        def flicker() -> None:
            spare = root / "line" / "spare"
            while not stop.is_set():
                for target in (root / "line" / "a.jpg", root.parent / "outside" / "a.jpg"):
                    spare.symlink_to(target)
                    spare.replace(name)

        attacker = threading.Thread(target=flicker)
        attacker.start()
        fetcher = ViewFetcher(roots=[root])
        outcomes: set[bytes | Reason] = set()
        try:
            for _ in range(200):
                try:
                    outcomes.add(await fetcher.fetch(announced(name)))
                except Poison as poison:
                    outcomes.add(poison.reason)
        finally:
            stop.set()
            attacker.join()
            await fetcher.close()
        assert SECRET not in outcomes
        assert outcomes <= {Reason.URI_REFUSED, Reason.VIEW_MISSING, Reason.VIEW_SHA256}


class TestFilesThatChange:
    """Files that are written to while they are read."""

    @pytest.mark.parametrize(
        ("change", "reason"), [(b"x" * 1_000_000, Reason.VIEW_SIZE), (None, Reason.VIEW_SIZE)], ids=["grows", "shrinks"]
    )
    async def test_are_not_what_was_announced(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, change: bytes | None, reason: Reason
    ) -> None:
        """At most one byte more than announced is ever read, and too few are too few."""
        path, stat = root / "line" / "a.jpg", os.fstat
        read = []

        def looked_at(descriptor: int) -> os.stat_result:
            status = stat(descriptor)
            if change is None:
                os.truncate(path, 3)
            else:
                with path.open("ab") as file:
                    file.write(change)
            return status

        def verified(raw: bytes, view: View) -> bytes:
            read.append(len(raw))
            return check(raw, view)

        check = views._verified
        monkeypatch.setattr(os, "fstat", looked_at)
        monkeypatch.setattr(views, "_verified", verified)
        with pytest.raises(Poison) as caught:
            await ViewFetcher(roots=[root]).fetch(announced(path, RAW))
        monkeypatch.undo()
        assert reason is caught.value.reason
        assert max(read) <= len(RAW) + 1


class TestMachines:
    """URIs that would have the line ask a machine for something."""

    @pytest.mark.parametrize(
        "uri",
        [
            "s3://169.254.169.254/latest/meta-data/iam/security-credentials/role",
            "s3://metadata.google.internal/computeMetadata/v1/token",
            "s3://localhost/key",
            "s3://127.0.0.1/key",
            "s3://0x7f000001/key",
            "s3://2130706433/key",
            "s3://[::1]/key",
            "s3://pictures@169.254.169.254/key",
            "s3://pictures:x@169.254.169.254/key",
            "s3://pictures%2e169.254.169.254/key",
            "s3://pictures.169.254.169.254/key",
            "s3://pictures\\@169.254.169.254/key",
            "s3://pictures#@169.254.169.254/key",
            "s3://p\u0131ctures/key",
            "s3://xn--pctures-q9a/key",
            "http://169.254.169.254/latest/meta-data/",
            "file://169.254.169.254/etc/passwd",
            "file:///proc/self/environ",
            "file:///dev/stdin",
        ],
    )
    async def test_are_refused_without_asking_anyone(
        self, root: Path, uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only buckets of the list are asked, by their exact names, and only files below the roots are opened."""
        fetcher = ViewFetcher(roots=[root], buckets=["pictures"])
        monkeypatch.setattr(views, "get_async", None)  # asking would raise something else
        with pytest.raises(Poison) as caught:
            await fetcher.fetch(View(uri=uri, sha256="0" * 64, size=10))
        assert Reason.URI_REFUSED is caught.value.reason
        await fetcher.close()
