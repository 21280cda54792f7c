"""Which pictures may be deleted: the files are listed first, then every record that names one speaks for or against it.

Old files only are remembered, so memory does not grow with the records. A file goes when a record says that its time is
over and none says that it is still needed; what no record names is a stray, and another matter.
"""

from __future__ import annotations

import enum
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evidence.uris import ObjectPlace, locate
from schemas.faults import Poison

STRAY_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".part"})  # a root may hold what is not ours
_ODD: Final = re.compile(r"/[./]|[^A-Za-z0-9._/-]")  # in a plain URI behind its root


class Need(enum.StrEnum):
    """Why a picture is kept."""

    RECENT = "recent"  # a capture that is younger than its time, or not decided yet
    LABELLED = "labelled"
    OPEN = "open stop"
    UNSETTLED = "unsettled verdict"
    REFERENCE = "reference"  # or a candidate for one
    OTHER_SITE = "other site"


@dataclass(slots=True)
class OldFile:
    """A regular file below a root, last written before the limit. `root` is a real path, `parts` lead from it."""

    root: str
    parts: tuple[str, ...]
    size: int
    mtime: float
    need: Need | None = None
    due: bool = False  # a record says that its time is over

    @property
    def path(self) -> str:
        """The file's real path."""
        return "/".join((self.root.rstrip("/"), *self.parts))


@dataclass(slots=True)
class Hearing:
    """Old files and what records say of them."""

    roots: Sequence[Path]
    files: dict[str, OldFile]
    links: bool  # there are symbolic links below the roots, so a record may mean a file under another name
    refused: set[str] = field(default_factory=set)  # due by a name outside the roots, or through a link
    in_buckets: int = 0  # due, and an object of a bucket: lifecycle rules delete those
    _roots: tuple[tuple[str, str], ...] = ()  # as stated, and real; both end in a slash
    _plain: tuple[tuple[str, str], ...] = ()  # the same, the first as the beginning of a URI

    def __post_init__(self) -> None:
        forms: dict[str, str] = {}
        for root in self.roots:
            real = os.path.realpath(root).rstrip("/") + "/"
            forms |= {os.path.abspath(root).rstrip("/") + "/": real, real: real}  # noqa: PTH100 - lexical
        self._roots = tuple(forms.items())
        self._plain = tuple((f"file://{form}", real) for form, real in self._roots)

    def keep(self, uri: str, need: Need) -> None:
        """Hear that a picture is needed. A link protects what it leads to, beside itself."""
        path = self._lexical(uri)
        if path is None:
            return
        for name in (path, os.path.realpath(path)) if self.links else (path,):
            if (found := self.files.get(name)) is not None:
                found.need = found.need or need

    def due(self, uri: str) -> None:
        """Hear that a picture's time is over. Links are not followed: a name that leads through one is refused."""
        if uri.startswith("s3://"):
            self.in_buckets += 1
            return
        path = self._lexical(uri)
        if path is None or (self.links and os.path.realpath(path) != path and os.path.lexists(path)):
            self.refused.add(uri)
        elif (found := self.files.get(path)) is not None:
            found.due = True

    def condemned(self) -> list[OldFile]:
        """Return the files that go."""
        return [file for file in self.files.values() if file.due and file.need is None]

    def strays(self, before: float) -> list[OldFile]:
        """Return pictures that no record has named, last written before a time (seconds since the epoch)."""
        return [
            file
            for file in self.files.values()
            if not file.due and file.need is None and file.mtime < before and _is_picture(file.parts[-1])
        ]

    def _lexical(self, uri: str) -> str | None:
        """Return the path a URI states, with its root's real path for the root; None where it is below no root."""
        for beginning, real in self._plain:  # nearly all of millions: nothing in them needs decoding or can climb
            if uri.startswith(beginning) and not _ODD.search(uri, len(beginning) - 1):
                return real + uri[len(beginning) :]
        try:
            place = locate(uri)
        except Poison:
            return None
        if isinstance(place, ObjectPlace):
            return None
        path = str(place.path)
        return next((real + path[len(form) :] for form, real in self._roots if path.startswith(form)), None)


def old_files(roots: Sequence[Path], before: float) -> Hearing:
    """List the regular files below the roots that were last written before a time, following no links.

    Raises:
        OSError: a root cannot be read. Folders that vanish meanwhile do not matter.
    """
    files: dict[str, OldFile] = {}
    links = False
    for root in dict.fromkeys(os.path.realpath(root) for root in roots):
        for entry, parts in _walk(root, ()):
            if entry.is_symlink():
                links = True
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_mtime < before:
                file = OldFile(root, parts, status.st_size, status.st_mtime)
                files.setdefault(file.path, file)
    return Hearing(roots, files, links)


def remove(file: OldFile) -> bool:
    """Delete a file; False if it is not the one that was listed: gone, written again, or behind a link by now.

    It is reached folder by folder from its root without following links, so that none that is put there meanwhile leads
    elsewhere. Folders stay, even empty ones: a station may be about to write into one.

    Raises:
        OSError: it may not be deleted.
    """
    folder = os.open(file.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *folders, name = file.parts
        for part in folders:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime) != (file.size, file.mtime):
            return False
        os.unlink(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    finally:
        os.close(folder)
    return True


def bytes_of(files: Iterable[OldFile]) -> int:
    """Return how much disk files take."""
    return sum(file.size for file in files)


def _walk(folder: str, parts: tuple[str, ...]) -> Iterator[tuple[os.DirEntry[str], tuple[str, ...]]]:
    """Yield everything below a folder but folders themselves, with its path from the root."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except FileNotFoundError:
        if not parts:
            raise
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, (*parts, entry.name))
        else:
            yield entry, (*parts, entry.name)


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in STRAY_SUFFIXES
