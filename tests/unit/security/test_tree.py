"""What our own code never does, looked for in every file of the tree, tests and benchmarks included."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[3]
FILES: Final = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not {part for part in path.relative_to(ROOT).parts[:-1] if part.startswith((".", "build", "dist"))}
)
# What turns data into code, or hands it to a shell.
CALLS: Final = frozenset(
    {
        *("eval", "exec", "compile", "__import__", "breakpoint"),
        *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"),
        *("asyncio.create_subprocess_shell", "create_subprocess_shell"),
        *(
            "yaml.load",
            "yaml.load_all",
            "yaml.full_load",
            "yaml.full_load_all",
            "yaml.unsafe_load",
            "yaml.unsafe_load_all",
        ),
        *("tempfile.mktemp", "ssl._create_unverified_context"),
    }
)
MODULES: Final = frozenset(
    {
        *(
            "pickle",
            "cPickle",
            "_pickle",
            "cloudpickle",
            "dill",
            "shelve",
            "marshal",
            "joblib",
            "jsonpickle",
            "copyreg",
        ),
        *("ruamel", "code", "codeop", "imp", "pty"),
    }
)
# Keywords by which a call of a library gives up its caution.
UNSAFE: Final = {
    "shell": True,
    "allow_pickle": True,
    "weights_only": False,
    "verify": False,
    "check_hostname": False,
    "autoescape": False,
}
# Where a rule of bandit's, as ruff has it, is switched off outside tests and benchmarks; the reason stands on the line.
SWITCHED_OFF: Final = {
    "cli/parts.py": {"S606", "S607"},
    "cli/train.py": {"S606"},
    "deploy/local/doctor.py": {"S108"},
    "deploy/local/launch.py": {"S606"},
    "deploy/local/triton.py": {"S108"},
    "schemas/words.py": {"S105"},
}


def sins(source: str) -> Iterator[str]:
    """Name what a file does that none should."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (f"imports {each.name}" for each in names if each.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES | {"yaml"}:  # under another name
                yield f"imports {module}"
            case ast.Call(func=function, keywords=keywords):
                if (name := ast.unparse(function)) in CALLS:
                    yield f"calls {name}"
                yield from (
                    f"calls {name}({each.arg}={each.value.value})"
                    for each in keywords
                    if isinstance(each.value, ast.Constant)
                    and each.arg in UNSAFE
                    and each.value.value is UNSAFE[each.arg]
                )
                if name.endswith("torch.load") and "weights_only" not in {each.arg for each in keywords}:
                    yield "calls torch.load without weights_only"
            case ast.Attribute(attr="CERT_NONE" | "PROTOCOL_SSLv23"):
                yield f"uses ssl.{node.attr}"
            case _:
                pass


class TestWhatNobodyDoes:
    """No deserialiser of code, no evaluation, no shell, no unchecked certificates."""

    def test_the_tree_is_seen(self) -> None:
        """The search below would find nothing in an empty list."""
        seen = {path.relative_to(ROOT).parts[0] for path in FILES}
        assert {"streams", "workers", "evidence", "budget", "cli", "tests", "training", "deploy", "bench"} <= seen

    @pytest.mark.parametrize("folder", sorted({path.relative_to(ROOT).parts[0] for path in FILES}))
    def test_in_any_file(self, folder: str) -> None:
        """Each file of the folder, read as Python reads it."""
        found = {
            f"{path.relative_to(ROOT)} {sin}"
            for path in FILES
            if path.relative_to(ROOT).parts[0] == folder
            for sin in sins(path.read_text(encoding="utf-8"))
        }
        assert set() == found

    @pytest.mark.parametrize(
        "source",
        [
            "import pickle",
            "from pickle import loads",
            "yaml.load(text, Loader=yaml.Loader)",
            "from yaml import load",
            "eval(text)",
            "exec(text)",
            "subprocess.run(words, shell=True)",
            "os.system(words)",
            "await asyncio.create_subprocess_shell(words)",
            "np.load(path, allow_pickle=True)",
            "torch.load(path)",
            "torch.load(path, weights_only=False)",
            "requests.get(url, verify=False)",
            "context.verify_mode = ssl.CERT_NONE",
        ],
    )
    def test_would_be_found(self, source: str) -> None:
        """The search itself, on what it is for."""
        assert list(sins(f"async def f():\n    {source}"))

    @pytest.mark.parametrize(
        "source",
        [
            "re.compile(text)",
            "model.eval()",
            "yaml.safe_load(text)",
            "np.load(path)",
            "np.load(path, allow_pickle=False)",
        ],
    )
    def test_leaves_the_harmless_alone(self, source: str) -> None:
        """Names that look alike."""
        assert [] == list(sins(source))


class TestLinter:
    """Bandit's rules are on, in ruff."""

    def test_no_security_rule_is_off_for_everything(self) -> None:
        """S311 alone: seeded random numbers draw pictures here, never keys."""
        lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
        assert ["ALL"] == lint["select"]
        assert ["S311"] == [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)]
        by_files = {
            files: [rule for rule in rules if re.fullmatch(r"S\d*", rule)]
            for files, rules in lint["per-file-ignores"].items()
        }
        assert {"tests/**": ["S101", "S603", "S607"], "deploy/local/**": ["S603", "S607"]} == {
            files: rules for files, rules in by_files.items() if rules
        }

    def test_exceptions_are_known(self) -> None:
        """A new one needs a line here as well, so that it is argued about."""
        found: dict[str, set[str]] = {}
        for path in FILES:
            name = path.relative_to(ROOT)
            if name.parts[0] in {"tests", "bench"}:
                continue
            for codes in re.findall(r"# noqa: ([A-Z0-9, ]+)", path.read_text(encoding="utf-8")):
                if rules := set(re.findall(r"\bS\d{3}\b", codes)):
                    found.setdefault(name.as_posix(), set()).update(rules)
        assert SWITCHED_OFF == found
