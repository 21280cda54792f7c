"""The broker's rules as they are, and making them as they should be.

The admin client of aiokafka has no verb for rules, its protocol has: these are the three requests, from one principal
that may alter the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

from schemas.faults import Fatal, SidelineError
from streams import connection
from streams.acls import PREFIX, WORKERS, Operation, Pattern, Resource, Rule
from streams.topic_admin import REQUEST_LIMIT_MS, VISIBLE_WITHIN_S

_ANY: Final = 1  # of types, patterns, operations and permissions in a filter
_ALLOW: Final = 3
_USER: Final = "User:"
_EVERYWHERE: Final = "*"
_EVERYTHING: Final = "*"
_NO_AUTHORIZER: Final = 54  # SECURITY_DISABLED


@dataclass(frozen=True, slots=True)
class Found:
    """A broker's rules: those of the kinds that we make, and in words the others that concern us."""

    rules: frozenset[Rule]
    strange: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What the broker lacks, and what it has too much of for our principals, topics and groups."""

    missing: tuple[Rule, ...]
    surplus: tuple[Rule, ...]
    strange: tuple[str, ...]


async def difference(bootstrap: str, wanted: Iterable[Rule]) -> Difference:
    """Compare the broker's rules with those that should be there.

    Raises:
        Retryable: `kafka`, when the broker is away.
        Fatal: this principal may not see the rules, or the broker keeps none.
    """
    async with _client(bootstrap) as client:
        found = await _found(client)
    rules = frozenset(wanted)
    surplus = [
        rule
        for rule in sorted(found.rules - rules)
        if rule.principal.startswith(PREFIX) or _touches_us(rule.name, rule.pattern)
    ]
    return Difference(tuple(sorted(rules - found.rules)), tuple(surplus), found.strange)


async def grant(bootstrap: str, rules: Sequence[Rule]) -> None:
    """Make rules, and return when the broker shows them; one that is there already stays.

    Raises:
        Retryable: `kafka`, when the broker is away.
        Fatal: this principal may not make rules, or the broker keeps none.
    """
    async with _client(bootstrap) as client:
        answers = await asyncio.gather(*(_ask(client, CreateAclsRequest(*_words(rule))) for rule in rules))
        for rule, answer in zip(rules, answers, strict=True):
            for code, text in answer.creation_responses:
                _check(code, f"cannot let {rule.principal} {rule.operation.name} {rule.name}: {text}")
        await _until(client, lambda found: found.issuperset(rules))


async def revoke(bootstrap: str, rules: Sequence[Rule]) -> None:
    """Take rules away, and return when the broker no longer shows them; raises like `grant`."""
    async with _client(bootstrap) as client:
        answers = await asyncio.gather(*(_ask(client, DeleteAclsRequest(*_words(rule))) for rule in rules))
        for rule, answer in zip(rules, answers, strict=True):
            for code, text, _ in answer.filter_responses:
                _check(code, f"cannot take {rule.operation.name} {rule.name} from {rule.principal}: {text}")
        await _until(client, lambda found: found.isdisjoint(rules))


@contextlib.asynccontextmanager
async def _client(bootstrap: str) -> AsyncIterator[AIOKafkaClient]:
    client = AIOKafkaClient(**connection.arguments(bootstrap), request_timeout_ms=REQUEST_LIMIT_MS)
    try:
        await client.bootstrap()
        yield client
    except (KafkaError, TimeoutError, OSError) as error:
        raise connection.fault(error, bootstrap) from error
    finally:
        await client.close()


async def _ask(client: AIOKafkaClient, request: object) -> Any:  # noqa: ANN401 - aiokafka ships no types
    return await client.send(client.get_random_node(), request)


async def _found(client: AIOKafkaClient) -> Found:
    """Return the rules on the broker."""
    answer = await _ask(client, DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY))
    _check(answer.error_code, f"cannot see the rules: {answer.error_message}")
    rules, strange = set(), []
    for kind, name, pattern, entries in answer.resources:
        for principal, host, operation, permission in entries:
            user = principal.removeprefix(_USER)
            try:
                rule = Rule(user, Resource(kind), name, Pattern(pattern), Operation(operation))
            except ValueError:
                rule = None
            if rule is None or host != _EVERYWHERE or permission != _ALLOW:
                if user.startswith(PREFIX) or _touches_us(name, pattern):
                    words = f"{principal} from {host}: operation {operation}, permission {permission} on {name}"
                    strange.append(words)
            else:
                rules.add(rule)
    return Found(frozenset(rules), tuple(sorted(strange)))


def _touches_us(name: str, pattern: int) -> bool:
    """Tell whether a rule on something of this name lets anyone at our topics or groups."""
    if pattern == Pattern.PREFIXED:
        return name.startswith(PREFIX) or any(ours.startswith(name) for ours in (PREFIX, *WORKERS))
    return name == _EVERYTHING or name.startswith(PREFIX) or name in WORKERS


async def _until(client: AIOKafkaClient, done: Callable[[frozenset[Rule]], bool]) -> None:
    """Wait until the broker's rules are as they were just made."""
    async with asyncio.timeout(VISIBLE_WITHIN_S):
        while not done((await _found(client)).rules):  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.05)


def _words(rule: Rule) -> tuple[int, str, int, str, str, int, int]:
    return (
        rule.resource,
        rule.name,
        rule.pattern,
        f"{_USER}{rule.principal}",
        _EVERYWHERE,
        rule.operation,
        _ALLOW,
    )


def _check(code: int, what: str) -> None:
    """Raise for a refusal."""
    if code == 0:
        return
    if code == _NO_AUTHORIZER:
        raise Fatal("the broker keeps no rules: give it an authorizer, see docs/credentials.md")
    fault: SidelineError = connection.fault(for_code(code)(), what)
    raise fault
