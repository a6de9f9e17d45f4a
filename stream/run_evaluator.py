"""The evaluator's process: read, judge, keep what it knows, say how the lines stand, commit what is judged.

Knows: kafka-python, when a snapshot, a report and a commit are due. Does not know: what a verdict is.

One evaluator reads all partitions; its positions lie in its own snapshot. Now and then: 1 the snapshot
replaces the one before, 2 the judged offsets that it holds are committed on `events`. If we die before 2, or
at any other time, the records since the snapshot are read again and give the same verdicts. The committed
offsets are for the trainer, which reads no further (judged.py).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from stream import snapshot
from stream.errors import StreamError
from stream.evaluator import Evaluator
from stream.groups import WarmStart
from stream.intake import EVENTS, JUDGEMENTS, LISTS, Intake, Place, Record
from stream.intake_record import intake_record
from stream.metrics.evaluator import EvaluatorMetrics
from stream.outgoing import kept
from stream.records import Quality, encode_quality
from stream.topics import TopicNames

log = logging.getLogger("hopstream.evaluator")

KIND: Final = "evaluator"
#: Raised when a snapshot's layout changes; an older one is set aside and the topics are read again.
VERSION: Final = 3
SNAPSHOT, REPORT = "snapshot", "report.json"
#: What is kept and told takes at most a twentieth of the time: it waits for that many times its own cost.
REST: Final = 20
#: How long no record may come before the report is brought up to date with its intervals.
IDLE_S: Final = 0.5
POLL_MS: Final = 100
CONFIRM_S: Final = 30.0


class EvaluatorGaveUp(StreamError):
    """The evaluator ends so that a supervisor starts it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the role is made of; evaluator_app.py builds it."""

    names: TopicNames
    consumer: KafkaConsumer
    producer: KafkaProducer
    evaluator: Evaluator
    folder: Path
    lock: IO[str]  # of the folder; open for as long as the role lives
    report_ms: int
    ready_file: Path | None
    first_version: Callable[[], WarmStart | None]
    check: Callable[[], None]  # raises StreamError where topics were made anew
    metrics: EvaluatorMetrics


class _NowAndThen:
    """Something that is due every so often, and rests for REST times what it took."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due_s = time.monotonic() + every_s

    def due(self) -> bool:
        return time.monotonic() >= self._due_s

    def took(self, seconds: float) -> None:
        self._due_s = time.monotonic() + max(self._every_s, REST * seconds)


