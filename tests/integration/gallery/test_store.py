"""The gallery on a real Redis: what is written is what every index follows, whatever happens to the server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evidence.discrepancy import CELLS, PATCH_SIZE, quantise
from gallery.entry import Entry, Vectors
from gallery.facts import State
from gallery.follow import Follower
from gallery.index import GalleryIndex
from gallery.patches import PatchCache
from gallery.store import GalleryStore, Position
from schemas.faults import Retryable
from schemas.messages import Product
from tests.integration.gallery.conftest import WITHIN_S, OwnRedis
from tests.unit.gallery.prints import bare

VERSION = "gallery_embedding:1"


def vectors(seed: int, views: int = 2) -> Vectors:
    """Draw float32[views, 128] of unit length."""
    drawn = np.random.default_rng(seed).normal(size=(views, 128))
    unit: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def entry(number: int, *, product: int | None = None, seed: int = 0, version: str = VERSION) -> Entry:
    """Make reference R-<number>, of product P-<number> unless told otherwise."""
    drawn = np.random.default_rng([number, seed]).normal(size=(2, CELLS, PATCH_SIZE)).astype(np.float32)
    return Entry(
        reference_id=f"R-{number}",
        product_id=f"P-{number if product is None else product}",
        model_version=version,
        source="booth",
        enrolled_ms=1_700_000_000_000 + seed,
        vectors=vectors(1_000 * seed + number),
        patches=quantise(drawn / np.linalg.norm(drawn, axis=2, keepdims=True)),
        uris=(f"file:///pictures/{number}-0.png", f"file:///pictures/{number}-1.png"),
    )


def printed(number: int) -> Entry:
    """Make reference R-<number> with prints of its two views."""
    return dataclasses.replace(entry(number), prints=(bare(number), bare(number + 100)))


@contextlib.asynccontextmanager
async def following(store: GalleryStore, version: str = VERSION) -> AsyncIterator[tuple[GalleryIndex, Follower]]:
    """Run a follower for the time of a block."""
    index = GalleryIndex(model_version=version)
    follower = Follower(store, index)
    await follower.load()
    task = asyncio.create_task(follower.follow())
    try:
        yield index, follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], bool], *, within_s: float = WITHIN_S) -> float:
    """Wait until something holds and return how long it took in seconds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < within_s, "it never came to hold"
        await asyncio.sleep(0.005)
    return time.monotonic() - started


