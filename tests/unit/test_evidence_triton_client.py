"""What the client of the models makes of Triton's answers, over gRPC from a server that answers as told.

The real server's answers are in the integration tests; here are those that it gives only on its bad days.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from evidence.triton import CLASSIFIER, EMBEDDING, Models, as_fault
from schemas.faults import Fatal, Retryable

PIXELS = np.zeros((2, 224, 224, 5), np.uint8)
SHAPES = {
    CLASSIFIER: {"DAMAGE": (1,), "KINDS": (7,), "SEVERITY": (1,), "HEAT": (14, 14)},
    EMBEDDING: {"EMBEDDING": (128,), "PATCHES": (196, 48)},
}
Answer = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


def outputs(request: Any, *, change: Callable[[str, NDArray[np.float32]], NDArray[Any] | None] | None = None) -> Any:  # noqa: ANN401 - protobuf
    """Answer an inference with counting numbers, each output changed as told; None leaves it out."""
    batch = request.inputs[0].shape[0]
    response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="7", id=request.id)
    for name, shape in SHAPES[request.model_name].items():
        values: NDArray[Any] | None = np.arange(batch * np.prod(shape), dtype=np.float32).reshape(batch, *shape)
        if change is not None and values is not None:
            values = change(name, values)
        if values is not None:
            kind = {"float32": "FP32", "float64": "FP64"}[str(values.dtype)]
            response.outputs.add(name=name, datatype=kind, shape=values.shape)
            response.raw_output_contents.append(values.tobytes())
    return response


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A gRPC server of Triton's protocol whose `answer` is set by the test."""

    def __init__(self) -> None:
        """Answer properly until told otherwise."""
        self.answer: Answer = self._properly
        self.requests: list[Any] = []

    async def ModelInfer(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: N802, ANN401
        """Serve one inference."""
        self.requests.append(request)
        return await self.answer(request, context)

    async def _properly(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
        return outputs(request)

    def fail(self, status: grpc.StatusCode, words: str) -> None:
        """Answer every inference with an error."""

        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
            await context.abort(status, words)

        self.answer = answer

    def change(self, change: Callable[[str, NDArray[np.float32]], NDArray[Any] | None]) -> None:
        """Change the outputs of every inference."""

        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
            return outputs(request, change=change)

        self.answer = answer


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, Models]]:
    """A server and a client of it."""
    server = grpc.aio.server()
    servicer = Server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    models = Models(f"127.0.0.1:{port}", timeout_s=2.0)
    yield servicer, models
    await models.close()
    await server.stop(grace=0)


class TestAnswers:
    """What a good answer becomes."""

    async def test_scores_by_view(self, served: tuple[Server, Models]) -> None:
        """Each output keeps its own shape, one row a view, and the version is the server's."""
        _, models = served
        scores = await models.score(PIXELS, request_id="capture-1")
        assert [0.0, 1.0] == scores.damage.tolist()
        assert (2, 7) == scores.kinds.shape
        assert (2,) == scores.severity.shape
        assert (2, 14, 14) == scores.heat.shape
        assert 201.0 == scores.heat[1, 0, 5]
        assert "damage_classifier:7" == scores.version

    async def test_embeds_by_view(self, served: tuple[Server, Models]) -> None:
        """Vectors and patches have a row a view."""
        _, models = served
        embeddings = await models.embed(PIXELS, request_id="capture-1")
        assert (2, 128) == embeddings.vectors.shape
        assert (2, 196, 48) == embeddings.patches.shape
        assert "gallery_embedding:7" == embeddings.version

    async def test_sends_pixels_and_the_captures_id(self, served: tuple[Server, Models]) -> None:
        """One request carries all views as unsigned bytes, under the capture's id."""
        server, models = served
        pixels = np.random.default_rng(1).integers(0, 255, PIXELS.shape, np.uint8)
        await models.score(pixels, request_id="capture-1")
        (request,) = server.requests
        assert "capture-1" == request.id
        assert [2, 224, 224, 5] == list(request.inputs[0].shape)
        assert "UINT8" == request.inputs[0].datatype
        assert pixels.tobytes() == request.raw_input_contents[0]

    async def test_probes_both_models(self, served: tuple[Server, Models]) -> None:
        """A probe is a real inference of each."""
        server, models = served
        await models.probe()
        assert {CLASSIFIER, EMBEDDING} == {request.model_name for request in server.requests}

    @pytest.mark.parametrize(
        "pixels",
        [
            np.zeros((0, 224, 224, 5), np.uint8),
            np.zeros((9, 224, 224, 5), np.uint8),
            np.zeros((1, 224, 225, 5), np.uint8),
            np.zeros((224, 224, 5), np.uint8),
            np.zeros((1, 224, 224, 5), np.float32),
        ],
    )
    async def test_refuses_to_send_other_pixels(self, served: tuple[Server, Models], pixels: NDArray[np.uint8]) -> None:
        """A mistake of ours is an error of ours, not of Triton's."""
        server, models = served
        with pytest.raises(ValueError, match="was expected"):
            await models.score(pixels, request_id="capture-1")
        assert [] == server.requests


