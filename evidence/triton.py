"""Ask the two models on Triton about the views of one capture."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import grpc
import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from evidence.frame import CHANNELS, SIDE
from schemas.faults import Fatal, Retryable
from schemas.words import KINDS, MAX_VIEWS

CLASSIFIER: Final = "damage_classifier"
EMBEDDING: Final = "gallery_embedding"
CELLS: Final = 14  # a view is looked at in 14 x 14 cells of 16 pixels
VECTOR: Final = 128
PATCH: Final = 48

# gRPC waits up to two minutes between attempts to connect; a server that is back after three seconds is to be used at
# once. Keepalive finds a peer that vanished without a FIN within ten seconds of a call; without calls there are no
# pings, because Triton takes them for an attack (GOAWAY too_many_pings).
_CHANNEL: Final = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
]
# What Triton answers when the installation is wrong. Everything else may pass by waiting, a model that is being loaded
# ("no available versions") or whose process died ("not healthy") included.
_WRONG: Final = frozenset({"StatusCode.INVALID_ARGUMENT", "StatusCode.UNIMPLEMENTED", "StatusCode.NOT_FOUND"})
_PASSING: Final = ("no available versions", "not healthy", "is not ready", "unloading", "shutting down")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the damage classifier says of N views, as logits.

    `damage` float32[N], `kinds` float32[N, 7] in the order of `schemas.words.KINDS`, `severity` float32[N] (major given
    damaged), `heat` float32[N, 14, 14] (where the evidence is; rows from the top). `version` is `<model>:<version>`.
    """

    damage: NDArray[np.float32]
    kinds: NDArray[np.float32]
    severity: NDArray[np.float32]
    heat: NDArray[np.float32]
    version: str


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What the gallery compares, all of unit length.

    `vectors` float32[N, 128], `patches` float32[N, 196, 48] (cells row by row), `version` as in `Scores`.
    """

    vectors: NDArray[np.float32]
    patches: NDArray[np.float32]
    version: str


class Models:
    """The client of both models: one connection for life, made inside the loop that first uses it."""

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._client: InferenceServerClient | None = None

    async def score(self, pixels: NDArray[np.uint8], *, request_id: str) -> Scores:
        """Classify uint8[N, 224, 224, 5] views (evidence.frame).

        Raises:
            Retryable: `triton`, when it is away, overloaded, slow, or answers with numbers that are none.
            Fatal: the model is missing or is another model than this software expects.
        """
        shapes = {"DAMAGE": (1,), "KINDS": (len(KINDS),), "SEVERITY": (1,), "HEAT": (CELLS, CELLS)}
        (damage, kinds, severity, heat), version = await self._ask(CLASSIFIER, pixels, shapes, request_id)
        return Scores(damage[:, 0], kinds, severity[:, 0], heat, version)

    async def embed(self, pixels: NDArray[np.uint8], *, request_id: str) -> Embeddings:
        """Embed uint8[N, 224, 224, 5] views (evidence.frame). Raises as `score` does."""
        shapes = {"EMBEDDING": (VECTOR,), "PATCHES": (CELLS * CELLS, PATCH)}
        (vectors, patches), version = await self._ask(EMBEDDING, pixels, shapes, request_id)
        return Embeddings(vectors, patches, version)

    async def probe(self) -> None:
        """Run one real inference of each model. Raises as `score` does.

        Triton stays "ready" when the process behind a model has died; only an inference tells.
        """
        grey = np.full((1, SIDE, SIDE, CHANNELS), 128, np.uint8)
        await asyncio.gather(self.score(grey, request_id="probe"), self.embed(grey, request_id="probe"))

    async def close(self) -> None:
        """Close the connection. The next call opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(
        self, model: str, pixels: NDArray[np.uint8], shapes: dict[str, tuple[int, ...]], request_id: str
    ) -> tuple[list[NDArray[np.float32]], str]:
        """Infer once and return the outputs in the order of `shapes`, checked, with the model's version."""
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (SIDE, SIDE, CHANNELS) or not 1 <= len(pixels) <= MAX_VIEWS:
            raise ValueError(
                f"{pixels.dtype}{list(pixels.shape)} where "
                f"uint8[1..{MAX_VIEWS}, {SIDE}, {SIDE}, {CHANNELS}] was expected"
            )
        images = InferInput("IMAGES", list(pixels.shape), "UINT8")
        images.set_data_from_numpy(pixels)
        if self._client is None:
            self._client = InferenceServerClient(self._url, channel_args=_CHANNEL)
        try:
            result = await self._client.infer(
                model,
                [images],
                outputs=[InferRequestedOutput(name) for name in shapes],
                request_id=request_id,
                client_timeout=self._timeout_s,
            )
        except InferenceServerException as error:
            raise as_fault(error, model) from error
        except (grpc.aio.UsageError, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            # The connection was closed under this call, which gRPC reports as a cancellation that nobody asked for.
            raise Retryable("triton", f"{model}: the connection is closed") from error
        version = f"{model}:{result.get_response().model_version}"
        return [_output(result, name, (len(pixels), *shape), version) for name, shape in shapes.items()], version


def as_fault(error: InferenceServerException, model: str) -> Retryable | Fatal:
    """Say what an error of Triton means for the line: wait, or stop and mend the installation."""
    status, message = str(error.status()), str(error.message())
    if status in _WRONG and not any(words in message for words in _PASSING):
        return Fatal(
            f"Triton does not serve {model} as this software expects it: {message}. "
            f"Start Triton on the model repository of this version (triton_models/) and check {model}/config.pbtxt."
        )
    return Retryable("triton", f"{model}: {status.removeprefix('StatusCode.')}: {message}")


def _output(result: InferResult, name: str, shape: tuple[int, ...], version: str) -> NDArray[np.float32]:
    """Return one output, if it has the shape that was agreed on and holds only finite numbers."""
    values = result.as_numpy(name)
    if values is None or values.shape != shape or values.dtype != np.float32:
        found = "nothing" if values is None else f"{values.dtype}{list(values.shape)}"
        raise Fatal(
            f"{version} answers {found} as {name}, this software needs float32{list(shape)}: "
            "the model in Triton's repository is of another version; serve the one in triton_models/."
        )
    if not np.isfinite(values).all():
        _log.error("model answered with numbers that are none", model=version, output=name)
        raise Retryable("triton", f"{version} answers {name} with numbers that are not finite")
    return values  # type: ignore[no-any-return]
