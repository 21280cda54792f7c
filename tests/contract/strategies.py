"""Hypothesis strategies that follow the Structs, so that a new field is tested the day it is added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import inspect

from schemas.messages import Message

M = TypeVar("M", bound=Message)
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# One day inside the first and the last that UTC can name, whatever the offset.
TIMES = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 - the strategy adds the offset
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.one_of(st.just(UTC), OFFSETS),
)


def messages(kind: type[M]) -> st.SearchStrategy[M]:
    """Give messages of a kind with any values that its types allow."""
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one arm for each kind of type
    """Return the strategy for one type."""
    match info:
        case inspect.Metadata(type=inner):
            return _of(inner)
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _of(field.type) for field in fields})
        case inspect.EnumType(cls=cls):
            return st.sampled_from(cls)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.StrType(pattern=str(pattern)):
            return st.from_regex(pattern, fullmatch=True)
        case inspect.StrType(min_length=low, max_length=high):
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=low or 0, max_size=min(high or 40, 40))
        case inspect.IntType(ge=low, le=high):
            return st.integers(-(2**53) if low is None else low, 2**53 if high is None else high)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.DateTimeType():
            return TIMES
        case inspect.ListType(item_type=item, min_length=low, max_length=high):
            return st.lists(_of(item), min_size=low or 0, max_size=min(high or 4, 4))
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
    raise NotImplementedError(f"no strategy for {info}")