class TestStore:
    """What one writes, another reads."""

    async def test_a_reference_is_kept_once(self, store: GalleryStore) -> None:
        """The same entry again changes nothing and says so; a changed one replaces it."""
        assert [True, False, True] == [
            await store.put_reference(entry(1)),
            await store.put_reference(entry(1)),
            await store.put_reference(entry(1, seed=1)),
        ]

    async def test_only_changes_are_told(self, store: GalleryStore, server: OwnRedis) -> None:
        """What changed nothing leaves no event on the feed."""
        for _ in range(3):
            await store.put_reference(entry(1))
            await store.put_product(Product(product_id="P-1"))
            await store.withdraw("R-9")

        with server.client() as client:
            assert 2 == client.xlen("gallery:feed")

    async def test_patch_maps_come_back_as_they_were(self, store: GalleryStore) -> None:
        """Those asked for and there, to the last bit; none of another model version."""
        await store.put_reference(entry(1))
        await store.put_reference(entry(2, version="gallery_embedding:2"))

        found = await store.patches(["R-1", "R-2", "R-3"], model_version=VERSION)

        assert ["R-1"] == list(found)
        assert np.array_equal(entry(1).patches, found["R-1"])
        assert {} == await store.patches([], model_version=VERSION)

    async def test_prints_come_and_go_with_their_reference(self, store: GalleryStore, server: OwnRedis) -> None:
        """They are a change like any other, go where the reference comes without any, and when it is withdrawn."""
        assert [True, True, False] == [await store.put_reference(each) for each in (entry(1), printed(1), printed(1))]
        assert {"R-1": printed(1).prints} == await store.prints(["R-1", "R-2"])

        assert await store.put_reference(entry(1))
        assert {} == await store.prints(["R-1"]) == await store.prints([])
        await store.put_reference(printed(1))
        await store.withdraw("R-1")
        with server.client() as client:
            assert [] == client.keys("gallery:prints:*")

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\xc1",
            b"\x90\x00",
            b"\x91\x93\xc4\x01a\xc4\x00\xc4\x00",
            msgspec.msgpack.encode([[b"\xff" * 8, b"0" * 128, b""]]),
        ],
        ids=["nothing", "no msgpack", "too long", "half a place", "no number"],
    )
    async def test_prints_that_are_none_are_left_out(self, store: GalleryStore, server: OwnRedis, raw: bytes) -> None:
        """Whoever wrote them: the others come."""
        await store.put_reference(printed(2))
        with server.client() as client:
            client.set("gallery:prints:R-1", raw)

        assert ["R-2"] == list(await store.prints(["R-1", "R-2"]))

    async def test_vectors_and_prints_come_and_go_in_one_step(self, store: GalleryStore, server: OwnRedis) -> None:
        """Whoever looks, whenever: each reference has both or neither; nor does a kill of the server part them."""
        seen = set()

        async def write() -> None:
            for number in range(60):
                await store.put_reference(printed(number))
            for number in range(30):
                await store.withdraw(f"R-{number}")

        writing = asyncio.create_task(write())
        with server.client() as client:
            while not writing.done():
                both = client.pipeline()
                both.hkeys(f"gallery:references:{VERSION}")
                both.keys("gallery:prints:*")
                indexed, prints = await asyncio.to_thread(both.execute)
                assert {b"gallery:prints:" + each for each in indexed} == set(prints)
                seen.add(len(indexed))
        await writing
        assert len(seen) > 5, "nobody looked while they were written"

        writing = asyncio.create_task(write())
        await asyncio.sleep(0.03)
        server.stop()
        with contextlib.suppress(Retryable):
            await writing
        server.start()
        with server.client() as client:
            both = client.pipeline()
            both.hkeys(f"gallery:references:{VERSION}")
            both.keys("gallery:prints:*")
            indexed, prints = both.execute()
            assert {b"gallery:prints:" + each for each in indexed} == set(prints)

    async def test_facts_are_for_people(self, store: GalleryStore) -> None:
        """Source, age and pictures of a reference can be asked for until it is withdrawn."""
        await store.put_reference(entry(1))
        facts = await store.facts("R-1")

        assert facts is not None
        assert ("P-1", "booth", 1_700_000_000_000) == (facts.product_id, facts.source, facts.enrolled_ms)
        assert entry(1).uris == await store.uris("R-1")
        await store.withdraw("R-1")
        assert () == await store.uris("R-1")

    async def test_a_withdrawn_reference_leaves_its_facts(self, store: GalleryStore, server: OwnRedis) -> None:
        """All model versions of it go, patch maps included, once; who took it out and why stays on record."""
        await store.put_reference(entry(1))
        await store.put_reference(entry(1, version="gallery_embedding:2"))

        withdrawn = [await store.withdraw("R-1", why="ann: torn"), await store.withdraw("R-1", why="again")]
        facts = await store.facts("R-1")

        assert [True, False] == withdrawn
        assert facts is not None
        assert (State.WITHDRAWN, "ann: torn", ()) == (facts.state, facts.why, facts.uris)
        with server.client() as client:
            assert [] == client.keys("gallery:references:*") + client.keys("gallery:patches:*")

    async def test_versions_are_counted(self, store: GalleryStore) -> None:
        """How far a new embedding model has got can be seen."""
        for number in range(3):
            await store.put_reference(entry(number))
        await store.put_reference(entry(0, version="gallery_embedding:2"))

        assert {VERSION: 3, "gallery_embedding:2": 1} == await store.counts()

    async def test_a_store_that_is_away_is_worth_waiting_for(self, server: OwnRedis) -> None:
        """Every method says `Retryable` of the gallery."""
        store = GalleryStore(server.url, timeout_s=0.5)
        server.stop()
        calls: list[Callable[[], Awaitable[object]]] = [
            store.probe,
            lambda: store.put_reference(entry(1)),
            lambda: store.put_product(Product(product_id="P-1")),
            lambda: store.withdraw("R-1"),
            lambda: store.patches(["R-1"], model_version=VERSION),
            lambda: store.prints(["R-1"]),
            lambda: store.uris("R-1"),
            store.position,
            lambda: store.news(Position("", "0-0"), VERSION, wait_s=0.1),
        ]
        for call in calls:
            with pytest.raises(Retryable) as caught:
                await call()
            assert caught.value.dependency == "gallery"
        await store.close()


