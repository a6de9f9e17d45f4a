"""The trainer's process: follow what serves, read no further than what is judged, carry out cycles.

Knows: kafka-python, when to ask how far the stream is judged. Does not know: what a cycle does.

One trainer reads all partitions by assignment; its positions lie in its own snapshot, in no consumer group.
What is read but not part of a cycle yet is bounded, and read again after a restart.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream.cycles import MAX_RECORDS, Every, in_order, num_due, stops
from stream.errors import StreamError
from stream.intake import Record
from stream.intake_record import intake_record
from stream.telling_cycles import Cycled
from stream.training import Training

log = logging.getLogger("hopstream.trainer")

POLL_MS: Final = 100
#: How often it is asked how far the stream is judged, and what serves.
LOOK_S: Final = 1.0


class TrainerGaveUp(StreamError):
    """The trainer ends so that a supervisor starts it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the role is made of; trainer_app.py builds it."""

    topic: str  # of the events
    consumer: KafkaConsumer
    training: Training
    every: Every
    limits: Callable[[], dict[int, int]]  # partition → offset before which everything may be learned
    lock: IO[str]  # of the folder; open for as long as the role lives
    ready_file: Path | None
    tell: Callable[[Cycled], None]


class Role:
    """Reads and learns until told to stop."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._stopping = False
        self._queues: dict[int, deque[Record]] = {
            number: deque() for number in range(parts.training.num_partitions)
        }
        self._limits: dict[int, int] = {}
        self._read: dict[int, int] = {}  # partition → offset of the next record to read
        self._assigned: list[int] = []
        self._looked_s = 0.0
        self._waits_told = False

    def stop(self, *_: Any) -> None:
        """End after the current cycle; safe in a signal handler."""
        self._stopping = True

    def run(self, until_end: bool = False) -> dict[str, Any]:
        """Blocks until `stop`, or until no cycle is due of what is judged by now; returns what all came to.

        Raises TrainerGaveUp.
        """
        parts = self.parts
        try:
            self._begin()
            if parts.ready_file is not None:
                parts.ready_file.write_text(str(os.getpid()))
            while not self._stopping:
                worked = self._turn()
                if until_end and not worked and self._complete():
                    break
            return parts.training.report()
        except (KafkaError, StreamError, OSError) as error:
            raise TrainerGaveUp(f"{error!r}") from error
        finally:
            parts.consumer.close(timeout_ms=5000)
            parts.lock.close()

    def _begin(self) -> None:
        """Positions from the snapshot, else the oldest records."""
        training, consumer = self.parts.training, self.parts.consumer
        places = [TopicPartition(self.parts.topic, number) for number in self._queues]
        if not training.resume():
            oldest = consumer.beginning_offsets(places)
            training.positions = {place.partition: oldest[place] for place in places}
        self._read = {number: training.positions.get(number, 0) for number in self._queues}

    def _turn(self) -> bool:
        """Read, and carry out a cycle if one is due; whether one was."""
        training = self.parts.training
        if not self._look():
            time.sleep(POLL_MS / 1000)
            return False
        self._poll()
        stop = training.plan()
        if stop is None:
            stop = self._due()
            if stop is None:
                return False
            training.decide(stop)
        self._read_to(stop)
        if self._stopping:  # perhaps before all was read
            return False
        taken = in_order(self._up_to(number, end) for number, end in sorted(stop.items()))
        if not training.follow():
            return False
        told = training.cycle(taken, stop)
        for record in taken:
            self._queues[record.partition].popleft()
        log.info("%s", told.line())
        self.parts.tell(told)
        return True

    def _look(self) -> bool:
        """How far may be read, and whether there is a version to begin with; asked now and then."""
        if self._limits and time.monotonic() - self._looked_s < LOOK_S:
            return True
        self._looked_s = time.monotonic()
        if not self.parts.training.follow():
            if not self._waits_told:
                log.info("waits for a version: publish one with `hopstream train`")
                self._waits_told = True
            return False
        self._limits = self.parts.limits() or dict.fromkeys(self._queues, 0)
        self.parts.training.metrics.behind(self._limits, self.parts.training.positions)
        return True

    def _poll(self) -> None:
        """What partitions with room have up to the limit; what a poll brings beyond it lies unopened."""
        wanted = [
            number
            for number, queue in self._queues.items()
            if len(queue) < MAX_RECORDS and self._read[number] < self._limits.get(number, 0)
        ]
        if not wanted:
            time.sleep(POLL_MS / 1000)
            return
        consumer = self.parts.consumer
        if wanted != self._assigned:  # a paused partition would keep what the client has fetched of it
            self._assigned = wanted
            consumer.assign([TopicPartition(self.parts.topic, number) for number in wanted])
            for number in wanted:
                consumer.seek(TopicPartition(self.parts.topic, number), self._read[number])
        for place, records in consumer.poll(timeout_ms=POLL_MS).items():
            self._queues[place.partition] += [intake_record(one) for one in records]
            self._read[place.partition] = records[-1].offset + 1

    def _due(self) -> dict[int, int] | None:
        """Where the next cycle ends in each partition, None while it is not due."""
        if not self._complete():
            return None
        training = self.parts.training
        records = in_order(
            self._up_to(number, self._limits.get(number, 0)) for number in sorted(self._queues)
        )
        num = num_due(records, self.parts.every, time.time_ns() // 1_000_000, training.growing)
        return stops(training.positions, records[:num]) if num else None

    def _up_to(self, number: int, end: int) -> list[Record]:
        return list(takewhile(lambda record: record.offset < end, self._queues[number]))

    def _complete(self) -> bool:
        """Whether every partition is read as far as it may be, or as far as one cycle can reach: else which
        events the next one takes would depend on how fast each partition is read."""
        return bool(self._limits) and all(
            len(queue) >= MAX_RECORDS or self._read[number] >= self._limits.get(number, 0)
            for number, queue in self._queues.items()
        )

    def _read_to(self, stop: dict[int, int]) -> None:
        """A plan of before is carried out whatever may be read now: all of it was allowed then."""
        while any(self._read[number] < end for number, end in stop.items()) and not self._stopping:
            self._limits = {number: max(self._limits.get(number, 0), end) for number, end in stop.items()}
            self._poll()
