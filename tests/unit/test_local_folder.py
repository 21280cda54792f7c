"""The run folder, its socket, its lock, and the cache of downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.folder import RunFolder, cache_dir, checkout, default_run_dir, locked
from schemas.faults import Fatal


class TestPlaces:
    """Where things are kept."""

    def test_the_checkout_is_the_default(self) -> None:
        """Without configuration the run folder is in the checkout, from wherever the command is typed."""
        assert checkout() / ".sideline" == default_run_dir({})
        assert (checkout() / "pyproject.toml").exists()

    def test_a_configured_folder_is_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative SIDELINE_RUN_DIR is taken from where the command is typed."""
        monkeypatch.chdir(tmp_path)
        assert tmp_path / "here" == default_run_dir({"SIDELINE_RUN_DIR": "here"})

    def test_downloads_are_shared_by_checkouts(self) -> None:
        """They go to the user's cache; a relative XDG_CACHE_HOME is ignored, as its specification says."""
        assert Path("/c/sideline") == cache_dir({"XDG_CACHE_HOME": "/c", "HOME": "/h"})
        assert Path("/h/.cache/sideline") == cache_dir({"XDG_CACHE_HOME": "c", "HOME": "/h"})
        assert Path("/h/.cache/sideline") == cache_dir({"HOME": "/h"})

    def test_a_socket_path_is_never_too_long(self, tmp_path: Path) -> None:
        """A deep run folder has its socket elsewhere, the same for every process, another for every folder."""
        shallow, deep, deeper = Path("/srv/s"), tmp_path / ("d" * 100), tmp_path / ("e" * 100)
        assert shallow / "supervisord.sock" == RunFolder(shallow).socket
        assert 90 > len(str(RunFolder(deep).socket))
        assert RunFolder(deep).socket == RunFolder(deep).socket
        assert RunFolder(deep).socket != RunFolder(deeper).socket


class TestLocked:
    """`locked`."""

    def test_a_second_holder_waits_and_gives_up(self, tmp_path: Path) -> None:
        """It says which file is held instead of waiting for ever."""
        file = tmp_path / "lock"
        with locked(file, within_s=1.0), pytest.raises(Fatal, match=str(file)), locked(file, within_s=0.0):
            pass

    def test_it_is_free_afterwards(self, tmp_path: Path) -> None:
        """Leaving frees it."""
        with locked(tmp_path / "lock", within_s=0.0):
            pass
        with locked(tmp_path / "lock", within_s=0.0):
            assert (tmp_path / "lock").exists()
