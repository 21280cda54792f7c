"""Pictures are deleted when a record says so and none says otherwise, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from feedback.expiry import Hearing, Need, OldFile, bytes_of, old_files, remove

NOW = 2_000_000_000.0
OLD = NOW - 100_000
LIMIT = NOW - 50_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image root, with a neighbour that is none of ours."""
    root = tmp_path / "images"
    (root / "day").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    put(tmp_path / "private" / "diary.jpg")
    return root


def put(path: Path, data: bytes = b"a picture", *, at: float = OLD) -> Path:
    """Write a file that was last written at a time."""
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


def hear(root: Path) -> Hearing:
    """List what is old."""
    return old_files([root], LIMIT)


def gone(hearing: Hearing) -> set[str]:
    """Return the names of what would be deleted."""
    return {Path(file.path).name for file in hearing.condemned()}


class TestRecords:
    """What records say."""

    def test_due_and_not_needed_goes(self, root: Path) -> None:
        """One record is enough."""
        picture = put(root / "day" / "a.jpg")
        hearing = hear(root)
        hearing.due(picture.as_uri())
        assert {"a.jpg"} == gone(hearing)
        assert 9 == bytes_of(hearing.condemned())

    @pytest.mark.parametrize("need_first", [True, False])
    def test_one_need_outweighs_any_due(self, root: Path, need_first: bool) -> None:
        """In whatever order they are heard; names may be those of content that comes again."""
        picture = put(root / "day" / "a.jpg")
        hearing = hear(root)
        for keep in (need_first, not need_first):
            hearing.keep(picture.as_uri(), Need.RECENT) if keep else hearing.due(picture.as_uri())
        assert set() == gone(hearing)

    def test_what_nobody_names_stays(self, root: Path) -> None:
        """It is a stray if it is a picture, and older than asked."""
        put(root / "day" / "old.jpg")
        put(root / "day" / "notes.txt")
        put(root / "day" / "newer.jpg", at=OLD + 10)
        hearing = hear(root)
        assert set() == gone(hearing)
        assert ["old.jpg"] == [file.parts[-1] for file in hearing.strays(OLD + 5)]

    def test_a_file_that_was_written_lately_stays(self, root: Path) -> None:
        """Whatever an old record says: it is another picture by now."""
        picture = put(root / "day" / "a.jpg", at=NOW)
        hearing = hear(root)
        hearing.due(picture.as_uri())
        assert set() == gone(hearing)

    @pytest.mark.parametrize("name", ["a b.jpg", "größe.jpg", ".hidden.jpg", "a%41.jpg", "plain-1_2.jpg"])
    def test_names_are_read_like_the_line_reads_them(self, root: Path, name: str) -> None:
        """Percent signs are decoded once, whatever is encoded without need."""
        put(root / "day" / name)
        encoded = "".join(f"%{byte:02x}" for byte in name.encode())
        for uri in ((root / "day" / name).as_uri(), f"{root.as_uri()}/day/{encoded}"):
            hearing = hear(root)
            hearing.due(uri)
            assert {name} == gone(hearing)
            hearing.keep(uri, Need.RECENT)
            assert set() == gone(hearing)

    def test_buckets_are_counted(self, root: Path) -> None:
        """Lifecycle rules delete there."""
        hearing = hear(root)
        hearing.due("s3://bucket-1/a.jpg")
        hearing.keep("s3://bucket-1/a.jpg", Need.RECENT)
        assert (1, set()) == (hearing.in_buckets, hearing.refused)


