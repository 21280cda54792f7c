"""What the two stores hold of one capture. A store that is away, or another one, is an answer too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from budget import trace as traces
from budget.link import RedisLink
from budget.trace import Effect, Trace
from cli.history.where import Where
from gallery.store import GalleryStore
from schemas.faults import SidelineError

LIMIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Stores:
    """What the stores say. `site` is the one that has the outcome; `trouble` why the decision store is no witness."""

    kept: Trace | None = None
    site: str | None = None
    effects: Mapping[str, Effect] = field(default_factory=dict)  # by disposition
    trouble: str = ""
    gallery: str = ""  # where the capture stands as a reference


async def ask(where: Where, capture_id: str, sites: Sequence[str]) -> Stores:
    """Look for the outcome of a capture at some sites, and for the reference that it may have become."""
    gallery = await _in_the_gallery(where, capture_id)
    link = RedisLink(where.decisions_url, timeout_s=LIMIT_S)
    trouble = ""
    try:
        found = await traces.store_id(link)
        if where.store_id and found != where.store_id:
            trouble = f"the store is not the pinned one: it says {found or 'nothing'}, not {where.store_id}"
        for site in sites:
            if (kept := await traces.trace(link, site, capture_id)) is not None:
                return Stores(kept, site, trouble=trouble, gallery=gallery)
    except SidelineError as error:
        trouble = str(error)
    finally:
        await link.close()
    return Stores(trouble=trouble, gallery=gallery)


async def with_effects(where: Where, stores: Stores, site: str, disposition_ids: Sequence[str]) -> Stores:
    """Add what verdicts did."""
    link = RedisLink(where.decisions_url, timeout_s=LIMIT_S)
    try:
        return replace(stores, effects=await traces.effects(link, site, disposition_ids))
    except SidelineError as error:
        return replace(stores, trouble=stores.trouble or str(error))
    finally:
        await link.close()


async def _in_the_gallery(where: Where, capture_id: str) -> str:
    gallery = GalleryStore(where.gallery_url, timeout_s=LIMIT_S)
    try:
        facts = await gallery.facts(f"capture.{capture_id}")
    except SidelineError as error:
        return str(error)
    finally:
        await gallery.close()
    return "" if facts is None else f"the gallery has it as a {facts.state.value} reference"
