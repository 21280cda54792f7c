"""Ports: remembered, configured, refused."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy.local.ports import PortBook, is_free
from schemas.faults import Fatal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ports are remembered."""
    return tmp_path / "ports.json"


class TestClaim:
    """`PortBook.claim`."""

    def test_a_port_is_kept_for_the_next_start(self, file: Path) -> None:
        """The same name gets the same port from a new book on the same file."""
        port = PortBook(file, {}).claim("kafka", in_use_by_us=False)
        assert port == PortBook(file, {}).claim("kafka", in_use_by_us=False)

    def test_names_do_not_share(self, file: Path) -> None:
        """Every name gets a port of its own, outside the range that outgoing connections use."""
        book = PortBook(file, {})
        ports = {book.claim(f"part-{number}", in_use_by_us=False) for number in range(50)}
        assert 50 == len(ports)
        assert max(ports) < 32_768

    def test_a_port_lost_to_another_is_replaced(self, file: Path) -> None:
        """A remembered port that someone else listens on now is given up."""
        port = PortBook(file, {}).claim("kafka", in_use_by_us=False)
        with socket.create_server(("127.0.0.1", port)):
            assert port != PortBook(file, {}).claim("kafka", in_use_by_us=False)

    def test_our_own_use_is_no_loss(self, file: Path) -> None:
        """A remembered port that our own part listens on stays."""
        port = PortBook(file, {}).claim("kafka", in_use_by_us=False)
        with socket.create_server(("127.0.0.1", port)):
            assert port == PortBook(file, {}).claim("kafka", in_use_by_us=True)

    def test_configuration_wins(self, file: Path) -> None:
        """A configured port replaces the remembered one, also while our part runs on that."""
        before = PortBook(file, {}).claim("redis-gallery", in_use_by_us=False)
        with socket.create_server(("127.0.0.1", 0)) as free:
            wanted = free.getsockname()[1]
        environ = {"SIDELINE_REDIS_GALLERY_PORT": str(wanted)}
        assert wanted == PortBook(file, environ).claim("redis-gallery", in_use_by_us=True)
        assert wanted != before

    @pytest.mark.parametrize("text", ["0", "65536", "-1", "kafka", "9092 "])
    def test_nonsense_is_refused(self, file: Path, text: str) -> None:
        """What is no port is refused with the name of the variable."""
        with pytest.raises(Fatal, match="SIDELINE_KAFKA_PORT"):
            PortBook(file, {"SIDELINE_KAFKA_PORT": text}).claim("kafka", in_use_by_us=False)

    def test_a_damaged_memory_is_forgotten(self, file: Path) -> None:
        """A file cut short by a crash does not keep the line from starting."""
        file.write_text('{"kafka": 20')
        assert is_free(PortBook(file, {}).claim("kafka", in_use_by_us=False))
