"""Requests that made an engine crash or stand still: by their digest, in memory and for all workers in the store.

No engine gets one of them again. What is kept is the digest, never a request.
"""

import asyncio
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from cachetools import LRUCache

from jobs.ml_worker.engines.refusals import schema_refused
from shared.core.errors import InvalidRequest, OmniError
from shared.ports.clock import Clock
from shared.ports.store import Store, Transaction

COLLECTION, DOCUMENT = "engine_blocklist", "all"
KEPT_S = 7 * 24 * 3600.0
REFRESH_S = 60.0
MOST = 1000
"""Digests; the oldest give way."""
MOST_PROVEN = 1000
CONSTRAINTS = ("grammar", "response_format", "tools")
"""What makes an engine keep to a grammar."""
CRASH = re.compile(r"status (-(4|6|7|8|11)|13[2456]|139)\b")
"""How a program ends that broke its own memory or gave up: signals, also as a shell tells them."""

Call = Mapping[str, Any]
Work = Callable[[Mapping[str, float], float], Callable[[Transaction], dict[str, float]]]
_encode = msgspec.json.Encoder(order="sorted").encode
log = logging.getLogger("omni.model")


class Blocklist:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._until: dict[str, float] = {}
        self._strikes: Counter[str] = Counter()
        self._proven: LRUCache[str, None] = LRUCache(MOST_PROVEN)

    def require_harmless(self, call: Call) -> None:
        """InvalidRequest for a call that has ended an engine before."""
        if self._until and any(self._until.get(each, 0.0) > self._clock.now() for each in _digests(call)):
            raise refusal(call)

    def prove(self, call: Call) -> None:
        """Notes that an engine has answered under these constraints."""
        if is_constrained(call):
            self._proven[_constraint(call)] = None

    async def blame(self, calls: Collection[Call], left: Collection[Call], how: str, *, stalled: bool) -> None:
        """Blocks those of the calls that an engine was busy with which may have ended it, or those that were given up.

        Constraints that have been answered before are not to blame, and others are before anything else. A call
        without any is blamed when it was there alone and the engine crashed, or when it was there twice.
        """
        suspects = self._unproven(calls) or self._unproven(left)
        if not suspects:
            plain = {_digest(each) for each in calls if not is_constrained(each)}
            self._strikes.update(plain)
            alone = len(calls) == 1 and (stalled or CRASH.search(how) is not None)
            suspects = {each for each in plain if alone or self._strikes[each] > 1}
        if suspects:
            await self._add(suspects)

    def _unproven(self, calls: Collection[Call]) -> set[str]:
        return {_constraint(each) for each in calls if is_constrained(each)} - self._proven.keys()

    async def keep_up(self) -> None:
        """Reads what other workers have blocked, again and again."""
        while True:
            await self._in_store(_read)
            await asyncio.sleep(REFRESH_S)

    async def _add(self, digests: Collection[str]) -> None:
        until = self._clock.now() + KEPT_S
        self._until |= dict.fromkeys(digests, until)
        log.error("requests blocked", extra={"fields": {"count": len(digests)}})
        await self._in_store(_write)

    async def _in_store(self, work: Work) -> None:
        try:
            self._until |= await asyncio.to_thread(self._store.transact, work(self._until, self._clock.now()))
        except OmniError as error:  # the store is away: this worker knows what it has seen itself
            log.warning("blocklist not shared", extra={"fields": {"detail": error.detail}})


def _read(_: Mapping[str, float], now: float) -> Callable[[Transaction], dict[str, float]]:
    def work(transaction: Transaction) -> dict[str, float]:
        found = (transaction.get(COLLECTION, DOCUMENT) or {}).get("until", {})
        return {digest: until for digest, until in found.items() if until > now}

    return work


def _write(added: Mapping[str, float], now: float) -> Callable[[Transaction], dict[str, float]]:
    def work(transaction: Transaction) -> dict[str, float]:
        both = {**_read({}, now)(transaction), **added}
        kept = dict(sorted(both.items(), key=lambda each: -each[1])[:MOST])
        transaction.put(COLLECTION, DOCUMENT, {"until": kept})
        return kept

    return work


def is_constrained(call: Call) -> bool:
    return any(name in call for name in CONSTRAINTS)


def refusal(call: Call) -> InvalidRequest:
    field = next((name for name in CONSTRAINTS if name in call), None)
    if field is None:
        return InvalidRequest("This request has ended the model's engine before.", code="request_blocked")
    return schema_refused("tools" if field == "tools" else "response_format")


def _digests(call: Call) -> tuple[str, ...]:
    return (_constraint(call), _digest(call)) if is_constrained(call) else (_digest(call),)


def _constraint(call: Call) -> str:
    return hashlib.sha256(_encode({name: call[name] for name in CONSTRAINTS if name in call})).hexdigest()


def _digest(call: Call) -> str:
    return hashlib.sha256(_encode({name: value for name, value in call.items() if name != "seed"})).hexdigest()