class TestBadAnswers:
    """What an answer that is none becomes."""

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    async def test_numbers_that_are_none_are_retryable(self, served: tuple[Server, Models], value: float) -> None:
        """NaN and infinity never reach a score; asking again may help."""
        server, models = served
        server.change(lambda name, values: np.where(values == 3, np.float32(value), values))
        with pytest.raises(Retryable, match="not finite") as caught:
            await models.score(PIXELS, request_id="capture-1")
        assert "triton" == caught.value.dependency

    @pytest.mark.parametrize(
        "change",
        [
            lambda name, values: values[:1],
            lambda name, values: values.reshape(len(values), -1, 1),
            lambda name, values: values.astype(np.float64),
            lambda name, values: None if name == "HEAT" else values,
        ],
        ids=["rows", "shape", "type", "missing"],
    )
    async def test_another_models_outputs_are_fatal(
        self, served: tuple[Server, Models], change: Callable[[str, NDArray[np.float32]], NDArray[Any] | None]
    ) -> None:
        """Outputs of another shape come from another model: stop and say which to serve."""
        server, models = served
        server.change(change)
        with pytest.raises(Fatal, match="triton_models/"):
            await models.score(PIXELS, request_id="capture-1")


class TestErrors:
    """What Triton's errors become."""

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (grpc.StatusCode.UNAVAILABLE, "request rejected: exceeds maximum queue size"),
            (grpc.StatusCode.DEADLINE_EXCEEDED, "too slow"),
            (grpc.StatusCode.CANCELLED, "cancelled"),
            (grpc.StatusCode.INTERNAL, "Stub process 'damage_classifier_0_0' is not healthy."),
            (grpc.StatusCode.INTERNAL, "anything else"),
            (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'damage_classifier' has no available versions"),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "memory"),
            (grpc.StatusCode.UNKNOWN, "?"),
        ],
    )
    async def test_what_may_pass_is_retryable(
        self, served: tuple[Server, Models], status: grpc.StatusCode, words: str
    ) -> None:
        """Overload, outages, dead model processes and models that load are waited for; the message keeps the words."""
        server, models = served
        server.fail(status, words)
        with pytest.raises(Retryable, match=words.replace("?", r"\?")) as caught:
            await models.score(PIXELS, request_id="capture-1")
        assert "triton" == caught.value.dependency

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'damage_classifier' is not found"),
            (grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'IMAGES'"),
            (grpc.StatusCode.UNIMPLEMENTED, "not a Triton server"),
        ],
    )
    async def test_what_waiting_cannot_mend_is_fatal(
        self, served: tuple[Server, Models], status: grpc.StatusCode, words: str
    ) -> None:
        """A missing model, another model's inputs or another server: stop and name model and repository."""
        server, models = served
        server.fail(status, words)
        with pytest.raises(Fatal, match=r"damage_classifier.*triton_models/"):
            await models.score(PIXELS, request_id="capture-1")

    async def test_a_slow_answer_is_retryable(self, served: tuple[Server, Models]) -> None:
        """The time limit holds for every call."""
        server, _ = served
        never = asyncio.Event()

        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
            await never.wait()

        server.answer = answer
        models = Models(_url(served), timeout_s=0.2)
        with pytest.raises(Retryable, match="DEADLINE_EXCEEDED"):
            await models.score(PIXELS, request_id="capture-1")
        await models.close()

    async def test_no_server_is_retryable_and_found_again(self, unused_tcp_port: int) -> None:
        """Nobody listens: retryable. Somebody does, a moment later: used at once, not after gRPC's two minutes."""
        models = Models(f"127.0.0.1:{unused_tcp_port}", timeout_s=1.0)
        for _ in range(20):
            with pytest.raises(Retryable):
                await models.score(PIXELS, request_id="capture-1")
        server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Server(), server)
        server.add_insecure_port(f"127.0.0.1:{unused_tcp_port}")
        await server.start()
        async with asyncio.timeout(5):
            while True:
                try:
                    await models.probe()
                    break
                except Retryable:
                    await asyncio.sleep(0.05)
        await models.close()
        await server.stop(grace=0)

    async def test_closing_fails_calls_in_flight_as_retryable(self, served: tuple[Server, Models]) -> None:
        """A call under which the connection is closed fails as an outage, not as a cancellation of the caller."""
        server, models = served
        arrived, never = asyncio.Event(), asyncio.Event()

        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
            arrived.set()
            await never.wait()

        server.answer = answer
        call = asyncio.create_task(models.score(PIXELS, request_id="capture-1"))
        await arrived.wait()
        await models.close()
        with pytest.raises(Retryable):
            await call

    async def test_a_cancelled_caller_is_cancelled(self, served: tuple[Server, Models]) -> None:
        """Cancelling the caller cancels the call and is not turned into anything else."""
        server, models = served
        arrived, never = asyncio.Event(), asyncio.Event()

        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
            arrived.set()
            await never.wait()

        server.answer = answer
        call = asyncio.create_task(models.score(PIXELS, request_id="capture-1"))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    def test_an_error_without_a_status_is_retryable(self) -> None:
        """The client library's own errors may have none."""
        assert isinstance(as_fault(InferenceServerException("odd"), CLASSIFIER), Retryable)


def _url(served: tuple[Server, Models]) -> str:
    return served[1]._url
