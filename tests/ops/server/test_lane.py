"""What waits for one partition travels together, in order, and is refused early where too much waits."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, ProducerClosed

from ops.server import sender as sending
from ops.server.lane import Lane
from ops.server.parts import Record
from tests.ops.server.scripted_producer import KEYS, Producer, outcome, parcel, records, sender_of, until

#: Users of partition 0 and 1, of two.


async def test_what_waits_travels_together_in_its_order() -> None:
    """One batch is under way at a time; the next takes what came meanwhile, a large parcel needs several."""
    producer = Producer()
    lane = Lane(producer, "t", 0)
    parcels = [parcel(b"a"), parcel(b"b", b"c"), parcel(b"d", b"e", b"f", b"g")]
    lane.put(parcels[0])
    await until(lambda: len(producer.sent) == 1)
    for one in parcels[1:]:
        lane.put(one)

    while not parcels[-1].arrived.done():
        await until(lambda: not producer.answers[-1].done() or parcels[-1].arrived.done())
        if not producer.answers[-1].done():
            assert sum(not one.done() for one in producer.answers) == 1
            producer.acknowledge(-1)
    await asyncio.gather(*(one.arrived for one in parcels))

    assert producer.sent == [[b"a"], [b"b", b"c", b"d"], [b"e", b"f", b"g"]]
    assert [one.offsets for one in parcels] == [[0], [1, 2], [3, 4, 5, 6]]


async def test_nobody_is_overtaken() -> None:
    """However many come after: parcels are acknowledged in the order in which they were put."""
    producer = Producer()
    lane = Lane(producer, "t", 0)
    order: list[int] = []
    parcels = [parcel(b"%d" % number) for number in range(40)]

    def noted(number: int, _: asyncio.Future[None]) -> None:
        order.append(number)

    for number, one in enumerate(parcels):
        one.arrived.add_done_callback(partial(noted, number))
        lane.put(one)
        if number % 5 == 4:  # an answer now and then, newcomers in between
            await until(lambda: bool(producer.answers) and not producer.answers[-1].done())
            producer.acknowledge(-1)
    async with asyncio.timeout(5):
        while len(order) < len(parcels):
            if not producer.answers[-1].done():
                producer.acknowledge(-1)
            await asyncio.sleep(0)

    assert order == list(range(40))


async def test_what_nobody_waits_for_is_not_sent() -> None:
    """A request that ended before its turn leaves the lane to the others."""
    producer = Producer()
    lane = Lane(producer, "t", 0)
    first, given_up, last = parcel(b"a"), parcel(b"b"), parcel(b"c")
    lane.put(first)
    await until(lambda: len(producer.sent) == 1)
    lane.put(given_up)
    lane.put(last)
    given_up.arrived.cancel()
    producer.acknowledge(0)
    await until(lambda: len(producer.sent) == 2)
    producer.acknowledge(1)
    await last.arrived

    assert producer.sent == [[b"a"], [b"c"]]
    assert last.offsets == [1]


async def test_a_refused_batch_fails_its_own_parcels_alone() -> None:
    """Also one of which a part would have gone with the next batch."""
    producer = Producer()
    lane = Lane(producer, "t", 0)
    inside, across, after = parcel(b"a", b"b"), parcel(b"c", b"d"), parcel(b"e")
    for one in (inside, across, after):
        lane.put(one)
    await until(lambda: len(producer.sent) == 1)
    producer.answers[0].set_exception(KafkaTimeoutError())
    await until(lambda: len(producer.sent) == 2)
    producer.acknowledge(1)
    await after.arrived

    for one in (inside, across):
        with pytest.raises(KafkaError):
            await one.arrived
    assert producer.sent == [[b"a", b"b", b"c"], [b"e"]]


async def test_places_are_told_in_the_order_of_the_records() -> None:
    """Whatever partitions they lie in."""
    producer = Producer(prompt=True)
    sender = sender_of(producer)
    users = [b"u%d" % number for number in range(9)]

    places = await sender.send([Record("t", user, user) for user in users])

    by_place = {(place.partition, place.offset): user for place, user in zip(places, users, strict=True)}
    lying: dict[int, list[bytes]] = {0: [], 1: []}
    for partition, values in zip(producer.places, producer.sent, strict=True):
        lying[partition] += values
    assert all(lying[partition][offset] == user for (partition, offset), user in by_place.items())
    assert len(by_place) == 9
    assert min(map(len, lying.values())) > 0


async def test_more_than_may_be_under_way_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And taken again when there is room; one request alone may bring any number."""
    monkeypatch.setattr(sending, "MAX_UNDER_WAY", 4)
    producer = Producer(room=100)
    sender = sender_of(producer)
    large = asyncio.create_task(sender.send(records(b"1", b"2", b"3", b"4", b"5")))
    await until(lambda: len(producer.sent) == 1)

    assert "nothing was stored" in await outcome(sender.send(records(b"6")))
    producer.acknowledge(0)
    assert len(await large) == 5
    again = asyncio.create_task(sender.send(records(b"6")))
    await until(lambda: len(producer.sent) == 2)
    producer.acknowledge(1)
    assert [place.offset for place in await again] == [5]


