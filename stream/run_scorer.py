"""The scorer's process: poll requests, let the desk answer, confirm each send, commit; swap versions between.

Knows: kafka-python, the consumer group, when a turn may send.
Does not know: how a list is made (scoring.py).

One turn: 1 poll what is ready, 2 answer all of it, 3 wait until the broker holds every record, 4 commit the
turn's end. If we die before 4, the turn comes again and its lists repeat; nothing is carried across turns.
Partitions move only inside a poll, so a moved partition never meets an answer in flight.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from stream.adopting import Adopting
from stream.asking import Asking, Unreadable
from stream.batcher import Limits, due
from stream.clients import lags
from stream.confirming import Confirming, ScorerGaveUp
from stream.events import Rescore, encode
from stream.header_log import AT_ONCE, HeaderLog
from stream.hotswap import HotSwap
from stream.membership import Heart, Moved, Moves
from stream.outgoing import Outgoing
from stream.recent import Kept, Recent
from stream.scorer_checkpoint import Checkpoint, Learned
from stream.scoring import Desk
from stream.takeover import Gaps, floors, latest_users
from stream.tally import Tally, told
from stream.topics import TopicNames

log = logging.getLogger("hopstream.scorer")

#: A turn takes at most this many full batches: it must end well within Kafka's poll interval of 300 s.
BATCHES_PER_TURN = 4
#: Users scored again for a new version in one idle moment, and beside clicks; more would keep clicks waiting.
RESCORED_AT_ONCE = 32
RESCORED_BESIDE = 4
#: An idle poll, ms; also how fast a signal is noticed.
IDLE_MS = 100
REPORT_S = 10.0
SHOW_S = 1.0
#: How often requests that other scorers have answered are learned from.
FOREIGN_S = 0.5
#: A rebalance that takes longer ends the role. kafka-python 3.0.12 can leave one unfinished for ever, its
#: partitions barred from fetching: when metadata of the topic change and the next polls are short.
STALLED_S = 60.0
#: Events looked through for users whose requests are gone, per user asked for.
EVENTS_PER_USER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the role is made of; ops/commands/scorer.py builds it."""

    names: TopicNames
    consumer: KafkaConsumer
    producer: KafkaProducer
    desk: Desk
    swap: HotSwap
    recent: Recent
    limits: Limits
    session_timeout_ms: int
    rescore_users: int
    ready_file: Path | None
    header_log: HeaderLog
    checkpoint: Checkpoint
    tail: Callable[[str, Sequence[int], int], dict[int, list[ConsumerRecord]]]  # takeover.tail