class TestFollower:
    """An index agrees with the store, soon."""

    async def test_it_loads_what_is_there(self, store: GalleryStore) -> None:
        """Everything enrolled before an inspector started is in its index."""
        for number in range(700):
            await store.put_reference(entry(number))
        await store.put_product(Product(product_id="P-1", codes=["4006381333931"]))
        index = GalleryIndex(model_version=VERSION)

        await Follower(store, index).load()

        assert (700, 1) == (index.references, index.products)
        assert "P-1" == index.product_of("04006381333931")
        assert "P-5" == index.nearest(entry(5).vectors, k=1)[0].product_id

    async def test_it_follows_within_a_second(self, store: GalleryStore) -> None:
        """A reference, its withdrawal, a product and its retirement arrive within a second each."""
        async with following(store) as (index, follower):
            await store.put_reference(entry(1))
            assert await until(lambda: index.references == 1) < 1
            await store.put_product(Product(product_id="P-1"))
            assert await until(lambda: index.products == 1) < 1
            await store.withdraw("R-1")
            assert await until(lambda: index.references == 0) < 1
            await store.put_product(Product(product_id="P-1", retired=True))
            assert await until(lambda: index.products == 0) < 1
            assert follower.staleness_s < 1

    async def test_other_model_versions_are_left_alone(self, store: GalleryStore) -> None:
        """An index holds vectors of its own version only, before and while following."""
        await store.put_reference(entry(1, version="gallery_embedding:2"))
        async with following(store) as (index, _):
            await store.put_reference(entry(2, version="gallery_embedding:2"))
            await store.put_reference(entry(3))
            await until(lambda: index.references == 1)

            assert {"R-3"} == index.reference_ids

    async def test_nothing_is_lost_while_loading(self, store: GalleryStore) -> None:
        """What changes between the start of a load and its end is in the index in the end."""
        for number in range(300):
            await store.put_reference(entry(number))

        async def change() -> None:
            for number in range(0, 300, 3):
                await store.withdraw(f"R-{number}")
                await store.put_reference(entry(1_000 + number))

        index = GalleryIndex(model_version=VERSION)
        follower = Follower(store, index)
        changing = asyncio.create_task(change())
        await follower.load()
        following = asyncio.create_task(follower.follow())
        await changing
        survivors = {f"R-{n}" for n in range(300) if n % 3} | {f"R-{1_000 + n}" for n in range(0, 300, 3)}

        await until(lambda: survivors == index.reference_ids)

        following.cancel()

    async def test_it_outlives_a_restart_of_redis(self, store: GalleryStore, server: OwnRedis) -> None:
        """While Redis is away the index stays usable and says how stale it is; afterwards it follows again."""
        await store.put_reference(entry(1))
        async with following(store) as (index, follower):
            server.stop()
            await until(lambda: follower.staleness_s > 1)
            assert "P-1" == index.nearest(entry(1).vectors, k=1)[0].product_id
            server.start()
            await store.put_reference(entry(2))

            await until(lambda: index.references == 2)
            assert follower.staleness_s < 1

    async def test_a_flushed_store_is_noticed(self, store: GalleryStore, server: OwnRedis) -> None:
        """An emptied Redis is followed: the store is the truth."""
        await store.put_reference(entry(1))
        await store.put_product(Product(product_id="P-1"))
        async with following(store) as (index, _):
            with server.client() as client:
                client.flushall()
            await until(lambda: (index.references, index.products) == (0, 0))
            await store.put_reference(entry(2))
            await until(lambda: {"R-2"} == index.reference_ids)

    async def test_another_store_in_its_place_is_noticed(self, store: GalleryStore, server: OwnRedis) -> None:
        """A replacement that was filled while no one looked is loaded, not mixed with what was there."""
        for number in range(5):
            await store.put_reference(entry(number))
        async with following(store) as (index, _):
            server.stop()
            server.wipe()
            server.start()
            for number in range(3, 20):
                await store.put_reference(entry(number, seed=1))

            await until(lambda: {f"R-{n}" for n in range(3, 20)} == index.reference_ids)
            assert "P-4" == index.nearest(entry(4, seed=1).vectors, k=1)[0].product_id

    async def test_writes_that_a_crash_lost_are_noticed(
        self, store: GalleryStore, server: OwnRedis, tmp_path: Path
    ) -> None:
        """A store that came back without its last second of writes takes them out of the index, too."""
        await store.put_reference(entry(1))
        server.stop()
        shutil.copytree(tmp_path / "redis", tmp_path / "earlier")
        server.start()
        async with following(store) as (index, _):
            await store.put_reference(entry(2))
            await until(lambda: index.references == 2)
            server.stop()
            server.wipe()
            shutil.copytree(tmp_path / "earlier", tmp_path / "redis", dirs_exist_ok=True)
            server.start()
            await store.put_reference(entry(3))

            await until(lambda: {"R-1", "R-3"} == index.reference_ids)

    async def test_a_trimmed_feed_is_noticed(self, store: GalleryStore, server: OwnRedis) -> None:
        """A follower that was away longer than the feed reaches back loads everything anew."""
        await store.put_reference(entry(1))
        index = GalleryIndex(model_version=VERSION)
        follower = Follower(store, index)
        await follower.load()
        await store.withdraw("R-1")
        for number in range(2, 6):
            await store.put_reference(entry(number))
        with server.client() as client:
            client.xtrim("gallery:feed", maxlen=2, approximate=False)
        task = asyncio.create_task(follower.follow())

        await until(lambda: {f"R-{n}" for n in range(2, 6)} == index.reference_ids)

        task.cancel()

    async def test_an_emptied_feed_is_no_reason_to_load_for_ever(self, store: GalleryStore, server: OwnRedis) -> None:
        """With all events trimmed away the index is loaded once and then follows."""
        await store.put_reference(entry(1))
        with server.client() as client:
            client.xtrim("gallery:feed", maxlen=0, approximate=False)
        async with following(store) as (index, follower):
            await until(lambda: follower.staleness_s < 1)
            await store.put_reference(entry(2))
            await until(lambda: index.references == 2)

    async def test_what_cannot_be_read_costs_only_itself(self, store: GalleryStore, server: OwnRedis) -> None:
        """A record and a product that someone wrote badly are left out, the others load."""
        await store.put_reference(entry(1))
        with server.client() as client:
            client.hset(f"gallery:references:{VERSION}", "R-bad", b"\xff\x00rubbish")
            client.hset("gallery:products", "P-bad", b"{not json")
        async with following(store) as (index, _):
            assert {"R-1"} == index.reference_ids

    async def test_rubbish_on_the_feed_costs_only_itself(self, store: GalleryStore, server: OwnRedis) -> None:
        """Events that name nothing, or nothing that exists, are passed over."""
        async with following(store) as (index, _):
            with server.client() as client:
                client.xadd("gallery:feed", {b"kind": b"reference", b"id": b"\xff\xfe"})
                client.xadd("gallery:feed", {b"kind": b"planet", b"id": b"R-1"})
                client.xadd("gallery:feed", {b"nothing": b""})
            await store.put_reference(entry(1))

            await until(lambda: {"R-1"} == index.reference_ids)

    async def test_two_indexes_agree(self, store: GalleryStore) -> None:
        """Inspectors that started at different times end up with the same gallery and the same answers."""
        async with following(store) as (early, _):
            for number in range(40):
                await store.put_reference(entry(number))
            async with following(store) as (late, _):
                for number in range(0, 40, 2):
                    await store.put_reference(entry(number, seed=1))
                for number in range(0, 40, 5):
                    await store.withdraw(f"R-{number}")
                last = entry(999)
                await store.put_reference(last)
                await until(lambda: "R-999" in early.reference_ids and "R-999" in late.reference_ids)

                assert early.reference_ids == late.reference_ids
                for number in range(40):
                    query = vectors(number)
                    assert early.nearest(query, k=3)[0].product_id == late.nearest(query, k=3)[0].product_id

    async def test_loading_leaves_the_loop_free(self, store: GalleryStore) -> None:
        """While thousands of references load, nothing else in the loop waits longer than 50 ms (here, shared: 250)."""
        async with asyncio.TaskGroup() as writers:
            for start in range(8):
                writers.create_task(_write(store, range(start, 4_000, 8)))
        index = GalleryIndex(model_version=VERSION)
        loading = asyncio.create_task(Follower(store, index).load())
        worst = 0.0
        while not loading.done():
            asked = time.monotonic()
            await asyncio.sleep(0)
            worst = max(worst, time.monotonic() - asked)

        assert 4_000 == index.references
        assert worst < (0.25 if len(os.sched_getaffinity(0)) < 8 else 0.05)


