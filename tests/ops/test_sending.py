"""Batches are filled, sent in order, and every answer is checked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from ops.sending import NotAcknowledged, Sender


@dataclass
class Batch:
    """Takes two records."""

    records: list[tuple[bytes, bytes, Any]] = field(default_factory=list)

    def append(self, *, timestamp: int, key: bytes, value: bytes, headers: Any) -> object | None:
        if len(self.records) == 2 or len(value) > 100:
            return None
        self.records.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.records)


class Broker:
    """Keeps what is sent; answers only when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, list[bytes]]] = []
        self.answers: list[asyncio.Future[None]] = []

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        self.sent.append((partition, [value for _, value, _ in batch.records]))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


def add(sender: Sender, partition: int, value: bytes) -> None:
    sender.add(partition, b"key", value, [], 0)


def test_full_batches_go_first_and_the_rest_at_a_flush() -> None:
    """Each partition fills batches of its own and keeps its order."""

    async def scenario() -> list[tuple[int, list[bytes]]]:
        broker = Broker()
        sender = Sender(broker, "t")  # type: ignore[arg-type]  # a fake with the three calls it makes
        for value in (b"a", b"b", b"c"):
            add(sender, 0, value)
        add(sender, 1, b"x")
        await sender.send()
        assert broker.sent == [(0, [b"a", b"b"])]
        await sender.flush()
        return broker.sent

    assert asyncio.run(scenario()) == [(0, [b"a", b"b"]), (0, [b"c"]), (1, [b"x"])]


def test_settling_waits_for_the_oldest_answers_only() -> None:
    """As many records may stay unanswered as was said; what is answered counts as acknowledged."""

    async def scenario() -> None:
        broker = Broker()
        sender = Sender(broker, "t")  # type: ignore[arg-type]
        for value in (b"a", b"b", b"c", b"d"):
            add(sender, 0, value)
        await sender.flush()
        await sender.settle(4)
        assert sender.num_acknowledged == 0
        waiting = asyncio.create_task(sender.settle(2))
        await asyncio.sleep(0)
        assert not waiting.done()
        broker.answers[0].set_result(None)
        await waiting
        assert sender.num_acknowledged == 2
        broker.answers[1].set_result(None)
        await sender.finish()
        assert sender.num_acknowledged == sender.num_added == 4

    asyncio.run(scenario())


def test_a_refused_batch_is_an_error() -> None:
    """No answer is left unchecked: the run ends and says how to go on."""

    async def scenario() -> None:
        broker = Broker()
        sender = Sender(broker, "t")  # type: ignore[arg-type]
        add(sender, 0, b"a")
        await sender.flush()
        broker.answers[0].set_exception(KafkaTimeoutError())
        await sender.settle(10)

    with pytest.raises(NotAcknowledged, match="--resume"):
        asyncio.run(scenario())


def test_a_record_that_fits_no_batch_is_an_error() -> None:
    """It is refused when it is added, and nothing is lost silently."""
    sender = Sender(Broker(), "t")  # type: ignore[arg-type]
    with pytest.raises(NotAcknowledged, match="fits no batch"):
        add(sender, 0, b"x" * 101)
