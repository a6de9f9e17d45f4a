"""One request as it arrived, and what a version that serves answers to it.

Knows: when a request can be read, the shape of a ranker. Does not know: Kafka, torch, turns, lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from model.memory import MemoryConfig
from stream.errors import StreamError
from stream.learning import Counts, Seed
from stream.records import Header, Request, Sequences, decode_request


class Unreadable(StreamError):
    """A request cannot be answered."""


class Asking:
    """One request as it arrived; its sequences are decoded when somebody needs them."""

    def __init__(self, raw: bytes, partition: int, offset: int, sent_ms: int, *, again: bool = False) -> None:
        """``partition``, ``offset``, ``sent_ms``: of the record on `requests`; ``again``: it was answered
        before. Raises Unreadable."""
        try:
            self.request: Request = decode_request(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(str(error)) from error
        problem = header_problem(self.request.header, partition)
        if problem:
            raise Unreadable(problem)
        self.raw = raw
        self.partition = partition
        self.offset = offset
        self.sent_ms = sent_ms
        self.again = again

    @property
    def header(self) -> Header:
        return self.request.header

    @property
    def user(self) -> str:
        return self.header.user

    @property
    def sampled(self) -> bool:
        return self.header.sampled

    @cached_property
    def _packed(self) -> Sequences:
        try:
            return self.request.sequences()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(str(error)) from error

    @property
    def history(self) -> list[str]:
        """Retained positive items, arrival order. Raises Unreadable."""
        return self._packed.items

    def sequences(self) -> dict[str, tuple[list[str], list[int]]]:
        """Kind → (items, times in Unix ms). Raises Unreadable."""
        try:
            return sequences_of(self.header, self._packed)
        except ValueError as error:
            raise Unreadable(str(error)) from error

    def readable(self) -> bool:
        """Whether its sequences can be read."""
        try:
            self.sequences()
        except Unreadable:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A ranking made by a model for one request."""

    items: Sequence[str]  # best first
    scores: Sequence[float]
    vector: npt.NDArray[np.floating] | None  # (D,)
    experts: Sequence[Sequence[float]]  # per block: share of the newest tokens by expert
    known: bool  # the model knew at least one item of the user
    lines: Sequence[int]  # of the version's index, as `items`
    others: Sequence[float] | npt.NDArray[np.floating] = ()  # scores of the lines that were asked about
    ungated: npt.NDArray[np.float32] | None = None  # (D,): the vector before the facet gate
    barred: Sequence[int] | npt.NDArray[np.integer] = ()  # lines that this user must not be shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Answers to one batch."""

    places: Sequence[Place]
    encode_ms: float
    rank_ms: float
    positions: int  # computed anew, all requests together
    tokens: int  # positions a scorer without a cache would have computed


class Ranker(Protocol):
    """A version that serves; serving.Serving is the real one."""

    @property
    def version(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def items(self) -> Sequence[str]: ...  # by line of the index
    @property
    def temperature(self) -> float: ...
    @property
    def shape(self) -> tuple[int, int]: ...  # (M, d) of its user vectors
    def lines(self, items: Sequence[str]) -> npt.NDArray[np.int64]: ...  # blend.NO_LINE for unknown items
    def share(self, asking: Asking) -> float: ...  # of the cache, that the sequences of a request take
    def rank(
        self,
        asking: Sequence[Asking],
        n: int,
        others: Sequence[npt.NDArray[np.int64]] | None = None,
    ) -> Ranking: ...
    def forget(self, user: str) -> None: ...
    def popularity(self) -> Counts: ...
    def seed(self, config: MemoryConfig) -> Seed: ...  # of what it was trained on


def header_problem(header: Header, partition: int) -> str | None:
    """Why a request that arrived on ``partition`` cannot be answered, or None."""
    if header.v != 1:
        return f"v is {header.v}, this reads 1"
    if header.partition != partition:
        return f"it says partition {header.partition} and lies on {partition}"
    if not len(header.kinds) == len(header.lengths) == len(header.fingerprints):
        return "kinds, lengths and fingerprints differ in number"
    if header.kinds[:1] != ("history",):
        return "its first sequence is not the history"
    return None


def sequences_of(header: Header, packed: Sequences) -> dict[str, tuple[list[str], list[int]]]:
    """Kind → (items, times in Unix ms), arrival order; the ranges of the request spelled out.

    Raises ValueError when the sequences are not what the header says.
    """
    times_ms = packed.times_ms()
    if len(times_ms) != len(packed.items) or len(packed.ranges) != len(header.kinds) - 1:
        raise ValueError("the request's sequences do not fit its header")
    found = {"history": (packed.items, times_ms)}
    for kind, spans in zip(header.kinds[1:], packed.ranges, strict=True):
        items: list[str] = []
        times: list[int] = []
        for start, stop in zip(spans[::2], spans[1::2], strict=True):
            items += packed.items[start:stop]
            times += times_ms[start:stop]
        found[kind] = (items, times)
    if tuple(len(found[kind][0]) for kind in header.kinds) != header.lengths:
        raise ValueError("the request's sequences are not as long as its header says")
    return found
