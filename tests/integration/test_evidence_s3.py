"""Views in a bucket, from a real S3 server of moto's on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Iterator

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from evidence.views import ViewFetcher
from schemas.faults import Poison, Reason, Retryable
from schemas.messages import View

RAW = b"the bytes of a picture" * 1000
BUCKET = "line-pictures"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server with a few objects."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - moto takes any
    )
    for bucket in (BUCKET, "other-bucket"):
        client.create_bucket(Bucket=bucket)
        for key in ("2026/a.jpg", "a b+c.jpg", "100%.jpg", "caf\u00e9.jpg"):
            client.put_object(Bucket=bucket, Key=key, Body=RAW, ACL="public-read")
    yield url
    server.stop()


@pytest.fixture
async def fetcher(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ViewFetcher]:
    """A fetcher of one bucket, with credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    fetcher = ViewFetcher(roots=[], buckets=[BUCKET], s3_endpoint=endpoint, timeout_s=10.0)
    yield fetcher
    await fetcher.close()


def view(uri: str, *, size: int = len(RAW), sha256: str = hashlib.sha256(RAW).hexdigest()) -> View:
    """Announce the bytes that all objects hold."""
    return View(uri=uri, sha256=sha256, size=size)


async def refusal(fetcher: ViewFetcher, announced: View) -> Reason:
    """Fetch and return why not."""
    with pytest.raises(Poison) as caught:
        await fetcher.fetch(announced)
    return caught.value.reason