class Role:
    """Runs turns until told to stop."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._heart = Heart(parts.session_timeout_ms / 2000)
        self._moves = Moves()
        self._confirming = Confirming(parts.names, parts.producer, parts.consumer, self._heart)
        self._adopting = Adopting(parts.swap, parts.desk, parts.recent)
        self._foreign_s = 0.0
        self._stopping = False
        self._gaps = Gaps()
        self._ready = False
        self._reported_s = time.monotonic()
        self._shown_s = 0.0

    @property
    def lost_requests(self) -> int:
        """Requests that were gone before they were read."""
        return self._gaps.num_missing

    def stop(self, *_: Any) -> None:
        """End after the current turn; safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Blocks until `stop`. Raises ScorerGaveUp, BrokerUnreachable."""
        parts = self.parts
        parts.consumer.subscribe([parts.names.requests], listener=self._moves)
        # Metadata first: a client that joins without it joins again when it comes (see STALLED_S).
        parts.consumer.topics()
        self._heart.start()
        try:
            self._adopting.first(lambda: self._stopping)
            self._moves.joins()  # loading took its time, and no poll could join
            while not self._stopping:
                self._turn()
            parts.checkpoint.close(self._learned())
        finally:
            self._heart.end()
            parts.producer.close(timeout=1)
            parts.consumer.close(timeout_ms=5000)

    def _turn(self) -> None:
        parts = self.parts
        self._adopting.poll()
        records = self._collect()
        if self._moves.unsettled_s() > STALLED_S:
            raise ScorerGaveUp(f"A rebalance was not finished within {STALLED_S:.0f} s.")
        if records:
            self._answer(records)
        if parts.recent.waiting and self._moves.settled:
            kept = parts.recent.take(RESCORED_BESIDE if records else RESCORED_AT_ONCE)
            again = [Asking(one.raw, one.partition, one.offset, _now_ms(), again=True) for one in kept]
            self._confirming.send(parts.desk.answer(again))
        now_s = time.monotonic()
        self._learn_from_others(now_s)
        parts.checkpoint.keep(self._learned(), now_s)
        self._say_ready()
        self._show(now_s)
        self._report()

    def _collect(self) -> list[ConsumerRecord]:
        """Poll until a batch is due and nothing more is ready, at most BATCHES_PER_TURN batches."""
        parts = self.parts
        found: list[ConsumerRecord] = []
        limit = BATCHES_PER_TURN * parts.limits.max_batch
        oldest_ms = 0.0
        timeout_ms = 0 if parts.recent.waiting or self._adopting.filling else IDLE_MS
        while len(found) < limit and not self._stopping:
            got = parts.consumer.poll(timeout_ms=timeout_ms, max_records=limit - len(found))
            new = [record for records in got.values() for record in records]
            moved = self._moves.take()
            if moved.happened:
                self._moved(moved)
                found, new = self._put_back(moved.revoked, found, new)
            now_ms = time.monotonic() * 1000
            oldest_ms = oldest_ms if found else now_ms
            found += new
            if not found or (not new and due(len(found), oldest_ms, now_ms, parts.limits)):
                break
            ready = due(len(found), oldest_ms, now_ms, parts.limits)
            timeout_ms = 0 if ready else max(1, round(oldest_ms + parts.limits.max_wait_ms - now_ms))
        return found

    def _moved(self, moved: Moved) -> None:
        """Act on a rebalance: forget what is not ours, and learn what our predecessors have answered."""
        parts = self.parts
        parts.recent.lose(moved.lost)
        self._gaps.lose(moved.lost)
        if moved.gained:
            sent = parts.tail(parts.names.recommendations, sorted(moved.gained), self._tail_length())
            parts.desk.floors |= floors(record for records in sent.values() for record in records)
        for partition in moved.gained:
            committed = parts.consumer.committed(TopicPartition(parts.names.requests, partition))
            if committed is not None:
                self._gaps.begin(partition, committed)
                parts.header_log.catch_up(partition, committed, parts.desk.learn)
        log.info("partitions: %s", sorted(place.partition for place in parts.consumer.assignment()))

    def _learn_from_others(self, now_s: float) -> None:
        """What other scorers have answered is learned here too, some of it at a time."""
        if now_s - self._foreign_s < FOREIGN_S or not self._moves.settled:
            return
        self._foreign_s = now_s
        parts, topic = self.parts, self.parts.names.requests
        own = {place.partition for place in parts.consumer.assignment()}
        for partition in sorted((parts.consumer.partitions_for_topic(topic) or set()) - own):
            committed = parts.consumer.committed(TopicPartition(topic, partition))
            if committed is not None:
                parts.header_log.catch_up(partition, committed, parts.desk.learn, AT_ONCE)

    def _learned(self) -> Learned:
        parts = self.parts
        return Learned(
            learner=parts.desk.learner,
            leading=parts.desk.leading,
            stand_ins=parts.desk.stand_ins,
            requests=parts.header_log.learned,
        )

    def _put_back(
        self, revoked: set[int], found: list[ConsumerRecord], new: list[ConsumerRecord]
    ) -> tuple[list[ConsumerRecord], list[ConsumerRecord]]:
        """Both lists without records of partitions that were revoked while this turn collected.

        A partition may have come back with its position kept, so what is left out is read again from its
        first record; one that is gone is read by its new owner, for nothing of it was committed.
        """
        consumer = self.parts.consumer
        firsts: dict[int, int] = {}
        for record in (*found, *new):
            if record.partition in revoked:
                firsts[record.partition] = min(firsts.get(record.partition, record.offset), record.offset)
        for partition, offset in firsts.items():
            place = TopicPartition(self.parts.names.requests, partition)
            if place in consumer.assignment():
                consumer.seek(place, offset)
        return (
            [record for record in found if record.partition not in revoked],
            [record for record in new if record.partition not in revoked],
        )

    def _tail_length(self) -> int:
        """What a predecessor can have sent without committing: one turn, and users scored again since."""
        return BATCHES_PER_TURN * self.parts.limits.max_batch + self.parts.rescore_users

    def _answer(self, records: list[ConsumerRecord]) -> None:
        parts = self.parts
        asking: list[Asking] = []
        out: list[Outgoing] = []
        ends: dict[int, int] = {}
        for record in records:
            if self._gaps.missing(record.partition, record.offset):
                self._ask_again(record.partition)
            ends[record.partition] = record.offset + 1
            raw = record.value or b""
            try:
                asking.append(Asking(raw, record.partition, record.offset, record.timestamp))
            except Unreadable as error:
                out.append(parts.desk.refuse(raw, record.partition, record.offset, record.key, error))
        out += parts.desk.lists(asking)
        answered_s = time.monotonic()
        self._confirming.send(out)
        listed_s = time.monotonic()
        judged = parts.desk.judged()  # after the lists: contenders keep no reader waiting
        answered_s += time.monotonic() - listed_s
        self._confirming.send(judged)
        self._confirming.commit(ends)
        parts.header_log.answered(ends)
        parts.desk.tally.turns += 1
        confirm_s = time.monotonic() - answered_s
        parts.desk.tally.confirm_ms += confirm_s * 1000
        parts.desk.metrics.stages["confirm"].observe(confirm_s)
        for asked in asking:
            if asked.header.forgotten:
                parts.recent.forget(asked.user)
            else:
                parts.recent.remember(Kept(asked.user, asked.partition, asked.offset, asked.raw))

    def _ask_again(self, partition: int) -> None:
        """Requests are gone: ask for lists for users who were active there lately."""
        parts = self.parts
        limit = parts.rescore_users
        events = parts.tail(parts.names.events, [partition], limit * EVENTS_PER_USER)[partition]
        users = latest_users(events, limit)
        self._confirming.send(
            Outgoing(topic="events", partition=partition, key=user.encode(), value=encode(Rescore(user=user)))
            for user in users
        )

    def _say_ready(self) -> None:
        if self._ready or not self._moves.joined.is_set() or not self.parts.swap.settled:
            return
        self._ready = True
        if self.parts.ready_file is not None:
            self.parts.ready_file.write_text(str(os.getpid()))

    def _show(self, now_s: float) -> None:
        """Gauges of what the desk does not see, once a second."""
        if now_s - self._shown_s < SHOW_S:
            return
        self._shown_s = now_s
        parts, metrics = self.parts, self.parts.desk.metrics
        metrics.versions.wanted(parts.swap.wanted_epoch)
        metrics.weighed(*parts.desk.leading.weights())
        metrics.lagging("requests", {place.partition: num for place, num in lags(parts.consumer).items()})

    def _report(self) -> None:
        now_s = time.monotonic()
        passed_s = now_s - self._reported_s
        if passed_s < REPORT_S:
            return
        self._reported_s = now_s
        tally, self.parts.desk.tally = self.parts.desk.tally, Tally()
        if tally.requests:
            log.info("%s", told(tally, passed_s, self._gaps.num_missing, self.parts.desk.leading.told()))


def _now_ms() -> int:
    return round(time.time() * 1000)
