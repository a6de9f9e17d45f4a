"""Adopt a new version while the old one serves: 1 load, 2 prove, 3 warm, 4 swap. Until 4 the old one answers.

Knows: what the registry says now, what was refused, how a version proves itself.
Does not know: Kafka, torch, how a version is loaded (injected), what a turn does.

Steps 1, 2 and half of 3 (made-up users) run off the hot path; `poll` then hands the version over between two
turns, for the other half of 3 and for step 4 (adopting.py). If we die between any two, the next start reads
the registry again and begins at 1.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

from model.errors import ModelError
from stream.asking import Asking, Place, Ranker
from stream.errors import StreamError
from stream.lists import JUDGED_ITEMS
from stream.records import Header, encode_request
from stream.sessions import EMPTY, fingerprint_of

log = logging.getLogger("hopstream.scorer")

#: How often the registry is asked, seconds.
CHECK_S = 0.5
#: How long a version is left alone that this machine could not read or hold, seconds.
AGAIN_S = 30.0
#: A user id that no real request carries: real ones are not empty, and the control character is ours.
CANARY = "\x00canary"
#: Lengths of the canaries' sequences, events.
CANARY_LENGTHS = (1, 8, 40)


class VersionUnfit(StreamError):
    """A published version does not rank as it must and is refused; the one before keeps serving."""


class Current(Protocol):
    """What the registry says should serve."""

    @property
    def version(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def withdrawn(self) -> Collection[str]: ...


class HotSwap:
    """Follows the registry; one candidate at a time."""

    def __init__(
        self,
        current: Callable[[], Current | None],
        load: Callable[[str, int], Ranker],
        executor: Executor,
        max_batch: int,
    ) -> None:
        """``current``: the registry's answer; ``load``: (version, epoch) → a ranker, digests checked."""
        self.refused = 0
        self.wanted_epoch = 0  # of the registry, as it was read last
        self.settled = False  # the registry was asked, and nothing is on its way
        self._current = current
        self._load = load
        self._executor = executor
        self._max_batch = max_batch
        self._seen: tuple[str, int] | None = None  # adopted, refused or on its way
        self.coming: Future[Ranker] | None = None  # a candidate that is being prepared
        self._next_s = 0.0
        self._again_s = math.inf  # when what this machine could not read or hold may be tried again

    def poll(self, now_s: float) -> Ranker | None:
        """Called between turns with process time: a version that proved itself, or None."""
        if self.coming is not None:
            return self._arrived(self.coming, now_s) if self.coming.done() else None
        if now_s < self._next_s:
            return None
        self._next_s = now_s + CHECK_S
        if now_s >= self._again_s:
            self._seen, self._again_s = None, math.inf
        try:
            current = self._current()
        except (ModelError, OSError) as error:
            log.warning("the registry cannot be read, nothing changes: %s", error)
            self.settled = True
            return None
        self.wanted_epoch = 0 if current is None else current.epoch
        if current is None or (current.version, current.epoch) == self._seen:
            self.settled = True
            return None
        self._seen, self._again_s = (current.version, current.epoch), math.inf
        self.settled = False
        self.coming = self._executor.submit(self._prepare, current.version, current.epoch)
        return self._arrived(self.coming, now_s) if self.coming.done() else None

    def _prepare(self, version: str, epoch: int) -> Ranker:
        candidate = self._load(version, epoch)  # 1 load
        prove(candidate)  # 2 prove
        warm(candidate, self._max_batch)  # 3 warm
        return candidate

    def withdrawn(self, ranker: Ranker, now_s: float) -> bool:
        """Whether a version on its way was rolled back meanwhile; the registry is asked now and then."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + CHECK_S
        try:
            current = self._current()
        except (ModelError, OSError):
            return False
        if current is None or ranker.version not in current.withdrawn:
            return False
        log.warning("version %s was withdrawn before it could serve", ranker.version)
        self._seen, self._next_s = None, 0.0
        return True

    def _arrived(self, coming: Future[Ranker], now_s: float) -> Ranker | None:
        self.coming = None
        self.settled = True
        try:
            ranker = coming.result()
        except Exception as error:  # noqa: BLE001  whatever a version's files make the code do, what serves goes on
            self.refused += 1
            version, kind = (self._seen or ("?",))[0], type(error).__name__
            log.error("version %s refused, the old one keeps serving: %s: %s", version, kind, error)
            if isinstance(error, OSError | MemoryError):  # of this machine at this moment, not of the version
                self._again_s = now_s + AGAIN_S
            return None
        self._next_s = 0.0
        if self.withdrawn(ranker, now_s):
            return None
        log.info("version %s (epoch %d) is ready", ranker.version, ranker.epoch)
        return ranker


def prove(ranker: Ranker) -> None:
    """Ask for lists of made-up users who have the version's own popular items.

    Raises VersionUnfit unless every list is non-empty, without repeats, with finite scores and vector.
    """
    asking = canaries(ranker.popularity().top(2 * max(CANARY_LENGTHS)))
    if not asking:
        raise VersionUnfit(f"Version {ranker.version} has fewer than two items to ask with.")
    for asked, place in zip(asking, _ranked(ranker, asking), strict=True):
        who = f"Version {ranker.version}, a user with {asked.header.lengths[0]} items:"
        if not place.items:
            raise VersionUnfit(f"{who} an empty list.")
        if len(set(place.items)) != len(place.items):
            raise VersionUnfit(f"{who} a list with an item twice.")
        vector = [] if place.vector is None else [float(value) for value in place.vector]
        if not all(math.isfinite(value) for value in (*map(float, place.scores), *vector)):
            raise VersionUnfit(f"{who} scores that are no numbers.")


def warm(ranker: Ranker, max_batch: int) -> None:
    """One batch of a single request and one full batch, so that the first real ones need not wait."""
    items = ranker.popularity().top(max(CANARY_LENGTHS))
    for num in sorted({1, max_batch}):
        _ranked(ranker, [canary(items, f"{CANARY}{number}") for number in range(num)])


def canaries(items: Sequence[str]) -> list[Asking]:
    """Requests of made-up users with the first 1, 8 and 40 of ``items``, but at most half of them: something
    must be left to recommend."""
    lengths = sorted({min(length, len(items) // 2) for length in CANARY_LENGTHS} - {0})
    return [canary(items[:length], f"{CANARY}{length}") for length in lengths]


def canary(items: Sequence[str], user: str) -> Asking:
    """A request of a made-up user who took ``items``, a second apart."""
    times_ms = [1000 * second for second in range(1, len(items) + 1)]
    kinds = ("history", "global", "local")
    fingerprint = fingerprint_of(zip(items, times_ms, strict=True)) if items else EMPTY
    header = Header(
        user=user,
        topic_id="canary",
        partition=0,
        offset=0,
        events=len(items),
        item=items[-1] if items else None,
        type="canary",
        ts=times_ms[-1] if items else 0,
        prev=(),
        produced_ms=0,
        kinds=kinds,
        lengths=(len(items),) * len(kinds),
        fingerprints=(fingerprint,) * len(kinds),
        themes=(),
        routed_by=None,
        hidden=(),
        sampled=False,
    )
    spans = [[0, len(items)]] * (len(kinds) - 1)
    return Asking(encode_request(header, items, [1000] * len(items), spans), 0, 0, 0)


def _ranked(ranker: Ranker, asking: Sequence[Asking]) -> Sequence[Place]:
    try:
        return ranker.rank(asking, JUDGED_ITEMS).places
    finally:
        for asked in asking:
            ranker.forget(asked.user)