async def test_large_records_are_refused_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records can be much, too."""
    monkeypatch.setattr(sending, "MAX_BYTES_UNDER_WAY", 1000)
    producer = Producer(room=100)
    sender = sender_of(producer)
    first = asyncio.create_task(sender.send(records(b"x" * 900)))
    await until(lambda: len(producer.sent) == 1)

    assert "nothing was stored" in await outcome(sender.send(records(b"y" * 200)))
    producer.acknowledge(0)
    assert len(await first) == 1


async def test_a_silent_broker_leaves_no_room_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests end in time; what had not left yet never does, and the next request finds room."""
    monkeypatch.setattr(sending, "ACK_S", 0.01)
    monkeypatch.setattr(sending, "MAX_UNDER_WAY", 2)
    producer = Producer()
    sender = sender_of(producer)

    assert "send the same again" in await outcome(sender.send(records(b"a")))
    for _ in range(3):
        assert "send the same again" in await outcome(sender.send(records(b"b", b"c")))
    await asyncio.sleep(0)
    assert [len(lane) for lane in sender._lanes.values()] == [0]  # what nobody waits for is not kept
    monkeypatch.setattr(sending, "ACK_S", 5.0)
    third = asyncio.create_task(sender.send(records(b"d", b"e")))
    await asyncio.sleep(0)
    producer.acknowledge(0)
    await until(lambda: len(producer.sent) == 2)
    producer.acknowledge(1)

    assert len(await third) == 2
    assert producer.sent == [[b"a"], [b"d", b"e"]]


async def test_a_part_that_fails_takes_the_whole_request_along() -> None:
    """What of it waits in other lanes leaves them: it is told to be sent again, and counted no longer."""
    producer = Producer()
    sender = sender_of(producer)
    before = [asyncio.create_task(sender.send(records(b"a", key=key))) for key in KEYS]
    await until(lambda: len(producer.sent) == 2)
    both = asyncio.create_task(sender.send([*records(b"b", key=KEYS[0]), *records(b"c", key=KEYS[1])]))
    await asyncio.sleep(0)
    producer.acknowledge(0)
    await until(lambda: len(producer.sent) == 3)
    producer.answers[2].set_exception(KafkaTimeoutError())

    assert "send the same again" in await outcome(both)
    await asyncio.sleep(0)
    assert [len(lane) for lane in sender._lanes.values()] == [0, 0]
    producer.acknowledge(1)
    assert [len(await one) for one in before] == [1, 1]
    assert len(producer.sent) == 3


async def test_a_lane_closed_before_it_began_fails_what_it_has() -> None:
    """And sends again what is put afterwards."""
    producer = Producer()
    lane = Lane(producer, "t", 0)
    early = parcel(b"a")
    lane.put(early)
    await lane.close()
    with pytest.raises(ProducerClosed):
        await early.arrived

    late = parcel(b"b")
    lane.put(late)
    await until(lambda: len(producer.sent) == 1)
    producer.acknowledge(0)
    await late.arrived


async def test_what_is_under_way_is_given_a_moment_at_the_end() -> None:
    """Also what still waits for its batch: both are acknowledged before the producer stops."""
    producer = Producer()
    sender = sender_of(producer)
    sent = [asyncio.create_task(sender.send(records(b"a")))]
    await until(lambda: len(producer.sent) == 1)
    sent.append(asyncio.create_task(sender.send(records(b"b"))))
    await asyncio.sleep(0)
    closing = asyncio.create_task(sender.close())
    producer.acknowledge(0)
    await until(lambda: len(producer.sent) == 2)
    assert not producer.stopped
    producer.acknowledge(1)
    await closing

    assert [len(await one) for one in sent] == [1, 1]
    assert producer.stopped


async def test_closing_ends_every_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a producer that is gone."""
    monkeypatch.setattr(sending, "CLOSE_S", 0.01)
    producer = Producer()
    sender = sender_of(producer)
    waiting = [asyncio.create_task(sender.send(records(value))) for value in (b"a", b"b")]
    await until(lambda: len(producer.sent) == 1)

    await sender.close()

    assert producer.stopped
    for one in waiting:
        assert "send the same again" in await outcome(one)
    assert "nothing was stored" in await outcome(sender.send(records(b"c")))
