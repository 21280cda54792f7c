"""onnxruntime in this process: what the laptop's Triton runs behind its sockets."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def session(model: Path) -> onnxruntime.InferenceSession:
    """Open a model file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