class Role:
    """Reads until told to stop."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._intake = Intake(parts.evaluator, self._refuse)
        self._stopping = False
        self._topics = {
            EVENTS: parts.names.events,
            JUDGEMENTS: parts.names.judgements,
            LISTS: parts.names.recommendations,
        }
        self._places: dict[TopicPartition, Place] = {
            TopicPartition(topic, number): (role, number)
            for role, topic in self._topics.items()
            for number in parts.evaluator.progress
        }
        self._read: dict[TopicPartition, int] = {}  # offset of the next record to read
        self._assigned: list[TopicPartition] = []
        self._keeping = _NowAndThen(parts.report_ms / 1000)
        self._telling = _NowAndThen(parts.report_ms / 1000)
        self._drawing = _NowAndThen(parts.report_ms / 1000)
        self._changed = True  # since the newest report with intervals
        self._taken_s = time.monotonic()

    def stop(self, *_: Any) -> None:
        """End after the current turn; safe in a signal handler."""
        self._stopping = True

    def run(self, until_end: bool = False) -> dict[str, Any]:
        """Blocks until `stop`, or until the ends of the topics as they stand; returns the last report.

        Raises EvaluatorGaveUp.
        """
        parts = self.parts
        try:
            self._begin()
            ends = self._ends() if until_end else {}
            if parts.ready_file is not None:
                parts.ready_file.write_text(str(os.getpid()))
            while not self._stopping and not (until_end and self._reached(ends)):
                self._turn()
            self.parts.evaluator.draw_bands()
            return self._keep_and_tell()
        except KafkaError as error:
            raise EvaluatorGaveUp(f"The broker did not answer: {error!r}.") from error
        except (StreamError, OSError) as error:  # a full disk
            raise EvaluatorGaveUp(f"{error!r}") from error
        finally:
            parts.producer.close(timeout=1)
            parts.consumer.close(timeout_ms=5000)
            parts.lock.close()

    def _begin(self) -> None:
        """Positions from the snapshot, else the oldest records; the trainer's limit is there from now on."""
        self._read = dict(self.parts.consumer.beginning_offsets(list(self._places)))
        self._resume()
        self._commit()

    def _resume(self) -> None:
        path = self.parts.folder / SNAPSHOT
        try:
            found = snapshot.load(path, KIND, VERSION)
        except snapshot.SnapshotDamaged as error:
            log.error("%s", error)
            path.replace(path.with_name(SNAPSHOT + ".damaged"))
            found = None
        if found is None:
            return
        if found["evaluator"]["topic_id"] != self.parts.evaluator.topic_id:
            log.warning("the events topic was made anew; what was known of the old one is set aside")
            path.replace(path.with_name(SNAPSHOT + ".old"))
            return
        self.parts.evaluator.restore(found["evaluator"])
        self._intake.positions = {(role, number): offset for role, number, offset in found["positions"]}
        for (role, number), offset in self._intake.positions.items():
            place = TopicPartition(self._topics[role], number)
            self._read[place] = max(self._read[place], offset)
        log.info("goes on with %d events judged", self.parts.evaluator.counts["judged"])

    def _turn(self) -> None:
        parts = self.parts
        parts.check()
        parts.evaluator.warm = parts.evaluator.warm or parts.first_version()
        self._poll()
        if self._intake.work():
            self._taken_s, self._changed = time.monotonic(), True
        self._refuse_impossible()
        if self._changed and time.monotonic() - self._taken_s >= IDLE_S:
            self._draw()
            self._keep_and_tell()
            self._changed = False
        elif self._changed:
            if self._drawing.due():
                self._draw()
            if self._telling.due() or self._keeping.due():
                self._keep_and_tell()

    def _poll(self) -> None:
        """Read on where no record waits."""
        consumer, held = self.parts.consumer, self._intake.held
        wanted = [place for place, which in self._places.items() if which not in held]
        if not wanted:
            time.sleep(POLL_MS / 1000)
            return
        if wanted != self._assigned:  # a paused partition would keep what the client has fetched of it
            self._assigned = wanted
            consumer.assign(wanted)
            for place in wanted:
                consumer.seek(place, self._read[place])
        for place, records in consumer.poll(timeout_ms=POLL_MS).items():
            self._intake.put(self._places[place], [intake_record(record) for record in records])
            self._read[place] = records[-1].offset + 1

    def _refuse_impossible(self) -> None:
        """Refuse records that would wait for ever."""
        held = self._intake.held
        blocked = [number for role, number in held if role == JUDGEMENTS and (EVENTS, number) not in held]
        if blocked and time.monotonic() - self._taken_s >= IDLE_S:
            places = [TopicPartition(self._topics[EVENTS], number) for number in blocked]
            ends = self.parts.consumer.end_offsets(places)
            if self._intake.refuse_impossible({place.partition: ends[place] for place in places}):
                self._taken_s, self._changed = time.monotonic(), True

    def _draw(self) -> None:
        began_s = time.monotonic()
        self.parts.evaluator.draw_bands()
        self._drawing.took(time.monotonic() - began_s)

    def _keep_and_tell(self) -> dict[str, Any]:
        """Snapshot, commit, report file, quality topic; in this order."""
        parts = self.parts
        began_s = time.monotonic()
        positions = [[role, number, offset] for (role, number), offset in self._intake.positions.items()]
        state = {"evaluator": parts.evaluator.state(), "positions": positions}
        snapshot.save(parts.folder / SNAPSHOT, KIND, VERSION, state)
        self._commit()
        kept_s = time.monotonic()
        self._keeping.took(kept_s - began_s)
        report = parts.evaluator.report() | {"positions": self._told_positions()}
        beside = parts.folder / (REPORT + ".new")
        beside.write_text(json.dumps(report) + "\n")
        beside.replace(parts.folder / REPORT)
        self._publish(report)
        parts.metrics.reported(report)
        parts.metrics.lagging(self._lags())
        self._telling.took(time.monotonic() - kept_s)
        return report

    def _lags(self) -> dict[tuple[str, int], int]:
        """(role of the topic, partition) → records that are not taken."""
        positions = self._intake.positions
        return {which: max(0, end - positions.get(which, 0)) for which, end in self._ends().items()}

    def _told_positions(self) -> dict[str, dict[str, int]]:
        """Role of the topic → partition → offset of the next record to take."""
        found: dict[str, dict[str, int]] = {role: {} for role in self._topics}
        for (role, number), offset in sorted(self._intake.positions.items()):
            found[role][str(number)] = offset
        return found

    def _publish(self, report: dict[str, Any]) -> None:
        """The window's figures of each line to the quality topic. Raises EvaluatorGaveUp."""
        futures = []
        for name, figures in report["window"].items():
            told = Quality(
                line=name,
                metrics={key: value for key, value in figures.items() if isinstance(value, float)},
                events=figures["events"],
                users=figures["users"] or 0,
                upto=report["upto"],
            )
            topic = self.parts.names.quality
            futures.append(self.parts.producer.send(topic, key=name.encode(), value=encode_quality(told)))
        for future in futures:
            future.get(timeout=CONFIRM_S)

    def _refuse(self, place: Place, record: Record, wrong: str) -> None:
        """Keep a record that cannot be read; counted by the evaluator."""
        role, number = place
        log.warning("%s %d/%d refused: %s", role, number, record.offset, wrong)
        self.parts.metrics.refused(reason := "bad_judgement" if role == JUDGEMENTS else "bad_list")
        headers = [
            ("reason", reason.encode()),
            ("detail", wrong.encode(errors="replace")[:1024]),
            ("topic", self._topics[role].encode()),
            ("partition", str(number).encode()),
            ("offset", str(record.offset).encode()),
        ]
        topic = self.parts.names.dead_letters
        key, value = kept(record.key, record.value)
        self.parts.producer.send(topic, key=key, value=value, headers=headers).get(timeout=CONFIRM_S)

    def _commit(self) -> None:
        offsets = {
            TopicPartition(self._topics[EVENTS], number): OffsetAndMetadata(offset, "", -1)
            for number, offset in self.parts.evaluator.judged_through().items()
        }
        self.parts.consumer.commit(offsets, timeout_ms=round(CONFIRM_S * 1000))

    def _ends(self) -> dict[Place, int]:
        ends = self.parts.consumer.end_offsets(list(self._places))
        return {self._places[place]: end for place, end in ends.items()}

    def _reached(self, ends: dict[Place, int]) -> bool:
        """Whether all there was at the start is taken, or held back for ever by what is not there."""
        consumer, positions, held = self.parts.consumer, self._intake.positions, self._intake.held
        read = all(
            which in held
            or self._read[place] >= ends[which]
            or (place in self._assigned and consumer.position(place) >= ends[which])  # no records at the end
            for place, which in self._places.items()
        )
        taken = all(positions.get(which, 0) >= end for which, end in ends.items() if which[0] != LISTS)
        return read and (taken or time.monotonic() - self._taken_s > 4 * IDLE_S)
