"""How Triton is told about the models: full configurations for both profiles, from one table of outputs."""

from __future__ import annotations

from typing import Final

from evidence.frame import CHANNELS, SIDE
from evidence.triton import CELLS, CLASSIFIER, EMBEDDING, PATCH, VECTOR
from schemas.words import KINDS, MAX_VIEWS

# Of each model, outputs and their shapes without the batch, as `evidence.triton` asks for them.
OUTPUTS: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    CLASSIFIER: {"DAMAGE": (1,), "KINDS": (len(KINDS),), "SEVERITY": (1,), "HEAT": (CELLS, CELLS)},
    EMBEDDING: {"EMBEDDING": (VECTOR,), "PATCHES": (CELLS * CELLS, PATCH)},
}


def configuration(name: str, *, gpu: bool) -> str:
    """Return a full config.pbtxt: auto-completion is off, so nothing may be left out.

    A request carries all views of one capture. On a CPU any batching delay costs throughput, so there is none; a GPU
    wants full batches and waits 2 ms for them.
    """
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {8 * MAX_VIEWS if gpu else MAX_VIEWS}",
        f'input [ {{ name: "IMAGES" data_type: TYPE_UINT8 dims: [ {SIDE}, {SIDE}, {CHANNELS} ] }} ]',
        "output [",
        ",\n".join(
            f'  {{ name: "{output}" data_type: TYPE_FP32 dims: [ {", ".join(map(str, shape))} ] }}'
            for output, shape in OUTPUTS[name].items()
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
