"""What records name by version and replay needs at hand: calibrations as files, configurations in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from budget.config import BudgetConfig
from evidence.calibration import DEFAULT_PATH, Calibration
from schemas.faults import Fatal
from schemas.messages import Decision


def load_calibrations(current: Path | None, folder: Path | None) -> dict[str, Calibration]:
    """Return the calibrations at hand by version: the one in force, and every other in a folder of older ones.

    Raises:
        Fatal: the folder is none or holds no calibration, or two different ones carry the same version.
    """
    files = [] if current is None else [current]
    if folder is not None:
        if not folder.is_dir():
            raise Fatal(f"{folder} is no folder: --fusions takes one that holds a {DEFAULT_PATH.name} of each version")
        older = sorted(folder.rglob("*.json"))
        if not older:
            raise Fatal(f"{folder} holds no *.json: copy the {DEFAULT_PATH.name} of each older version into it")
        files += older
    known: dict[str, Calibration] = {}
    for file in files:
        calibration = Calibration.load(file)
        if known.setdefault(calibration.version, calibration) != calibration:
            raise Fatal(f"{file} is not the calibration that another file has under the name {calibration.version}")
    return known


class Missing:
    """Counts the records that name a version which is not at hand."""

    def __init__(self) -> None:
        """Begin with none."""
        self.fusions: Counter[str] = Counter()
        self.configs: Counter[int] = Counter()

    def note(
        self, decision: Decision, calibrations: Mapping[str, Calibration], configs: Mapping[int, BudgetConfig]
    ) -> bool:
        """Return whether a record cannot be replayed, and remember why."""
        before = self.total
        if decision.versions is not None and decision.score is not None:
            self.fusions.update({decision.versions.fusion} - calibrations.keys())
        if decision.config_version is not None and decision.config_version not in configs:
            self.configs[decision.config_version] += 1
        return self.total > before

    @property
    def total(self) -> int:
        """How many times a version was missed."""
        return self.fusions.total() + self.configs.total()

    def check(self, site: str) -> None:
        """Refuse to go on without the versions that were missed.

        Raises:
            Fatal: naming each of them, how many records need it, and where it belongs.
        """
        said = [
            *_said(
                "fusion",
                self.fusions.items(),
                f"put the {DEFAULT_PATH.name} of each into a folder and name it with --fusions",
            ),
            *_said("configuration", self.configs.items(), "the store has all since it was made or restored"),
        ]
        if said:
            raise Fatal(f"site {site} cannot be replayed: " + "; ".join(said))


def _said(what: str, missed: Iterable[tuple[object, int]], fix: str) -> list[str]:
    names = [f"{version} of {count:,} records" for version, count in missed]
    return [f"not at hand is {what} {', '.join(names)}: {fix}"] if names else []
