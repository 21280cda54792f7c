"""The page `docs/access.md`: the broker's rules and the stores' users for people. `python -m deploy.access_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deploy.store_access import ACCESS, FAMILIES, Store
from streams.acls import Operation, Pattern, Resource, Role, Rule, rules

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "access.md"
_SITE: Final = "SITE"  # an id that no other word on the page contains
_HEAD: Final = """\
<!-- Written by `python -m deploy.access_page` from streams/acls.py, streams/topics.py and deploy/store_access.py. -->
# Who may do what

Everything that is not on this page is refused. How credentials are made and used: [credentials](credentials.md).

## On the broker

"""
_GROUPS: Final = """
- A worker joins the consumer group of its name. Others that read name their groups as they like, behind
  `<principal>:`; no site's id has a colon in it, so no group can pass for another site's.
- Nobody may delete a topic or its records, and nobody has transactions.
- The right to write a topic includes idempotent producers.

## In the stores

`sideline.<worker>` is the user of a worker in both stores, `sideline.operator` that of the commands.

"""
_KEYS: Final = """
A user that calls scripts may hand them the keys it reads; changing one by a script still needs the right to write it.

| store | keys | pattern | read by | written by |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    broker = ["| principal | writes | reads | groups | else |", "|---|---|---|---|---|"]
    broker += [_principal(role) for role in Role]
    stores = ["| user | store | reads | reads and writes | calls scripts |", "|---|---|---|---|---|"]
    stores += [_user(store, role) for role in Role for store in Store if role in ACCESS[store]]
    keys = [
        f"| {store.value} | {name} | `{family.pattern}` | {_code(family.reads)} | {_code(family.writes)} |"
        for store in Store
        for name, family in FAMILIES[store].items()
    ]
    return _HEAD + "\n".join(broker) + "\n" + _GROUPS + "\n".join(stores) + "\n" + _KEYS + "\n".join(keys) + "\n"


def _principal(role: Role) -> str:
    name = role.principal(_SITE if role.of_a_site else None)
    mine = [rule for rule in rules([_SITE]) if rule.principal == name]
    on_topics = [rule for rule in mine if rule.resource is Resource.TOPIC]
    writes = [rule for rule in on_topics if rule.operation is Operation.WRITE]
    reads = [rule for rule in on_topics if rule.operation is Operation.READ]
    groups = [rule for rule in mine if rule.resource is Resource.GROUP]
    rest = [rule for rule in mine if rule not in {*writes, *reads, *groups}]
    joined = [f"{'sees ' if rule.operation is Operation.DESCRIBE else ''}{_name(rule)}" for rule in groups]
    other = [f"{rule.operation.name} {_name(rule)}" for rule in rest]
    cells = (map(_name, writes), map(_name, reads), joined, other)
    return f"| `{_shown(name)}` | {' | '.join(map(', '.join, cells))} |"


def _user(store: Store, role: Role) -> str:
    access = ACCESS[store][role]
    calls = "yes" if access.calls else ""
    return (
        f"| `{role.principal()}` | {store.value} | {', '.join(access.reads)} | {', '.join(access.writes)} | {calls} |"
    )


def _name(rule: Rule) -> str:
    return f"`{_shown(rule.name)}{'*' if rule.pattern is Pattern.PREFIXED else ''}`"


def _shown(name: str) -> str:
    return name.replace(_SITE, "<site>")


def _code(commands: Iterable[str]) -> str:
    return " ".join(f"`{command}`" for command in commands)


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether it is current."""
    if "--check" in arguments:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
