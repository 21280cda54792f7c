# ruff: noqa: INP001 - Triton loads this file from its folder; it is no module of ours
"""A Triton backend named `onnxruntime`, written in Python: serves `<version>/model.onnx` as the official one does.

It runs inside Triton's Python stub, in the server's own virtual environment, and imports nothing of ours. One process
per instance of a model (`instance_group.count`), each with one onnxruntime session of one thread.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

# The stub was built against numpy 1 and hands out wrong values under numpy 2 without a word.
if not np.__version__.startswith("1.26."):
    raise ImportError(f"this backend needs numpy 1.26, not {np.__version__}: reinstall requirements/triton.txt")


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model and check that its configuration speaks of the inputs and outputs that it has.

        Raises:
            ValueError: they differ; Triton shows the words and refuses the model.
        """
        _end_with_the_server()
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._name = args["model_name"]
        # Triton has checked shapes, types and batch size against the configuration before a request comes here.
        self._inputs = [entry["name"] for entry in config["input"]]
        self._outputs = {
            entry["name"]: pb_utils.triton_string_to_numpy(entry["data_type"]) for entry in config["output"]
        }
        _compare("input", self._inputs, self._session.get_inputs(), path)
        _compare("output", self._outputs, self._session.get_outputs(), path)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request on its own: one wrong request must not fail the others of its batch."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:  # noqa: ANN401 - Triton's types exist in the stub only
        try:
            feeds = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            wanted = [name for name in self._outputs if name in set(request.requested_output_names())]
            results = zip(wanted, self._session.run(wanted, feeds), strict=True)
            tensors = [
                pb_utils.Tensor(name, np.ascontiguousarray(array, self._outputs[name])) for name, array in results
            ]
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this request
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{self._name}: {error}"))
        return pb_utils.InferenceResponse(output_tensors=tensors)


def _compare(kind: str, configured: Iterable[str], actual: Sequence[Any], path: Path) -> None:
    names = {entry.name for entry in actual}
    if unknown := set(configured) - names:
        raise ValueError(f"config.pbtxt names {kind}s {sorted(unknown)} that {path} lacks; it has {sorted(names)}")


def _end_with_the_server() -> None:
    """End this stub when its server is gone: a server killed by -9 leaves its stubs behind, holding memory and CPU.

    A process of its own keeps watch, not a thread. A stub that loses its server while it answers waits for ever on a
    lock in shared memory, and holds the interpreter's lock meanwhile, so that no thread of it ever runs again.
    """
    server, stub = os.pidfd_open(os.getppid()), os.pidfd_open(os.getpid())
    if os.fork() == 0:
        ended, _, _ = select.select([server, stub], [], [])
        if stub not in ended:
            signal.pidfd_send_signal(stub, signal.SIGKILL)
        os._exit(0)
    os.close(server)
    os.close(stub)
