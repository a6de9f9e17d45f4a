"""Which of the waiting requests are answered, in which batches, and when a batch is due.

Knows: who asked, whether every state of that user is judged, how many wait and for how long.
Does not know: Kafka, torch, clocks, what a request contains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Waiting(Protocol):
    """What the rule looks at; records.Header is one."""

    @property
    def user(self) -> str: ...
    @property
    def sampled(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a batch grows and how long it may take to."""

    max_batch: int = 256  # requests in one pass through the model
    max_wait_ms: int = 5  # the oldest request waits at most this long for company


def due(num_waiting: int, oldest_ms: float, now_ms: float, limits: Limits) -> bool:
    """Whether to stop collecting: a batch is full, or its oldest request has waited enough.

    ``oldest_ms`` is when that one arrived, by the clock of ``now_ms``. Nothing waiting is never due.
    """
    return num_waiting >= limits.max_batch or (num_waiting > 0 and now_ms - oldest_ms >= limits.max_wait_ms)


def answered(waiting: Sequence[Waiting]) -> list[int]:
    """Positions that get a list, in order: each user's newest request, and every request of a sampled user.

    ``waiting`` is in arrival order, so the last one of a user is the newest.
    """
    newest = {request.user: position for position, request in enumerate(waiting)}
    return [
        position
        for position, request in enumerate(waiting)
        if request.sampled or newest[request.user] == position
    ]


def batches(waiting: Sequence[Waiting], max_batch: int) -> list[list[int]]:
    """The answered positions in order, cut into batches of at most ``max_batch`` to be scored one by one.

    A user's requests keep their order. Several of one user may share a batch: a burst of clicks is one pass
    through the model, whose states see only what came before each of them.
    """
    positions = answered(waiting)
    return [positions[start : start + max_batch] for start in range(0, len(positions), max_batch)]
