"""Fetch the bytes of a view and prove that they are the ones its event announced."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore import get_async
from obstore.exceptions import BaseError
from obstore.store import S3Store

from evidence.uris import FilePlace, ObjectPlace, locate
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import View
from schemas.words import MAX_VIEW_BYTES

if TYPE_CHECKING:
    from obstore.store import ClientConfig  # exists for type checkers only

# Reads that hang (a network file system that went away) hold a thread each; this many may, before others wait for them.
_READERS: Final = 8
# Any of these says where credentials come from. Without them object_store would ask the cloud's metadata address.
_FETCHED_CREDENTIALS: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", *_FETCHED_CREDENTIALS)
_NO_PROXY_THERE: Final = "http://127.0.0.1:0"  # nothing can listen on port 0


class ViewFetcher:
    """Reads views below configured roots and in listed buckets, and nowhere else.

    Credentials for buckets come from the environment (AWS_*), read when a bucket is first used; without any, requests
    go unsigned and never to a metadata address.
    """

    def __init__(
        self, *, roots: Sequence[Path], buckets: Sequence[str] = (), s3_endpoint: str = "", timeout_s: float = 2.0
    ) -> None:
        self._roots = tuple(roots)
        self._buckets = frozenset(buckets)
        self._s3_endpoint = s3_endpoint
        self._timeout_s = timeout_s
        self._stores: dict[str, S3Store] = {}
        self._readers = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="views")

    async def fetch(self, view: View) -> bytes:
        """Return the view's bytes: as many as announced, with the announced SHA-256.

        Raises:
            Poison: `too_large`, `uri_refused`, `view_missing`, `view_size` or `view_sha256`.
            Retryable: `images`, when the storage is away or slower than the time limit.
        """
        if view.size > MAX_VIEW_BYTES:
            raise Poison(Reason.TOO_LARGE, f"a view of {view.size} bytes, the limit is {MAX_VIEW_BYTES}")
        place = locate(view.uri)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                match place:
                    case FilePlace():
                        return await loop.run_in_executor(self._readers, _read_file, place.path, self._roots, view)
                    case ObjectPlace():
                        raw = await self._read_object(place, view)
                        return await loop.run_in_executor(self._readers, _verified, raw, view)
        except TimeoutError as error:
            raise Retryable("images", f"{view.uri} took longer than {self._timeout_s:g} s") from error

    async def close(self) -> None:
        """Drop the connections and let the reading threads go, without waiting for one that hangs."""
        self._stores.clear()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _read_object(self, place: ObjectPlace, view: View) -> bytes:
        """Get an object, but read its body only when its size is the one announced."""
        if place.bucket not in self._buckets:
            raise Poison(Reason.URI_REFUSED, f"bucket {place.bucket} is not among the configured ones")
        try:
            answer = await get_async(self._store(place.bucket), place.key)
            size = answer.meta["size"]
            if size != view.size:
                raise Poison(Reason.VIEW_SIZE, f"{view.uri} has {size} bytes, its event says {view.size}")
            return bytes(await answer.bytes_async())
        except FileNotFoundError as error:
            raise Poison(Reason.VIEW_MISSING, f"{view.uri} does not exist") from error
        except BaseError as error:
            words = str(error).partition("\n")[0]
            raise Retryable("images", f"{view.uri} cannot be fetched: {type(error).__name__}: {words}") from error

    def _store(self, bucket: str) -> S3Store:
        store = self._stores.get(bucket)
        if store is None:
            limit = timedelta(seconds=self._timeout_s)
            store = self._stores[bucket] = S3Store(
                bucket,
                config={
                    **({"endpoint": self._s3_endpoint} if self._s3_endpoint else {}),
                    **({} if any(os.environ.get(name) for name in _CREDENTIALS) else {"skip_signature": True}),
                },
                client_options={
                    "allow_http": self._s3_endpoint.startswith("http://"),
                    "connect_timeout": limit,
                    "timeout": limit,
                    **_kept_to(self._s3_endpoint),
                },
                # The breaker of the line does the waiting; one retry only hides a dropped idle connection.
                retry_config={"max_retries": 1, "retry_timeout": limit},
            )
        return store


def _kept_to(endpoint: str) -> ClientConfig:
    """Return options by which a plain-HTTP endpoint cannot redirect requests to another host, a metadata address say.

    object_store follows redirects and cannot be told not to; over HTTPS at least never to plain HTTP. So every host but
    the endpoint's own is behind a proxy that does not exist. Credentials that are themselves fetched need their hosts.
    """
    if not endpoint.startswith("http://") or any(os.environ.get(name) for name in _FETCHED_CREDENTIALS):
        return {}
    return {"proxy_url": _NO_PROXY_THERE, "proxy_excludes": urlsplit(endpoint).hostname or ""}


def _read_file(path: PurePosixPath, roots: Sequence[Path], view: View) -> bytes:
    """Read a regular file below one of the roots. Blocks; runs in a thread."""
    try:
        descriptor = _open_below(path, roots)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Poison(Reason.URI_REFUSED, f"{view.uri} is not a regular file")
            if status.st_size != view.size:
                raise Poison(Reason.VIEW_SIZE, f"{view.uri} has {status.st_size} bytes, its event says {view.size}")
            with open(descriptor, "rb", closefd=False) as file:
                return _verified(file.read(view.size + 1), view)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _as_fault(error, view) from error


def _open_below(path: PurePosixPath, roots: Sequence[Path]) -> int:
    """Open a file whose real path is below a root, and return its descriptor.

    The path is checked with its symlinks resolved and then opened name by name from the root without following any, so
    a link swapped in between leads nowhere. Not blocking: a FIFO opens at once and is found out afterwards.
    """
    for root in roots:
        stated_root, real_root = Path(os.path.abspath(root)), Path(os.path.realpath(root))  # noqa: PTH100 - lexical
        if not (path.is_relative_to(stated_root) or path.is_relative_to(real_root)):
            continue
        real = Path(os.path.realpath(path))
        if real == real_root or not real.is_relative_to(real_root):
            continue
        try:
            folder = os.open(real_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Retryable("images", f"the image root {real_root} is not there") from error
        try:
            *folders, name = real.relative_to(real_root).parts
            for part in folders:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = below
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
    raise Poison(Reason.URI_REFUSED, f"{path} is not below an image root")


def _as_fault(error: OSError, view: View) -> Poison | Retryable:
    """Say whose fault a failed open or read is."""
    why = f"{view.uri} cannot be read: {error.strerror}"
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ENAMETOOLONG | errno.EACCES | errno.EPERM:
            return Poison(Reason.VIEW_MISSING, why)
        case errno.ELOOP | errno.ENXIO | errno.EISDIR:
            return Poison(Reason.URI_REFUSED, why)
    return Retryable("images", why)  # the storage's trouble, not the event's


def _verified(raw: bytes, view: View) -> bytes:
    """Return the bytes if they are as many as announced and hash to the announced value."""
    if len(raw) != view.size:
        raise Poison(Reason.VIEW_SIZE, f"{view.uri} has {len(raw)} bytes, its event says {view.size}")
    digest = hashlib.sha256(raw).hexdigest()
    if digest != view.sha256:
        raise Poison(Reason.VIEW_SHA256, f"{view.uri} has SHA-256 {digest}, its event says {view.sha256}")
    return raw
