"""The commands that look at a line and talk to it, as people type them, on a running line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import zxingcpp
from PIL import Image

from budget.store import DecisionStore
from cli.poster import WIDTH
from cli.summary import Summary
from deploy.local.folder import checkout
from deploy.local.parts import Parts
from streams.topics import Entity
from tests.integration.conftest import environment
from tests.integration.line.running import SITE, RunningLine

GTIN = "4006381333931"


def command(run_dir: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    """Return a command line and its environment."""
    return [sys.executable, "-m", "cli.main", *words], {**environment(), "SIDELINE_RUN_DIR": str(run_dir)}


async def sideline(line: RunningLine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command against the session's line."""
    args, env = command(line.parts.folder.root, *words)
    return await asyncio.to_thread(
        subprocess.run, args, env=env, cwd=checkout(), capture_output=True, text=True, timeout=120, check=False
    )


async def settled(line: RunningLine) -> None:
    """Wait until the store has heard of a verdict, whatever the verdict did."""
    store = DecisionStore(line.endpoints.redis_decisions_url, store_id=line.store_id)
    deadline = time.monotonic() + 20
    try:
        while not (state := await store.state(SITE)).labels + state.cleared + state.revised:
            assert time.monotonic() < deadline, "the verdict was not settled"
            await asyncio.sleep(0.2)
    finally:
        await store.close()


class TestLooking:
    """`tail`, `explain`, `judge`."""

    async def test_a_decision_is_tailed_explained_and_judged(self, line: RunningLine, tmp_path: Path) -> None:
        """A decided capture is listed, told in words and as a poster, and a verdict by hand reaches the settler."""
        capture = line.capture()
        await line.send(Entity.CAPTURES, capture)
        await line.decisions([capture])
        poster = tmp_path / "why.png"

        tailed = await sideline(line, "tail", "decisions", "--site", SITE, "--from-beginning", "--no-follow", "--json")
        told = await sideline(line, "explain", capture.capture_id, "--out", str(poster))
        judged = await sideline(line, "judge", capture.capture_id, "sellable", "--as", "anna")

        records = [json.loads(one) for one in tailed.stdout.splitlines()]
        assert capture.capture_id in {record["key"] for record in records}
        assert all(record["headers"]["ce_type"] == "sideline.decision.v1" for record in records)
        assert 0 == told.returncode, told.stderr
        assert capture.unit_id in told.stdout
        with Image.open(poster) as picture:
            assert WIDTH == picture.width
        assert 0 == judged.returncode, judged.stderr
        await settled(line)

    async def test_a_refused_capture_is_explained(self, line: RunningLine, tmp_path: Path) -> None:
        """A capture without a decision is explained by its dead letter."""
        capture = line.capture(line.store_picture(b"this is a text file"))
        await line.send(Entity.CAPTURES, capture)
        await line.until(
            Entity.DEAD, lambda found: any(capture.capture_id.encode() in (one.value or b"") for one in found)
        )

        told = await sideline(line, "explain", capture.capture_id, "--out", str(tmp_path / "why.png"))
        tailed = await sideline(line, "tail", "dead", "--site", SITE, "--from-beginning", "--no-follow")

        assert 0 == told.returncode, told.stderr
        assert "Refused" in told.stdout
        assert "not_an_image" in told.stdout
        assert "not_an_image" in tailed.stdout

    async def test_an_unknown_capture(self, line: RunningLine) -> None:
        """A capture nobody has heard of is an error in a line, not a traceback."""
        told = await sideline(line, "explain", "01890a5d-ac96-774b-bcce-b302099a8057")

        assert 1 == told.returncode
        assert told.stderr.startswith("sideline: no capture 01890a5d-ac96-774b-bcce-b302099a8057 is known")

    async def test_tail_ends_with_ctrl_c(self, line: RunningLine) -> None:
        """Following a topic ends cleanly when it is interrupted."""
        capture = line.capture()
        await line.send(Entity.CAPTURES, capture)
        args, env = command(line.parts.folder.root, "tail", "decisions", "--site", SITE, "--from-beginning")
        pipe = asyncio.subprocess.PIPE
        tailing = await asyncio.create_subprocess_exec(*args, env=env, cwd=checkout(), stdout=pipe, stderr=pipe)
        assert tailing.stdout is not None
        async with asyncio.timeout(40):
            while capture.capture_id.encode() not in await tailing.stdout.readline():
                pass
            tailing.send_signal(signal.SIGINT)
            _, errors = await tailing.communicate()

        assert (0, b"") == (tailing.returncode, errors)


class TestInspect:
    """`inspect`."""

    async def test_a_folder_of_pictures(self, line: RunningLine, tmp_path: Path) -> None:
        """Each picture gets a row; a code in the manifest identifies its picture; a text file is refused."""
        symbol = zxingcpp.create_barcode(GTIN, zxingcpp.BarcodeFormat.EAN13).to_image(scale=4)
        cv2.imwrite(str(tmp_path / "code.png"), np.pad(np.asarray(symbol), 60, constant_values=255))
        cv2.imwrite(str(tmp_path / "plain.jpg"), np.full((240, 320, 3), 90, np.uint8))
        (tmp_path / "text.jpg").write_text("no picture")
        (tmp_path / "manifest.csv").write_text(
            f"path,label,expected_text\ncode.png,intact,{GTIN}\nplain.jpg,damaged,\n"
        )

        done = await sideline(line, "inspect", str(tmp_path), "--json")

        assert 0 == done.returncode, done.stderr
        *rows, totals = (json.loads(one) for one in done.stdout.splitlines())
        by_file = {row["file"]: row for row in rows}
        assert {"code.png", "plain.jpg", "text.jpg"} == by_file.keys()
        assert f"inspect-0{GTIN}" == by_file["code.png"]["decision"]["identity"]["product_id"]
        assert "refused" == by_file["text.jpg"]["outcome"]
        assert (3, 3, 1, 1) == (totals["pictures"], totals["answered"], totals["codes_right"], totals["identified"])


class TestRun:
    """`run`, with parts of its own."""

    @pytest.mark.timeout(420)
    def test_until_ctrl_c(self, tmp_path: Path) -> None:
        """Without a number it plays until Ctrl-C, then judges what it played and stops everything it started."""
        args, env = command(tmp_path / "run", "run", "--rate", "5")
        with subprocess.Popen(
            args, env=env, cwd=checkout(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            assert running.stdout is not None
            heard = []
            for said in running.stdout:
                heard.append(said)
                if "playing" in said and " pass" in said:
                    running.send_signal(signal.SIGINT)
                    break
            rest, _ = running.communicate(timeout=150)
        output = "".join(heard) + rest

        assert 0 == running.returncode, output
        summary = msgspec.json.decode((tmp_path / "run" / "summary.json").read_bytes(), type=Summary)
        assert 0 < summary.captures == summary.decisions
        assert [] == summary.failures
        parts = Parts(tmp_path / "run", environ=environment())
        assert set() == {part.name for part in parts.status() if part.pid is not None}
        assert not _alive_below(tmp_path)


def _alive_below(folder: Path) -> list[str]:
    """Return the processes that were started with something below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in words and process.name != str(os.getpid()):
            found.append(words)
    return found
