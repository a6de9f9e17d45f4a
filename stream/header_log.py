"""Requests that this scorer learns from and does not answer: those of others, and those before its own.

Knows: how far each partition was learned, how far it may be. Does not know: Kafka's clients, what is learned.

A partition may be learned up to what the group has committed there and no further: a request that waits for
its list must not be known before. Partitions of one's own are learned by answering.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from kafka.consumer.fetcher import ConsumerRecord

from stream.records import Header, decode_request

log = logging.getLogger("hopstream.scorer")

#: Requests of a partition that are read back at most, some 0.2 ms each: what came before is left unlearned.
REACH: Final = 10_000
#: Requests learned of foreign partitions between two turns: a click must not wait longer.
AT_ONCE: Final = 500

#: (partition, first offset, end) → its records, as far as they are still there.
Read = Callable[[int, int, int], Iterable[ConsumerRecord]]


class HeaderLog:
    """Offsets of `requests` up to which each partition was learned."""

    def __init__(self, read: Read, learned: Mapping[int, int] | None = None) -> None:
        """``learned``: from a snapshot."""
        self.learned = dict(learned or {})
        self._read = read

    def answered(self, ends: Mapping[int, int]) -> None:
        """One's own turn learned everything below these offsets."""
        self.learned.update(ends)

    def catch_up(
        self,
        partition: int,
        committed: int,
        learn: Callable[[Header], object],
        limit: int | None = None,
    ) -> int:
        """Learn what lies below ``committed``, at most ``limit`` requests; returns how many."""
        start = max(self.learned.get(partition, 0), committed - REACH)
        end = committed if limit is None else min(committed, start + limit)
        num = 0
        for record in self._read(partition, start, end) if start < end else ():
            try:
                header = decode_request(record.value or b"").header
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # a dead letter of whoever answers it
            if header.partition == partition:
                learn(header)
                num += 1
        self.learned[partition] = max(end, self.learned.get(partition, 0))
        return num
