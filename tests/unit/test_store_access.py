"""The table of the stores' users beside the scripts and key names that it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import gallery.link
from budget.keys import SITES, STORE, SiteKeys, letter_key
from budget.link import script_text
from deploy.store_access import ACCESS, FAMILIES, Family, Store, line, users, words
from gallery.link import patch_key
from streams.acls import WORKERS, Role

CALL = re.compile(r"""(?:redis\.call|[^_]write)\(\s*["']([A-Z]+)["']""")
SCRIPTS = Path(gallery.link.__file__).parent


def known_commands(families: Mapping[str, Family]) -> set[str]:
    """Return every command that a table grants on some key."""
    return {command for family in families.values() for command in (*family.reads, *family.writes)}


def covers(families: Mapping[str, Family], key: str) -> bool:
    """Tell whether a table knows a key, as Redis matches patterns."""
    patterns = [re.escape(family.pattern).replace(r"\*", ".*") for family in families.values()]
    return any(re.fullmatch(pattern, key) for pattern in patterns)


class TestTheTables:
    """They keep up with the code: what a script does and no user may do fails midway on a secured store only."""

    def test_every_command_of_the_decision_script(self) -> None:
        """Calls and collected writes alike."""
        found = {each.lower() for each in CALL.findall(script_text())} - {"time"}
        assert len(found) > 15
        assert found <= known_commands(FAMILIES[Store.DECISIONS])

    @pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.lua")), ids=lambda path: path.stem)
    def test_every_command_of_the_gallerys_scripts(self, script: Path) -> None:
        """The same for these."""
        found = {each.lower() for each in CALL.findall(script.read_text())}
        assert found
        assert found <= known_commands(FAMILIES[Store.GALLERY])

    def test_every_key_of_the_decision_store(self) -> None:
        """Those with a name of their own, and those that are made from ids."""
        keys = SiteKeys("a.site")
        named = [
            STORE,
            SITES,
            letter_key("topic/0/1"),
            keys.outcome("c"),
            keys.unit("u"),
            keys.last("u"),
            keys.verdict("d"),
            keys.threshold("v"),
            keys.scores("v"),
            "{a.site}:scans:u",
        ]
        in_script = set(re.findall(r'PREFIX \.\. "([a-z_]+)"', script_text()))
        assert in_script
        assert [] == [key for key in [*named, *map(keys.key, in_script)] if not covers(FAMILIES[Store.DECISIONS], key)]

    def test_every_key_of_the_gallery(self) -> None:
        """All names in gallery/link.py, prefixes with an id behind them."""
        names = [value for name, value in vars(gallery.link).items() if name.isupper() and isinstance(value, str)]
        assert len(names) > 10
        keys = [patch_key("m:1", "r"), *(f"{name}x" if name.endswith(":") else name for name in names)]
        assert [] == [key for key in keys if not covers(FAMILIES[Store.GALLERY], key)]

    def test_nobody_has_what_does_not_exist(self) -> None:
        """Every name in the table of roles is a kind of keys, and none is both only read and written."""
        for store, roles in ACCESS.items():
            for access in roles.values():
                assert set(access.reads) | set(access.writes) <= set(FAMILIES[store])
                assert not set(access.reads) & set(access.writes)


class TestWhoHasWhat:
    """The separations that matter, said once more by hand."""

    def test_every_worker_that_opens_the_decision_store_has_a_user(self) -> None:
        """All five do, if only to see that it is the pinned one."""
        assert {worker.principal() for worker in WORKERS} <= set(users(Store.DECISIONS))

    def test_who_writes_outcomes_budgets_and_configurations(self) -> None:
        """Deciding, settling and mending are three; nothing else touches an outcome, only people change rules."""

        def writers(name: str) -> set[Role]:
            return {role for role, access in ACCESS[Store.DECISIONS].items() if name in access.writes}

        assert {Role.INSPECTOR, Role.SETTLER, Role.OPERATOR} == writers("outcomes") == writers("budget")
        assert {Role.OPERATOR} == writers("config") == writers("lines") == writers("sites") == writers("this store")
        assert {Role.TRACKER} == writers("scans")
        assert set() == writers("clock")


class TestWords:
    """What Redis is told."""

    def test_a_line_holds_a_digest_and_no_password(self) -> None:
        """Of `secret`, as any tool computes it."""
        said = line(Store.DECISIONS, "sideline.tracker", secret="secret")  # noqa: S106 - it is looked for below
        assert " #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b " in said
        assert ">" not in said
        assert "secret" not in said

    def test_without_a_password_nobody_can_log_in(self) -> None:
        """A user without one is not one that needs none."""
        for store in Store:
            for user in users(store):
                assert "nopass" not in line(store, user, secret=None)
                assert "clearselectors" in words(store, user)