class TestFetchingObjects:
    """`ViewFetcher.fetch` of s3 URIs."""

    @pytest.mark.parametrize("key", ["2026/a.jpg", "a%20b+c.jpg", "100%25.jpg", "caf%C3%A9.jpg"])
    async def test_returns_the_bytes(self, fetcher: ViewFetcher, key: str) -> None:
        """Keys travel percent-encoded, as in any URI."""
        assert RAW == await fetcher.fetch(view(f"s3://{BUCKET}/{key}"))

    async def test_works_without_credentials(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without credentials requests go unsigned: nobody asks a metadata address, which would hang for seconds."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)
        with socket.create_server(("127.0.0.1", 0)) as metadata:
            metadata.settimeout(0.5)
            monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{metadata.getsockname()[1]}")
            fetcher = ViewFetcher(roots=[], buckets=[BUCKET], s3_endpoint=endpoint, timeout_s=10.0)
            assert RAW == await fetcher.fetch(view(f"s3://{BUCKET}/2026/a.jpg"))
            with pytest.raises(TimeoutError):
                metadata.accept()
            await fetcher.close()

    async def test_names_a_missing_object(self, fetcher: ViewFetcher) -> None:
        """No such key: the view is missing."""
        assert Reason.VIEW_MISSING is await refusal(fetcher, view(f"s3://{BUCKET}/none.jpg"))

    async def test_refuses_buckets_that_are_not_listed(self, fetcher: ViewFetcher) -> None:
        """Existing or not, a bucket outside the list is not asked."""
        assert Reason.URI_REFUSED is await refusal(fetcher, view("s3://other-bucket/2026/a.jpg"))

    @pytest.mark.parametrize("size", [1, len(RAW) - 1, len(RAW) + 1])
    async def test_compares_the_size(self, fetcher: ViewFetcher, size: int) -> None:
        """A size other than announced is refused before the body is read."""
        assert Reason.VIEW_SIZE is await refusal(fetcher, view(f"s3://{BUCKET}/2026/a.jpg", size=size))

    async def test_compares_the_hash(self, fetcher: ViewFetcher) -> None:
        """Other bytes are refused."""
        assert Reason.VIEW_SHA256 is await refusal(fetcher, view(f"s3://{BUCKET}/2026/a.jpg", sha256="0" * 64))

    async def test_many_at_once(self, fetcher: ViewFetcher) -> None:
        """The views of many captures share one store."""
        announced = view(f"s3://{BUCKET}/2026/a.jpg")
        assert [RAW] * 32 == await asyncio.gather(*(fetcher.fetch(announced) for _ in range(32)))


class TestOutages:
    """Storage that is away or slow."""

    @pytest.fixture(autouse=True)
    def _credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    async def test_nobody_listening_is_retryable(self, unused_tcp_port: int) -> None:
        """A refused connection is the storage's trouble."""
        fetcher = ViewFetcher(
            roots=[], buckets=[BUCKET], s3_endpoint=f"http://127.0.0.1:{unused_tcp_port}", timeout_s=5.0
        )
        with pytest.raises(Retryable) as caught:
            await fetcher.fetch(view(f"s3://{BUCKET}/2026/a.jpg"))
        assert "images" == caught.value.dependency
        await fetcher.close()

    async def test_a_silent_server_is_retryable_in_time(self) -> None:
        """A server that accepts and says nothing costs the time limit, once."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            fetcher = ViewFetcher(roots=[], buckets=[BUCKET], s3_endpoint=f"http://127.0.0.1:{port}", timeout_s=0.3)
            started = asyncio.get_running_loop().time()
            with pytest.raises(Retryable, match=r"0\.3 s"):
                await fetcher.fetch(view(f"s3://{BUCKET}/2026/a.jpg"))
            assert asyncio.get_running_loop().time() - started < 2.0
            await fetcher.close()

    @pytest.mark.parametrize("status", ["403 Forbidden", "500 Internal Server Error", "503 Slow Down"])
    async def test_refusals_of_the_server_are_retryable(self, status: str) -> None:
        """Rights that are missing and servers that fail are mended by people, not by refusing the event."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        fetcher = ViewFetcher(roots=[], buckets=[BUCKET], s3_endpoint=f"http://127.0.0.1:{port}", timeout_s=5.0)
        with pytest.raises(Retryable):
            await fetcher.fetch(view(f"s3://{BUCKET}/2026/a.jpg"))
        await fetcher.close()
        server.close()
        await server.wait_closed()

    async def test_a_body_longer_than_announced_is_not_read(self) -> None:
        """A server may say one size; what it says decides before any byte of the body is kept."""
        connections = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {10**12}\r\netag: x\r\nlast-modified: {_DATE}\r\n\r\n"
            writer.write(head.encode() + RAW)
            await writer.drain()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        fetcher = ViewFetcher(roots=[], buckets=[BUCKET], s3_endpoint=f"http://127.0.0.1:{port}", timeout_s=5.0)
        assert Reason.VIEW_SIZE is await refusal(fetcher, view(f"s3://{BUCKET}/2026/a.jpg"))
        await fetcher.close()
        for connection in connections:
            connection.close()
        server.close()
        await server.wait_closed()


class TestRedirects:
    """A store that sends its clients elsewhere."""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("signed", [True, False])
    async def test_are_not_followed_to_another_host(
        self, monkeypatch: pytest.MonkeyPatch, status: int, *, signed: bool
    ) -> None:
        """The other host, whose metadata address or neighbour it may be, is never asked, though its bytes would fit."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        if signed:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        asked = []

        async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(RAW)}\r\netag: x\r\nlast-modified: {_DATE}\r\n\r\n"
            writer.write(head.encode() + RAW)
            await writer.drain()
            writer.close()

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            to = f"http://127.0.0.2:{other.sockets[0].getsockname()[1]}/latest/meta-data"
            writer.write(f"HTTP/1.1 {status} Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()

        async with (
            await asyncio.start_server(elsewhere, "127.0.0.2", 0) as other,
            await asyncio.start_server(redirect, "127.0.0.1", 0) as store,
        ):
            url = f"http://127.0.0.1:{store.sockets[0].getsockname()[1]}"
            fetcher = ViewFetcher(roots=[], buckets=[BUCKET], s3_endpoint=url, timeout_s=5.0)
            with pytest.raises(Retryable):
                await fetcher.fetch(view(f"s3://{BUCKET}/2026/a.jpg"))
            await fetcher.close()
        assert [] == asked


_DATE = "Wed, 01 Jan 2025 00:00:00 GMT"
