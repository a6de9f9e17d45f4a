"""Faust's consumer, made exact about positions: no record is skipped, none is committed before it is done.

Knows: Faust's consumer over aiokafka and where it goes wrong. Does not know: what a record means.

Faust 0.15.3 fetches and seeks at once. Around a rebalance a batch that was fetched before the seek is still
handed out after it, and the read position that it leaves behind makes Faust take the records in between for
a hole in the log: they are counted as done without having been seen, and a killed worker loses them. Its list
of done offsets then holds some twice, and commits creep on by one offset a second. Seen in
`test_two_workers_share_and_take_over`. Here a fetch and a seek exclude each other, what was fetched before a
seek is dropped (it comes again), and commits follow `Progress`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import faust
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.transports import TransportT

from stream.offsets import Progress

log = logging.getLogger("hopstream.worker")

#: Longest wait for a fetch in seconds; a seek waits for the fetch under way.
FETCH_S = 0.25
#: Pause in seconds while no partition may be read.
IDLE_S = 0.1


class Consumer(driver.Consumer):
    """Positions and commits of partitions whose records are acknowledged one by one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moving = asyncio.Lock()
        self._seeks = 0
        self._sought: dict[TP, int | None] = {}  # read positions of seeks since the latest fetch
        self._progress: dict[TP, Progress] = {}

    async def perform_seek(self) -> None:
        """Go to what the group has committed; without a commit, to the start of the partition."""
        async with self._moving:
            committed = await self.seek_to_committed()
            # aiokafka does not seek to 0, and has -1 for no commit
            starts = {TP(*tp): at for tp, at in committed.items() if at is not None and at > 0}
            fresh = [tp for tp in self.assignment() if not self._is_changelog_tp(tp) and tp not in starts]
            if fresh:
                earliest = {TP(*tp): at for tp, at in (await self.earliest_offsets(*fresh)).items()}
                await super().seek_wait(earliest)
                starts |= earliest
            self._progress = {tp: Progress(at) for tp, at in starts.items() if not self._is_changelog_tp(tp)}
            self._moved(starts)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to these offsets: where recovery begins to read changelogs."""
        async with self._moving:
            await super().seek_wait(partitions)
            self._moved(partitions)

    def _moved(self, starts: Mapping[TP, int]) -> None:
        self._seeks += 1
        # Faust keeps the last offset that it read; what lies between it and the next is a hole to it.
        self._sought |= {tp: at - 1 for tp, at in starts.items()}
        self._read_offset.update(self._sought)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """One fetch, handed out until somebody seeks or the partitions move."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        async with self._moving:
            # Faust's loop may have noted a record of an older batch after the seek; it is not in one here.
            self._read_offset.update(self._sought)
            self._sought.clear()
            seeks, generation = self._seeks, self.app.consumer_generation_id
            if not self.flow_active or self.should_stop or not self._get_active_partitions():
                records, active = None, None
            else:
                records, active = await self._wait_next_records(min(timeout, FETCH_S))
        if records is None:  # nothing may be read now; whoever moves partitions must not wait for us
            await self.sleep(IDLE_S)
            return
        if self.should_stop:
            return
        for tp, record in self.scheduler.iterate(records):
            if not self.flow_active or (seeks, generation) != (self._seeks, self.app.consumer_generation_id):
                return  # a seek has set, or a rebalance will set, the position anew
            if tp not in self._progress and not self._is_changelog_tp(tp):
                continue  # fetched before the seek that says where to begin
            if active is None or tp in active or tp in self._buffered_partitions:
                if self._read_offset[tp] == 0 and record.offset > 1:
                    await self._add_gap(tp, 1, record.offset)  # Faust sees no hole after offset 0
                yield tp, self._to_message(tp, record)

    def ack(self, message: Message) -> bool:
        """Mark the message's offset as done; False if it was already."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        progress = self._progress.get(message.tp)
        if progress is None:
            return False  # the partition is gone; who owns it now reads it again
        progress.done(message.offset)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        progress = self._progress.get(tp)
        if progress is not None:
            log.warning("the broker has no offsets %d to %d of %s any more", offset_from, offset_to - 1, tp)
            progress.absent(offset_from, offset_to)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self._progress if topics is None or tp in topics or tp.topic in topics)

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        ends = {tp: self._progress[tp].committable() for tp in tps}
        return {tp: end for tp, end in ends.items() if end > self._progress[tp].stored}

    async def _commit_offsets(self, offsets: Mapping[TP, int], *_: Any, **__: Any) -> bool:
        assigned = self.assignment()
        # Since the offsets were taken a partition may have gone. A seek while the commit is under way puts
        # other objects in the place of these, which are then nobody's.
        mine = {tp: self._progress[tp] for tp in offsets if tp in assigned and tp in self._progress}
        if not mine or not await self._commit({tp: offsets[tp] for tp in mine}):
            return False  # it is tried again with the next one
        for tp, progress in mine.items():
            progress.stored = offsets[tp]
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the partitions' progress, then do as Faust does."""
        for tp in revoked:
            self._progress.pop(tp, None)
            self._sought.pop(tp, None)
        await super().on_partitions_revoked(revoked)


class Transport(driver.Transport):
    """Faust's Kafka transport with our consumer."""

    Consumer = Consumer


class App(faust.App):
    """Faust's app, reading through our consumer."""

    def _new_transport(self) -> TransportT:
        return Transport(self.conf.broker_consumer, self)


class _Recovery(Recovery):
    """Faust's recovery without its time limit: after it, Faust never recovers again and says nothing."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002  a rebalance or a stop ends it
        await super()._wait(coro)


def patient_recovery(app: faust.App) -> None:
    """Give the app's tables a recovery that waits as long as the broker is away."""
    tables: Any = app.tables
    tables._recovery = _Recovery(app, tables, beacon=tables.beacon, loop=tables.loop)
