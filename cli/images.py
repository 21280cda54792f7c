"""`sideline images`: pictures are kept as long as somebody needs them, then deleted by rule."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from budget.restore import check_seq
from budget.waiting import Waiting
from cli.here import Line, here, the_site
from cli.verdicts import Timeouts, read
from feedback.expiry import Hearing, Need, OldFile, bytes_of, old_files, remove
from feedback.labels import SPOKEN
from gallery.facts import State
from gallery.store import GalleryStore
from schemas.faults import Fatal
from schemas.messages import Capture, Decision, Disposition, Reference
from schemas.words import Verdict
from settings.line import Settings
from streams.topics import DAY_MS, Entity, Scope, last_seq, spec, topic

_EXAMPLES: Final = """Examples:

  sideline images expire --site fra1 --dry-run

  sideline images expire --site fra1

  sideline images expire --site fra1 --keep-days 3 --strays
"""
_DAY_S: Final = 86_400.0
_RECORDS_S: Final = spec(Entity.DECISIONS, Scope.SITE).retention_ms / 1000  # then no record names a picture any more
_SEGMENT_S: Final = DAY_MS / 1000  # by so much records may outlive that


def register(app: typer.Typer) -> None:
    """Add the command."""
    images = typer.Typer(no_args_is_help=True, help="Delete pictures that nothing needs any more.")
    images.callback()(_group)
    images.command("expire", epilog=_EXAMPLES)(expire)
    app.add_typer(images, name="images", epilog=_EXAMPLES)


def _group() -> None:
    """Delete pictures that nothing needs any more."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How long pictures are kept after their decision, in seconds, beside the verdict timeout in force then."""

    plain_s: float  # the gallery's window and the days configured
    labelled_s: float  # at least; never less than the others
    now: float  # seconds since the epoch

    def over(self, decision: Decision, timeout_ms: int, *, labelled: bool) -> bool:
        """Tell whether the time of a decision's pictures is over."""
        kept_s = timeout_ms / 1000 + self.plain_s
        return decision.decided_at.timestamp() + (max(kept_s, self.labelled_s) if labelled else kept_s) < self.now


@dataclass(slots=True)
class Outcome:
    """What was deleted, and what was not."""

    deleted: list[OldFile] = field(default_factory=list)
    strays: list[OldFile] = field(default_factory=list)
    changed: int = 0  # gone or written again since they were listed
    failed: list[str] = field(default_factory=list)


