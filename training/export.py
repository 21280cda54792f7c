"""Write a trained network as Triton loads it, and prove that the file answers as the network does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from evidence.frame import SIDE
from schemas.faults import Fatal
from training.untyped import Network

TOLERANCE: Final = 1e-3
OPSET: Final = 17
MAX_BATCH: Final = 8  # views of one capture
MAX_BYTES: Final = 4_000_000

# Outputs as every part of the line expects them: name and shape without the batch.
SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "DAMAGE": (1,), "KINDS": (7,), "SEVERITY": (1,), "HEAT": (10, 10), "EMBEDDING": (128,), "PATCHES": (100, 64),
}  # fmt: skip


def export(network: Network, name: str, *, repository: Path, profiles: Path | None, probes: NDArray[np.uint8]) -> float:
    """Write `<repository>/<name>/1/model.onnx` with both profiles' config.pbtxt; return the largest difference found.

    Args:
        network: a module in evaluation mode with an `outputs` tuple.
        name: of the model, as Triton will serve it.
        repository: Triton's model repository; gets the CPU profile.
        profiles: folder of the GPU profile's configurations, None for none.
        probes: uint8[N, 160, 160, 3] to compare torch and onnxruntime on.

    Raises:
        Fatal: the file answers otherwise than the network, or is too large.
    """
    folder = repository / name
    model = folder / "1" / "model.onnx"
    model.parent.mkdir(parents=True, exist_ok=True)
    network = network.float().to(memory_format=torch.contiguous_format)
    torch.onnx.export(
        network,
        (torch.from_numpy(probes[:2]),),
        str(model),
        input_names=["IMAGES"],
        output_names=list(network.outputs),
        dynamic_axes={axis: {0: "views"} for axis in ("IMAGES", *network.outputs)},
        opset_version=OPSET,
        dynamo=False,
    )
    if (size := model.stat().st_size) > MAX_BYTES:
        raise Fatal(f"{model} has {size} bytes, the limit is {MAX_BYTES}: narrow the network.")
    (folder / "config.pbtxt").write_text(configuration(name, network.outputs, gpu=False))
    if profiles is not None:
        (profiles / name).mkdir(parents=True, exist_ok=True)
        (profiles / name / "config.pbtxt").write_text(configuration(name, network.outputs, gpu=True))
    return _compare(network, model, probes)


def session(model: Path) -> onnxruntime.InferenceSession:
    """Open a model file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def configuration(name: str, outputs: tuple[str, ...], *, gpu: bool) -> str:
    """Return a full config.pbtxt: auto-completion is off, so nothing may be left out.

    On a CPU any batching delay costs throughput, so there is none; a GPU wants full batches and waits 2 ms for them.
    """
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH if not gpu else 8 * MAX_BATCH}",
        f'input [ {{ name: "IMAGES" data_type: TYPE_UINT8 dims: [ {SIDE}, {SIDE}, 3 ] }} ]',
        "output [",
        ",\n".join(
            f'  {{ name: "{output}" data_type: TYPE_FP32 dims: [ {", ".join(map(str, SHAPES[output]))} ] }}'
            for output in outputs
        ),
        "]",
    ]
    if gpu:
        lines += [
            "instance_group [ { kind: KIND_GPU count: 1 } ]",
            "dynamic_batching { max_queue_delay_microseconds: 2000 }",
        ]
    else:
        lines += [
            "instance_group [ { kind: KIND_CPU count: 2 } ]",
            'parameters { key: "intra_op_thread_count" value: { string_value: "1" } }',
        ]
    lines.append("version_policy: { latest: { num_versions: 1 } }")
    return "\n".join(lines) + "\n"


def _compare(network: Network, model: Path, probes: NDArray[np.uint8]) -> float:
    with torch.no_grad():
        wanted = [answer.numpy() for answer in network(torch.from_numpy(probes))]
    found = session(model).run(list(network.outputs), {"IMAGES": probes})
    worst = max(float(np.abs(left - right).max()) for left, right in zip(wanted, found, strict=True))
    if not worst <= TOLERANCE:
        raise Fatal(f"{model} differs from its network by {worst:.2g}, more than {TOLERANCE}: do not serve it.")
    return worst
