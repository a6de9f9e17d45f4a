"""Sends that count only once the broker holds them, and the commit of a turn.

Knows: kafka-python's futures and commit errors, that a paused process must not send.
Does not know: what is sent, turns.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from stream.errors import StreamError
from stream.membership import Heart
from stream.outgoing import Outgoing
from stream.topics import TopicNames

log = logging.getLogger("hopstream.scorer")

#: Broker silence after which a send counts as failed, s.
CONFIRM_S = 30.0

#: The group moved on without us: the turn is answered again by whoever owns it now.
_MOVED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class ScorerGaveUp(StreamError):
    """The scorer ends so that a supervisor starts it again."""


class Confirming:
    """What leaves the scorer."""

    def __init__(
        self, names: TopicNames, producer: KafkaProducer, consumer: KafkaConsumer, heart: Heart
    ) -> None:
        self._names = names
        self._producer = producer
        self._consumer = consumer
        self._heart = heart

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        """Send and wait until the broker holds all of it. Raises ScorerGaveUp."""
        if not self._heart.alive():
            raise ScorerGaveUp("The process was paused so long that another scorer may own its partitions.")
        ends_s = time.monotonic() + CONFIRM_S
        try:
            futures = [
                self._producer.send(
                    self._names.prefix + out.topic,
                    key=out.key,
                    value=out.value,
                    partition=out.partition,
                    headers=list(out.headers.items()),
                )
                for out in outgoing
            ]
            for future in futures:
                future.get(timeout=max(0.001, ends_s - time.monotonic()))
        except KafkaError as error:
            raise ScorerGaveUp(f"The broker did not take a record: {error!r}.") from error

    def commit(self, ends: Mapping[int, int]) -> None:
        """Requests below ``ends`` (by partition) are answered. Raises ScorerGaveUp."""
        offsets = {
            TopicPartition(self._names.requests, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in ends.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=round(CONFIRM_S * 1000))
        except _MOVED as error:
            log.warning("the turn is not committed, its lists will repeat: %r", error)
        except KafkaError as error:
            raise ScorerGaveUp(f"The broker did not take a commit: {error!r}.") from error