class TestHostile:
    """Names that lead elsewhere."""

    def test_outside_the_roots_is_refused(self, root: Path, tmp_path: Path) -> None:
        """By a plain name, by climbing, by a neighbour whose name begins alike."""
        (tmp_path / "images-2").mkdir()
        put(tmp_path / "images-2" / "a.jpg")
        hearing = hear(root)
        names = {
            (tmp_path / "private" / "diary.jpg").as_uri(),
            f"{root.as_uri()}/../private/diary.jpg",
            f"{root.as_uri()}/%2e%2e/private/diary.jpg",
            (tmp_path / "images-2" / "a.jpg").as_uri(),
            "http://example.com/a.jpg",
            "",
        }
        for name in names:
            hearing.due(name)
        assert (names, set()) == (hearing.refused, gone(hearing))

    def test_links_are_refused(self, root: Path, tmp_path: Path) -> None:
        """To files and folders, outside and inside: neither the link nor what it leads to goes."""
        inside = put(root / "day" / "a.jpg")
        (root / "file.jpg").symlink_to(tmp_path / "private" / "diary.jpg")
        (root / "folder").symlink_to(tmp_path / "private")
        (root / "other.jpg").symlink_to(inside)
        hearing = hear(root)
        names = {f"{root.as_uri()}/{name}" for name in ("file.jpg", "folder/diary.jpg", "other.jpg")}
        for name in names:
            hearing.due(name)
        assert (names, set()) == (hearing.refused, gone(hearing))
        assert [str(inside)] == list(hearing.files), "links are not followed while listing either"

    def test_a_link_protects_what_it_leads_to(self, root: Path) -> None:
        """A young record may name a picture through one."""
        inside = put(root / "day" / "a.jpg")
        (root / "today").symlink_to(root / "day")
        hearing = hear(root)
        hearing.due(inside.as_uri())
        hearing.keep(f"{root.as_uri()}/today/a.jpg", Need.RECENT)
        assert set() == gone(hearing)

    def test_a_root_may_be_a_link_itself(self, root: Path, tmp_path: Path) -> None:
        """Records may name either form, and so may needs."""
        picture = put(root / "day" / "a.jpg")
        alias = tmp_path / "alias"
        alias.symlink_to(root)
        hearing = old_files([alias], LIMIT)
        hearing.due(f"{alias.as_uri()}/day/a.jpg")
        assert {"a.jpg"} == gone(hearing)
        hearing.keep(picture.as_uri(), Need.REFERENCE)
        assert set() == gone(hearing)

    def test_pipes_and_folders_are_no_pictures(self, root: Path) -> None:
        """Only regular files are listed."""
        os.mkfifo(root / "pipe.jpg")
        (root / "folder.jpg").mkdir()
        hearing = hear(root)
        hearing.due(f"{root.as_uri()}/pipe.jpg")
        hearing.due(f"{root.as_uri()}/folder.jpg")
        assert {} == hearing.files
        assert set() == gone(hearing)


class TestRemove:
    """Deleting what was listed."""

    @pytest.fixture
    def file(self, root: Path) -> OldFile:
        """A listed file."""
        put(root / "day" / "a.jpg")
        return hear(root).files[str(root / "day" / "a.jpg")]

    def test_removes_the_file_and_nothing_else(self, file: OldFile, root: Path) -> None:
        """Its folder stays, a second name of its content too."""
        os.link(root / "day" / "a.jpg", root / "b.jpg")
        assert remove(file)
        assert [root / "b.jpg", root / "day"] == sorted(root.rglob("*"))

    def test_a_folder_swapped_for_a_link_leads_nowhere(self, file: OldFile, root: Path, tmp_path: Path) -> None:
        """Between listing and deleting somebody moved the folder and put a link in its place."""
        put(tmp_path / "private" / "a.jpg")
        (root / "day").rename(root / "moved")
        (root / "day").symlink_to(tmp_path / "private")
        assert not remove(file)
        assert (tmp_path / "private" / "a.jpg").exists()

    def test_a_file_swapped_for_a_link_stays(self, file: OldFile, root: Path, tmp_path: Path) -> None:
        """Neither link nor target goes."""
        (root / "day" / "a.jpg").unlink()
        (root / "day" / "a.jpg").symlink_to(tmp_path / "private" / "diary.jpg")
        assert not remove(file)
        assert (root / "day" / "a.jpg").is_symlink()
        assert (tmp_path / "private" / "diary.jpg").exists()

    def test_a_file_that_was_written_again_stays(self, file: OldFile, root: Path) -> None:
        """It is another picture."""
        put(root / "day" / "a.jpg", at=NOW)
        assert not remove(file)
        assert (root / "day" / "a.jpg").exists()

    def test_what_is_gone_is_no_error(self, file: OldFile, root: Path) -> None:
        """Somebody else may have deleted it."""
        (root / "day" / "a.jpg").unlink()
        assert not remove(file)


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """An unmounted disk must not look like an empty one."""
    with pytest.raises(FileNotFoundError):
        old_files([tmp_path / "not-mounted"], LIMIT)
