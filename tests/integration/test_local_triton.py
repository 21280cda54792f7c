"""Our `onnxruntime` backend inside the real Triton, with the models of the repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from deploy.local import triton as local_triton
from deploy.local.endpoints import Endpoints
from deploy.local.folder import cache_dir

MODELS = ("damage_classifier", "gallery_embedding")
Images = np.ndarray[Any, np.dtype[np.uint8]]

# Runs in the server's own environment, as the serving side does: ours has no onnxruntime.
IN_PROCESS = """
import sys, numpy, onnxruntime
model, images, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
numpy.savez(out, **dict(zip(names, session.run(names, {"IMAGES": numpy.load(images)}))))
"""


@pytest.fixture
def client(servers: Endpoints) -> Iterator[triton.InferenceServerClient]:
    """A connection to the session's Triton."""
    with triton.InferenceServerClient(servers.triton_url) as client:
        yield client


@pytest.fixture
def images() -> Images:
    """Three pictures of noise, uint8[3, 224, 224, 5]."""
    return np.random.default_rng(7).integers(0, 256, (3, 224, 224, 5), dtype=np.uint8)


def infer(
    client: triton.InferenceServerClient, model: str, images: np.ndarray[Any, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """Return every output of the model for a batch."""
    tensor = triton.InferInput("IMAGES", list(images.shape), "UINT8" if images.dtype == np.uint8 else "FP32")
    tensor.set_data_from_numpy(images)
    answer = client.infer(model, [tensor], client_timeout=10)
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


@pytest.mark.parametrize("model", MODELS)
class TestBackend:
    """A model behind our backend."""

    def test_its_answers_are_those_of_onnxruntime(
        self, client: triton.InferenceServerClient, model: str, images: Images, tmp_path: Path
    ) -> None:
        """The server's answers are those the model gives in process: numpy 2 in its environment would change them."""
        home = local_triton.venv(cache_dir(os.environ), environ=os.environ, say=lambda _: None)
        (newest,) = sorted((local_triton.model_repository(os.environ) / model).glob("*/model.onnx"))[-1:]
        np.save(tmp_path / "images.npy", images)
        command: list[str | Path] = [
            home / "bin" / "python",
            "-c",
            IN_PROCESS,
            newest,
            tmp_path / "images.npy",
            tmp_path / "out.npz",
        ]
        subprocess.run(command, check=True, timeout=60)
        expected = np.load(tmp_path / "out.npz")
        answered = infer(client, model, images)
        assert set(expected) >= set(answered)
        assert answered
        for name, values in answered.items():
            np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)

    def test_a_batch_is_its_rows(self, client: triton.InferenceServerClient, model: str, images: Images) -> None:
        """Views sent together get the answers they get alone, in their order."""
        together = infer(client, model, images)
        for name, values in together.items():
            alone = np.concatenate([infer(client, model, images[row : row + 1])[name] for row in range(len(images))])
            np.testing.assert_allclose(values, alone, atol=1e-4, err_msg=name)

    @pytest.mark.parametrize(
        ("shape", "dtype", "words"),
        [
            ((1, 112, 224, 5), np.uint8, r"unexpected shape.*IMAGES.*\[-1,224,224,5\].*\[1,112,224,5\]"),
            ((1, 224, 224), np.uint8, r"IMAGES"),
            ((9, 224, 224, 5), np.uint8, r"batch-size must be <= 8"),
            ((1, 224, 224, 5), np.float32, r"UINT8|IMAGES"),
        ],
    )
    def test_a_wrong_input_is_refused_in_words(
        self,
        client: triton.InferenceServerClient,
        model: str,
        shape: tuple[int, ...],
        dtype: type[np.generic],
        words: str,
    ) -> None:
        """A shape, a batch or a type that the model does not take is an error that names it, and harms nobody else."""
        with pytest.raises(InferenceServerException, match=words):
            infer(client, model, np.zeros(shape, dtype))
        assert infer(client, model, np.zeros((1, 224, 224, 5), np.uint8))