class TestPatchCache:
    """Patch maps, close at hand."""

    async def test_what_was_asked_for_is_not_asked_again(self, store: GalleryStore, server: OwnRedis) -> None:
        """The second time the map comes from memory, even while Redis is away."""
        await store.put_reference(entry(1))
        async with following(store) as (index, _):
            cache = PatchCache(store, index)
            first = await cache.get(["R-1"])
            server.stop()

            assert np.array_equal(first["R-1"], (await cache.get(["R-1"]))["R-1"])
            assert (1, 1) == (cache.maps.hits, cache.maps.misses)

    async def test_a_changed_reference_is_read_anew(self, store: GalleryStore) -> None:
        """Once the index knows of the change, the old map is not used again."""
        await store.put_reference(entry(1))
        async with following(store) as (index, _):
            cache = PatchCache(store, index)
            await cache.get(["R-1"])
            before = index.digest_of("R-1")
            await store.put_reference(entry(1, seed=1))
            await until(lambda: index.digest_of("R-1") != before)

            assert np.array_equal(entry(1, seed=1).patches, (await cache.get(["R-1"]))["R-1"])

    async def test_memory_is_bounded(self, store: GalleryStore) -> None:
        """The least recently used maps go when the stated size is reached."""
        for number in range(6):
            await store.put_reference(entry(number))
        async with following(store) as (index, _):
            cache = PatchCache(store, index, capacity_bytes=3 * entry(0).patches.nbytes)
            for number in (0, 1, 2, 0, 3):
                await cache.get([f"R-{number}"])
            assert 3 * entry(0).patches.nbytes == cache.maps.bytes
            misses = cache.maps.misses
            await cache.get(["R-0", "R-3"])
            assert misses == cache.maps.misses
            await cache.get(["R-1"])

            assert misses + 1 == cache.maps.misses

    async def test_prints_come_the_same_way(self, store: GalleryStore, server: OwnRedis) -> None:
        """Prints are read once, that there are none is remembered as well, and another reference's are never given."""
        await store.put_reference(printed(1))
        await store.put_reference(entry(2))
        async with following(store) as (index, _):
            cache = PatchCache(store, index)
            first = await cache.prints(["R-1", "R-2", "R-3"])
            server.stop()

            assert {"R-1": printed(1).prints} == first == await cache.prints(["R-1", "R-2"])
            assert (2, 2) == (cache.printed.hits, cache.printed.misses)

    async def test_prints_that_cannot_be_asked_for_are_worth_waiting_for(
        self, store: GalleryStore, server: OwnRedis
    ) -> None:
        """That Redis is away is not taken for a reference without prints, neither then nor later."""
        await store.put_reference(printed(1))
        async with following(store) as (index, _):
            cache = PatchCache(store, index)
            server.stop()
            with pytest.raises(Retryable):
                await cache.prints(["R-1"])
            server.start()

            assert {"R-1": printed(1).prints} == await cache.prints(["R-1"])

    async def test_what_is_gone_is_left_out(self, store: GalleryStore) -> None:
        """Unknown references are no fault, and one without maps in the store neither."""
        await store.put_reference(entry(1))
        async with following(store) as (index, _):
            await store.withdraw("R-1")

            assert {} == await PatchCache(store, index).get(["R-1", "R-none"])


async def _write(store: GalleryStore, numbers: range) -> None:
    for number in numbers:
        await store.put_reference(entry(number))
