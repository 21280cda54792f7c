"""`sideline acls`: who may do what on the broker and in the two stores, shown and put in force."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.here import Line, here, registered
from deploy import store_users
from deploy.store_access import Store, line, users
from schemas.faults import Fatal
from streams import acl_admin
from streams.acls import Pattern, Rule, rules

_EXAMPLES: Final = """Examples:

  sideline acls show --site fra1

  sideline acls show --stores --passwords /run/secrets/sideline

  sideline acls apply --site fra1

  sideline acls apply --stores --passwords /run/secrets/sideline
"""
Sites = Annotated[
    list[str] | None, typer.Option("--site", help="A site; may be given more than once. Default: the registered ones.")
]
Stores = Annotated[bool, typer.Option("--stores", help="The users of the two Redis stores instead of the broker's.")]
Passwords = Annotated[
    Path | None,
    typer.Option(help="With --stores: a folder of files named like the users, each with a password in it."),
]
Prune = Annotated[bool, typer.Option("--prune", help="Take away the broker's rules that the table does not have.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    acls = typer.Typer(
        no_args_is_help=True,
        help="Show who may do what on the broker and in the stores, or put it in force.",
        epilog=_EXAMPLES,
    )
    acls.command("show", epilog=_EXAMPLES)(show)
    acls.command("apply", epilog=_EXAMPLES)(apply)
    app.add_typer(acls, name="acls")


def show(site: Sites = None, stores: Stores = False, passwords: Passwords = None) -> None:
    """Print the broker's rules, a line each, or the lines of the stores' ACL files.

    Nothing is asked but which sites are registered, and that only where no --site is given.
    """
    if stores:
        for store in Store:
            print(f"# {store.value}")
            secrets = _secrets(store, passwords)
            for user in users(store):
                print(line(store, user, secret=secrets.get(user)))
        return
    for rule in rules(site or asyncio.run(registered(here()))):
        print(_said(rule))


def apply(site: Sites = None, stores: Stores = False, passwords: Passwords = None, prune: Prune = False) -> None:
    """Put the rules in force: on the broker as its admin, or with --stores as one who may make users there.

    Rules come before `sideline site add`: a worker that takes up a site finds them. What is there and not in the table
    is named, and stays unless --prune is given.
    """
    place = here()
    if stores:
        _make_users(place, passwords)
        return
    known = asyncio.run(registered(place))
    asyncio.run(_make_rules(place, sorted({*known, *(site or ())}), prune=prune))


async def _make_rules(place: Line, sites: list[str], *, prune: bool) -> None:
    found = await acl_admin.difference(place.bootstrap, rules(sites))
    await acl_admin.grant(place.bootstrap, found.missing)
    print(f"{len(found.missing)} rules made for {', '.join(sites) or 'no site'}")
    surplus = "taken away" if prune else "not in the table, still in force (--prune takes it away)"
    _list(surplus, map(_said, found.surplus))
    if prune:
        await acl_admin.revoke(place.bootstrap, found.surplus)
    _list("of a kind that we do not make, left as it is", found.strange)


def _make_users(place: Line, passwords: Path | None) -> None:
    urls = {
        Store.DECISIONS: place.endpoints.redis_decisions_url,
        Store.GALLERY: place.endpoints.redis_gallery_url,
    }
    for store, url in urls.items():
        kept = store_users.apply(url, store, _secrets(store, passwords))
        print(f"{len(users(store))} users made in the {store.value} store")
        if not kept:
            print("  until it restarts: it has no aclfile; put there what `sideline acls show --stores` prints")


def _secrets(store: Store, folder: Path | None) -> dict[str, str]:
    """Return the passwords in a folder by user.

    Raises:
        Fatal: it is no folder, or a file cannot be read.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise Fatal(f"--passwords {folder} is no folder; in it: a file for each user, like {next(iter(users(store)))}")
    try:
        return {
            user: (folder / user).read_text(encoding="utf-8").rstrip("\r\n")
            for user in users(store)
            if (folder / user).exists()
        }
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(f"a password in {folder} cannot be read: {type(error).__name__}") from None


def _said(rule: Rule) -> str:
    name = f"{rule.name}*" if rule.pattern is Pattern.PREFIXED else rule.name
    return f"{rule.principal}\t{rule.operation.name}\t{rule.resource.name.lower()}\t{name}"


def _list(what: str, lines: Iterable[str]) -> None:
    for each in lines:
        print(f"{what}: {each}")
