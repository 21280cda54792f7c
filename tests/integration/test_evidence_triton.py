"""The models as Triton serves them, through the line's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from deploy.local.endpoints import Endpoints
from evidence.triton import Models
from schemas.faults import Retryable


@pytest.fixture
async def models(servers: Endpoints) -> AsyncIterator[Models]:
    """A client of the session's Triton."""
    models = Models(servers.triton_url, timeout_s=10.0)
    yield models
    await models.close()


def views(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Make views that differ."""
    return np.random.default_rng(count).integers(0, 255, (count, 224, 224, 5), np.uint8)


class TestServedModels:
    """Both models keep the contract that the line is built on."""

    async def test_a_probe_passes(self, models: Models) -> None:
        """Both models answer a real inference."""
        await models.probe()

    @pytest.mark.parametrize("count", [1, 2, 8])
    async def test_scores_have_their_shapes(self, models: Models, count: int) -> None:
        """One row a view, from one view to a capture's eight; the version names model and number."""
        scores = await models.score(views(count), request_id="shapes")
        assert (count,) == scores.damage.shape
        assert (count, 7) == scores.kinds.shape
        assert (count,) == scores.severity.shape
        assert (count, 14, 14) == scores.heat.shape
        assert ["damage_classifier", True] == [scores.version.split(":")[0], scores.version.split(":")[1].isdigit()]

    @pytest.mark.parametrize("count", [1, 2, 8])
    async def test_embeddings_are_of_unit_length(self, models: Models, count: int) -> None:
        """Vectors and patches can be compared by their inner product."""
        embeddings = await models.embed(views(count), request_id="shapes")
        assert (count, 128) == embeddings.vectors.shape
        assert (count, 196, 48) == embeddings.patches.shape
        assert np.allclose(1.0, np.linalg.norm(embeddings.vectors, axis=-1), atol=1e-3)
        assert np.allclose(1.0, np.linalg.norm(embeddings.patches, axis=-1), atol=1e-3)
        assert "gallery_embedding" == embeddings.version.split(":")[0]

    async def test_a_view_scores_the_same_in_any_company(self, models: Models) -> None:
        """What stands beside a view in the request does not change its numbers (P7: within 1e-3)."""
        pixels = views(8)
        together = await models.score(pixels, request_id="together")
        alone = [await models.score(pixels[row : row + 1], request_id="alone") for row in range(8)]
        assert np.allclose(together.damage, [each.damage[0] for each in alone], atol=1e-3)
        vectors = (await models.embed(pixels, request_id="together")).vectors
        single = (await models.embed(pixels[3:4], request_id="alone")).vectors
        assert np.allclose(vectors[3], single[0], atol=1e-3)

    async def test_many_captures_at_once(self, models: Models) -> None:
        """A full window of captures shares one connection, and each gets its own answer."""
        batches = [views(1 + number % 3) for number in range(32)]
        answers = await asyncio.gather(*(models.score(pixels, request_id="many") for pixels in batches))
        assert [len(pixels) for pixels in batches] == [len(answer.damage) for answer in answers]
        again = await models.score(batches[5], request_id="again")
        assert np.allclose(again.damage, answers[5].damage, atol=1e-3)

    async def test_a_time_limit_that_is_too_short_is_retryable(self, servers: Endpoints) -> None:
        """An answer that comes too late is none."""
        hasty = Models(servers.triton_url, timeout_s=0.0001)
        with pytest.raises(Retryable, match="DEADLINE_EXCEEDED"):
            await hasty.score(views(8), request_id="hasty")
        await hasty.close()

    async def test_a_closed_client_opens_again(self, models: Models) -> None:
        """Closing drops the connection; the next call makes a new one."""
        await models.probe()
        await models.close()
        await models.probe()
