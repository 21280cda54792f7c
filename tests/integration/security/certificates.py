"""A certificate for this machine that vouches for itself."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a private key and a certificate for 127.0.0.1; return both files, PEM. The second is its own authority."""
    key, authority = folder / "key.pem", folder / "authority.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(authority)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, authority