def expire(
    site: Annotated[str | None, typer.Option(help="Default: the one used last, or the only one.")] = None,
    keep_days: Annotated[float | None, typer.Option(min=0, help="Default: SIDELINE_IMAGES_KEEP_DAYS, else 1.")] = None,
    keep_labelled_days: Annotated[
        float | None, typer.Option(min=0, help="Default: SIDELINE_IMAGES_KEEP_LABELLED_DAYS, else 28.")
    ] = None,
    strays: Annotated[
        bool, typer.Option("--strays", help="Delete pictures below the image roots that no record names, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
) -> None:
    """Delete a site's pictures once nothing needs them. Run it daily.

    A picture is kept for the verdict timeout, the gallery's window and the days asked for after its decision, and
    longer where a person has judged it. Whatever its age it stays while a stop that is open, a verdict that is not
    settled, a reference or a candidate of the gallery, a younger capture or another site names it.

    Only regular files below the image roots (SIDELINE_IMAGE_ROOTS) are deleted, and only those that a decision of the
    site names; links are refused. Pictures that no record has named for 31 days, such as those of refused captures, are
    counted, and deleted with --strays. Pictures in buckets are left to the bucket's lifecycle rules: docs/feedback.md.
    """
    line, settings = here(), Settings()
    rule = _rule(settings, keep_days, keep_labelled_days)
    hearing, name = asyncio.run(hear(line, settings, site, rule))
    outcome = Outcome()
    outcome.strays = hearing.strays(rule.now - _RECORDS_S - _SEGMENT_S)
    for file in hearing.condemned() + (outcome.strays if strays else []):
        _delete(file, outcome, dry_run=dry_run)
    _print(name, hearing, outcome, strays=strays, dry_run=dry_run)
    if outcome.failed:
        raise typer.Exit(1)


def _rule(settings: Settings, keep_days: float | None, keep_labelled_days: float | None) -> Rule:
    """Return the rule in force.

    Raises:
        Fatal: records would be gone before the pictures that they name, which would then stay for ever.
    """
    plain_s = settings.gallery_window_s + _DAY_S * (settings.images_keep_days if keep_days is None else keep_days)
    labelled_s = _DAY_S * (settings.images_keep_labelled_days if keep_labelled_days is None else keep_labelled_days)
    if max(plain_s, labelled_s) > _RECORDS_S - _DAY_S:
        raise Fatal(
            f"pictures would be kept {max(plain_s, labelled_s) / _DAY_S:g} days (the gallery's window included), but "
            f"decisions name them for {_RECORDS_S / _DAY_S:g}: keep them at least a day less, and export what is "
            "labelled (sideline dataset export)"
        )
    return Rule(plain_s, labelled_s, time.time())


async def hear(line: Line, settings: Settings, wanted: str | None, rule: Rule) -> tuple[Hearing, str]:
    """List old files and hear every record that may name one."""
    site = await the_site(line, wanted)
    roots = [*(settings.image_roots or [line.folder.images])]
    try:
        hearing = old_files(roots, rule.now - rule.plain_s)
    except OSError as error:
        raise Fatal(f"{error.filename} cannot be read: {error.strerror}; SIDELINE_IMAGE_ROOTS names it") from error
    unreadable: Counter[str] = Counter()
    await _hear_references(line, hearing, rule, unreadable)
    store = line.store()
    try:
        await store.verify()
        check_seq(await store.sequence(site), await last_seq(line.bootstrap, site))  # a store that forgot has no stops
        for other in await store.sites():
            async for capture, _ in read(line, topic(Entity.CAPTURES, other), Capture, 0, unreadable):
                for view in capture.views:
                    hearing.keep(view.uri, Need.RECENT)
            if other != site:
                async for decision, _ in read(line, topic(Entity.DECISIONS, other), Decision, 0, unreadable):
                    for uri in decision.views:
                        hearing.keep(uri, Need.OTHER_SITE)
        horizon_ms = (await store.state(site)).config.horizon_ms
        needs = await _needs(line, site, rule.now * 1000 - horizon_ms, unreadable)
        timeouts = Timeouts(store, site)
        async for decision, _ in read(line, topic(Entity.DECISIONS, site), Decision, 0, unreadable):
            need = needs.of(decision) or needs.by_age(decision, await timeouts.of(decision), rule)
            for uri in decision.views:
                hearing.keep(uri, need) if need else hearing.due(uri)
    finally:
        await store.close()
    return hearing, site


@dataclass(frozen=True, slots=True)
class _Needs:
    """Captures and units that a person has judged or is to judge."""

    open: frozenset[str]
    unsettled: frozenset[str]  # captures and units
    labelled: frozenset[str]  # the same

    def of(self, decision: Decision) -> Need | None:
        """Return what keeps a capture's pictures whatever their age."""
        if decision.capture_id in self.open:
            return Need.OPEN
        return Need.UNSETTLED if {decision.capture_id, decision.unit_id} & self.unsettled else None

    def by_age(self, decision: Decision, timeout_ms: int, rule: Rule) -> Need | None:
        """Return what keeps them for a time."""
        labelled = bool({decision.capture_id, decision.unit_id} & self.labelled)
        if rule.over(decision, timeout_ms, labelled=labelled):
            return None
        return Need.LABELLED if rule.over(decision, timeout_ms, labelled=False) else Need.RECENT


async def _needs(line: Line, site: str, horizon_began_ms: float, unreadable: Counter[str]) -> _Needs:
    """Ask the store and the dispositions. A verdict by unit counts for all captures of the unit."""
    about: dict[str, str] = {}
    labelled: set[str] = set()
    async for said, (append_ms, _, _) in read(line, topic(Entity.DISPOSITIONS, site), Disposition, 0, unreadable):
        if (subject := said.capture_id or said.unit_id) is None:
            continue
        if said.verdict in SPOKEN:
            labelled.add(subject)
        if append_ms >= horizon_began_ms:
            about[said.disposition_id] = subject
    waiting = Waiting(line.endpoints.redis_decisions_url)
    try:
        unheard = await waiting.unheard(site, list(about))
        return _Needs(
            await waiting.open_captures(site), frozenset(about[name] for name in unheard), frozenset(labelled)
        )
    finally:
        await waiting.close()


async def _hear_references(line: Line, hearing: Hearing, rule: Rule, unreadable: Counter[str]) -> None:
    """Keep what references show: those somebody vouches for, and captures that the gallery took or has yet to look at.

    Raises:
        Fatal: the gallery is empty, so it cannot say which captures it took.
        Retryable: `gallery` is away.
    """
    newest: dict[str, tuple[Reference, int]] = {}
    async for reference, (append_ms, _, _) in read(line, topic(Entity.REFERENCES), Reference, 0, unreadable):
        newest[reference.reference_id] = reference, append_ms
    gallery = GalleryStore(line.endpoints.redis_gallery_url)
    try:
        proposed = any(reference.judged is not None for reference, _ in newest.values())
        if proposed and not (await gallery.position()).epoch:
            raise Fatal(
                "the gallery's store is empty, so which captures became references is not known: let the curator fill "
                "it first (sideline up), or name the right store in SIDELINE_REDIS_GALLERY_URL"
            )
        for reference, append_ms in newest.values():
            if reference.withdrawn or not await _in_use(gallery, reference, append_ms, rule):
                continue
            for view in reference.views:
                hearing.keep(view.uri, Need.REFERENCE)
    finally:
        await gallery.close()


async def _in_use(gallery: GalleryStore, reference: Reference, append_ms: int, rule: Rule) -> bool:
    """Tell whether a reference that was not withdrawn by hand is one, or may become one."""
    if reference.judged is None:
        return True
    facts = await gallery.facts(reference.reference_id)
    if facts is not None:
        return facts.state is not State.WITHDRAWN
    return reference.judged.verdict is Verdict.SELLABLE and append_ms / 1000 > rule.now - rule.plain_s


def _delete(file: OldFile, outcome: Outcome, *, dry_run: bool) -> None:
    try:
        if dry_run or remove(file):
            outcome.deleted.append(file)
        else:
            outcome.changed += 1
    except OSError as error:
        outcome.failed.append(f"{file.path}: {error.strerror}")


def _print(site: str, hearing: Hearing, outcome: Outcome, *, strays: bool, dry_run: bool) -> None:
    size = bytes_of(outcome.deleted)
    verb = "would be deleted" if dry_run else "deleted"
    print(f"{site}: {len(outcome.deleted):,} pictures {verb}, {size:,} bytes")
    kept = Counter(file.need for file in hearing.files.values() if file.need is not None)
    for need, number in kept.most_common():
        print(f"{number:>9,} old ones are kept: {need}")
    for number, words in (
        (0 if strays else len(outcome.strays), "are named by no record for 31 days: --strays deletes them"),
        (len(hearing.refused), "names of pictures lead outside the image roots or through a link: refused"),
        (outcome.changed, "changed while this command was looking, and were left"),
        (hearing.in_buckets, "are in buckets, whose lifecycle rules delete them"),
    ):
        if number:
            print(f"{number:>9,} {words}")
    for said in outcome.failed:
        print(f"          not deleted: {said}")
