"""One Triton server from the PyPI wheel, with our small `onnxruntime` backend in place of the official one."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.local.folder import RunFolder, checkout, locked
from deploy.local.programs import Program, digest
from schemas.faults import Fatal

_REQUIREMENTS: Final = "requirements/triton.txt"
_INSTALL_WITHIN_S: Final = 600
_BACKEND: Final = Path(__file__).with_name("triton_backend") / "onnxruntime" / "model.py"
_EXIT_WITHIN_S: Final = 3


def model_repository(environ: Mapping[str, str]) -> Path:
    """Return the folder of models to serve: SIDELINE_MODEL_REPOSITORY, else the one in the checkout."""
    configured = environ.get("SIDELINE_MODEL_REPOSITORY")
    return Path(configured).expanduser().absolute() if configured else checkout() / "triton_models"


def venv(cache: Path, *, environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Return the server's own virtual environment, installing it when this machine has none.

    It is apart from ours because the server's Python side gives silently wrong values with numpy 2, which we use.

    Raises:
        Fatal: pip could not install it.
    """
    requirements = checkout() / _REQUIREMENTS
    version = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = cache / f"triton-{version}"
    done = home / "installed"
    if done.exists():
        return home
    with locked(cache / "triton.lock", within_s=_INSTALL_WITHIN_S):
        if done.exists():
            return home
        say("installing the Triton server (once per user, 320 MB)")
        shutil.rmtree(home, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "-q"]
        _run([sys.executable, "-m", "venv", "--without-pip", str(home)], environ)
        # No dependencies of the listed packages but the listed ones: nvidia-pytriton's own (a web server, gevent, zmq)
        # are for its Python API, which we do not use.
        _run([*pip, "--no-deps", "--require-hashes", "-r", str(requirements)], environ)
        done.touch()
    return home


def program(
    folder: RunFolder, home: Path, *, repository: Path, ports: Mapping[str, int], environ: Mapping[str, str]
) -> Program:
    """Lay out the backends and return how to start the server on the ports named in `servers.PORTS`.

    Raises:
        Fatal: the model repository is no folder.
    """
    if not repository.is_dir():
        raise Fatal(
            f"{repository} is no folder: `make models` makes the checkout's, SIDELINE_MODEL_REPOSITORY names another"
        )
    site_packages = home / "lib" / "python3.11" / "site-packages"
    server = site_packages / "pytriton" / "tritonserver"
    libraries = [str(site_packages / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    settings = {
        "backend-directory": _backends(folder, server),
        "model-repository": repository,
        "model-control-mode": "none",  # models change by starting a server on another repository
        "backend-config": f"python,shm-region-prefix-name={_shm_prefix(folder)}",
        "grpc-address": "127.0.0.1",
        "grpc-port": ports["triton"],
        "http-address": "127.0.0.1",
        "http-port": ports["triton-http"],
        "metrics-address": "127.0.0.1",
        "metrics-port": ports["triton-metrics"],
        "exit-timeout-secs": _EXIT_WITHIN_S,
        "pinned-memory-pool-byte-size": 0,  # there is no GPU to copy to
    }
    # Auto-completion would ask our backend for a configuration without telling it where the model is.
    flags = ["--disable-auto-complete-config", *(f"--{flag}={value}" for flag, value in settings.items())]
    return Program(
        name="triton",
        command=(str(server / "bin" / "tritonserver"), *flags),
        env={
            **environ,
            "PATH": f"{home / 'bin'}:{environ.get('PATH', '')}",  # the stub's Python finds its packages through it
            "LD_LIBRARY_PATH": ":".join(libraries),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        },
        cwd=str(folder.root),
        ports={name: ports[name] for name in ("triton", "triton-http", "triton-metrics")},
        reads=_contents(repository),
        clears=(shared_memory(folder),),
        stop_within_s=_EXIT_WITHIN_S + 5,
    )


def shared_memory(folder: RunFolder) -> str:
    """Return the pattern of the files through which this folder's server and its stubs exchange tensors.

    A server that was killed leaves them behind, and a container's /dev/shm is small.
    """
    return f"/dev/shm/{_shm_prefix(folder)}*"  # noqa: S108 - the kernel's place for them, under a prefix of ours


def _shm_prefix(folder: RunFolder) -> str:
    return f"sideline_{folder.key}_"


def _backends(folder: RunFolder, server: Path) -> Path:
    """Lay out the backend folder: the wheel's Python backend, and ours on top of it.

    Its name changes with what is in it, so that a running server keeps its own.
    """
    backends = folder.root / "triton" / f"backends-{digest(_BACKEND.read_bytes(), bytes(server))}"
    if backends.exists():
        return backends
    shutil.rmtree(backends.parent, ignore_errors=True)
    fresh = backends.with_suffix(".part")
    python, onnxruntime = fresh / "python", fresh / "onnxruntime"
    python.mkdir(parents=True)
    onnxruntime.mkdir()
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy(server / "backends" / "python" / name, python)  # Triton refuses links that leave the folder
    stub = "triton_python_backend_stub"
    shutil.copy(server / "python_backend_stubs" / "3.11" / stub, python)
    shutil.copy(_BACKEND, onnxruntime)
    return fresh.rename(backends)


def _contents(repository: Path) -> str:
    """Return a digest of every file in a model repository: a server loads it once, when it starts."""
    files = sorted(path for path in repository.rglob("*") if path.is_file())
    return digest(*(part for path in files for part in (bytes(path), path.read_bytes())))


def _run(command: list[str], environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Fatal(
            f"could not install Triton within {_INSTALL_WITHIN_S} s: check the network and try again"
        ) from error
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise Fatal("could not install Triton: " + " | ".join(last))
