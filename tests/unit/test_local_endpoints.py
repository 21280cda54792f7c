"""Where the servers are: kept for other commands, overruled by the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.local import endpoints, servers
from deploy.local.endpoints import Endpoints
from schemas.faults import Fatal

OURS = Endpoints("127.0.0.1:1", "redis://127.0.0.1:2/0", "redis://127.0.0.1:3/0", "127.0.0.1:4")


class TestFile:
    """`write` and `read`."""

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        """The addresses come back as they were."""
        endpoints.write(tmp_path / "e.json", OURS)
        assert OURS == endpoints.read(tmp_path / "e.json", {})

    def test_the_store_id_survives_a_restart(self, tmp_path: Path) -> None:
        """Writing addresses again keeps what other commands keep in the file."""
        file = tmp_path / "e.json"
        file.write_text(json.dumps({"store_id": "s-1", "kafka_bootstrap": "old:1"}))
        endpoints.write(file, OURS)
        known = json.loads(file.read_text())
        assert ("s-1", "127.0.0.1:1") == (known["store_id"], known["kafka_bootstrap"])

    def test_the_environment_wins(self, tmp_path: Path) -> None:
        """An existing server that the environment names overrules what was kept."""
        endpoints.write(tmp_path / "e.json", OURS)
        seen = endpoints.read(tmp_path / "e.json", {"SIDELINE_TRITON_URL": "gpu:8001", "SIDELINE_KAFKA_BOOTSTRAP": ""})
        assert ("gpu:8001", "127.0.0.1:1") == (seen.triton_url, seen.kafka_bootstrap)

    def test_nothing_known_names_the_command(self, tmp_path: Path) -> None:
        """Without addresses the error says how to get them."""
        with pytest.raises(Fatal, match="sideline up"):
            endpoints.read(tmp_path / "e.json", {})


class TestOurs:
    """`servers.endpoints`."""

    def test_existing_servers_and_ours_mix(self) -> None:
        """Each address is the environment's or made from our port, in the form its clients take."""
        ports = {"kafka": 1, "redis-gallery": 3, "triton": 4}
        url = "rediss://store.example:6380/2"
        mixed = servers.endpoints(ports, {"redis-decisions": url})
        assert Endpoints("127.0.0.1:1", url, "redis://127.0.0.1:3/0", "127.0.0.1:4") == mixed
        assert mixed.variables()["SIDELINE_REDIS_DECISIONS_URL"] == url
