"""Write a trained network as Triton loads it, and prove that the file answers as the network does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from schemas.faults import Fatal
from training.runtime import session
from training.triton_config import OUTPUTS, configuration
from training.untyped import Network

TOLERANCE: Final = 1e-3
OPSET: Final = 17
MAX_BYTES: Final = 10_000_000


def export(network: Network, name: str, *, repository: Path, profiles: Path | None, probes: NDArray[np.uint8]) -> float:
    """Write `<repository>/<name>/1/model.onnx` with both profiles' config.pbtxt; return the largest difference found.

    Args:
        network: a module in evaluation mode that answers in the order of the model's outputs.
        name: of the model, as Triton will serve it.
        repository: Triton's model repository; gets the CPU profile.
        profiles: folder of the GPU profile's configurations, None for none.
        probes: uint8[N, 224, 224, 5] to compare torch and onnxruntime on.

    Raises:
        Fatal: the file answers otherwise than the network, or is too large.
    """
    folder, outputs = repository / name, list(OUTPUTS[name])
    model = folder / "1" / "model.onnx"
    model.parent.mkdir(parents=True, exist_ok=True)
    network = network.float().to(memory_format=torch.contiguous_format)
    torch.onnx.export(
        network,
        (torch.from_numpy(probes[:2]),),
        str(model),
        input_names=["IMAGES"],
        output_names=outputs,
        dynamic_axes={axis: {0: "views"} for axis in ("IMAGES", *outputs)},
        opset_version=OPSET,
        dynamo=False,
    )
    if (size := model.stat().st_size) > MAX_BYTES:
        raise Fatal(f"{model} has {size} bytes, the limit is {MAX_BYTES}: narrow the network.")
    (folder / "config.pbtxt").write_text(configuration(name, gpu=False))
    if profiles is not None:
        (profiles / name).mkdir(parents=True, exist_ok=True)
        (profiles / name / "config.pbtxt").write_text(configuration(name, gpu=True))
    return _compare(network, model, outputs, probes)


def _compare(network: Network, model: Path, outputs: list[str], probes: NDArray[np.uint8]) -> float:
    with torch.no_grad():
        wanted = [answer.numpy() for answer in network(torch.from_numpy(probes))]
    found = session(model).run(outputs, {"IMAGES": probes})
    worst = max(float(np.abs(left - right).max()) for left, right in zip(wanted, found, strict=True))
    if not worst <= TOLERANCE:
        raise Fatal(f"{model} differs from its network by {worst:.2g}, more than {TOLERANCE}: do not serve it.")
    return worst
