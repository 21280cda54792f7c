"""A real inference of every model that a Triton server holds: the only answer that says a model is alive."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from deploy.local.probes import Probe

_WITHIN_S: Final = 3.0
_DEAD_STUB: Final = "not healthy"  # Triton's words for a model whose Python process has died; it never starts it again


class TritonProbe:
    """One connection to one server."""

    def __init__(self, url: str) -> None:
        """Take the server's gRPC address, `host:port`."""
        self._client: Any = triton.InferenceServerClient(url)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._client.close()

    def models(self) -> list[str]:
        """Return the names of the models in the server's repository, sorted.

        Raises:
            InferenceServerException: the server does not answer.
        """
        index = self._client.get_model_repository_index(client_timeout=_WITHIN_S)
        return sorted({model.name for model in index.models})

    def infer(self, model: str, *, instances: int = 1) -> None:
        """Let the model answer `instances` requests of zeros at once, so that each of its processes gets one.

        Raises:
            InferenceServerException: it did not answer in time, or with an error.
        """
        metadata = self._client.get_model_metadata(model, client_timeout=_WITHIN_S)
        inputs = [_zeros(entry) for entry in metadata.inputs]
        for _ in range(instances):
            self._client.infer(model, inputs, client_timeout=_WITHIN_S)

    def instances(self, model: str) -> int:
        """Return how many processes serve the model."""
        config = self._client.get_model_config(model, client_timeout=_WITHIN_S).config
        return max(1, sum(int(group.count) for group in config.instance_group))

    def ask(self) -> Probe:
        """Infer with every model; unhealthy names the first that fails."""
        names = self.models()
        for name in names:
            try:
                self.infer(name, instances=self.instances(name))
            except InferenceServerException as error:
                return Probe(healthy=False, detail=f"{name}: {error.message()}")
        if not names:
            return Probe(healthy=True, detail="no model in the repository")
        return Probe(healthy=True, detail=", ".join(names))


def is_dead_stub(detail: str) -> bool:
    """Tell whether a probe's words mean that a model's process died, which only a restart of the server mends."""
    return _DEAD_STUB in detail


def _zeros(entry: Any) -> Any:  # noqa: ANN401 - tritonclient ships no types
    """Return an input of zeros in the declared shape, every open dimension 1."""
    shape = [max(1, int(size)) for size in entry.shape]
    array = np.zeros(math.prod(shape), dtype=triton_to_np_dtype(entry.datatype)).reshape(shape)
    tensor: Any = triton.InferInput(entry.name, shape, entry.datatype)
    tensor.set_data_from_numpy(array)
    return tensor
