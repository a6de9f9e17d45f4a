"""The order of steps for every kind of record, with a fake Faust."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from stream.acks import Acks
from stream.agents import Parts, follow_events, handle
from stream.events import Forget, Interaction, Item, Rescore, encode
from stream.history import Rules, User
from stream.records import decode_request
from stream.users import Users


@dataclass
class FakeMessage:
    offset: int
    partition: int = 1
    timestamp: float = 12.5
    headers: list[tuple[str, bytes]] | None = None


@dataclass
class FakeEvent:
    key: bytes | None
    value: bytes
    message: FakeMessage
    acked: bool = False

    def ack(self) -> None:
        self.acked = True


@dataclass
class FakeStream:
    """Yields its events as Faust's `stream.noack().events()` does."""

    queue: list[FakeEvent]

    def noack(self) -> FakeStream:
        return self

    async def events(self) -> Any:
        for event in self.queue:
            yield event


@dataclass
class World:
    """Parts whose sends are futures that the test resolves."""

    table: dict[bytes, bytes] = field(default_factory=dict)
    changelog: list[asyncio.Future[None]] = field(default_factory=list)
    requests: list[tuple[bytes | None, bytes, int | None]] = field(default_factory=list)
    letters: list[tuple[bytes, dict[str, bytes]]] = field(default_factory=list)
    sent: list[asyncio.Future[None]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def parts(self, limit: int = 100) -> Parts:
        def future(into: list[asyncio.Future[None]]) -> asyncio.Future[None]:
            into.append(asyncio.get_running_loop().create_future())
            return into[-1]

        def request(key: Any, value: bytes, partition: Any, headers: Any) -> asyncio.Future[None]:
            self.requests.append((key, value, partition))
            return future(self.sent)

        def letter(key: Any, value: bytes, partition: Any, headers: dict[str, bytes]) -> asyncio.Future[None]:
            self.letters.append((value, headers))
            return future(self.sent)

        return Parts(
            users=Users(self.table, 10),
            acks=Acks(limit, self.failures.append),
            rules=Rules(),
            sample_share=1.0,
            topic="events",
            topic_id=lambda: "t1",
            changelog_sent=lambda: future(self.changelog),
            send_request=request,
            send_dead_letter=letter,
            still_ours=lambda event: True,
            may_go_on=lambda: None,
        )

    async def resolve(self) -> None:
        for one in [*self.changelog, *self.sent]:
            if not one.done():
                one.set_result(None)
        await asyncio.sleep(0)


def click(offset: int, item: str = "a", user: str = "ann", **message: Any) -> FakeEvent:
    event = Interaction(ts=offset, user=user, item=item, type="click")
    return FakeEvent(user.encode(), encode(event), FakeMessage(offset, **message))


async def test_an_event_is_acknowledged_only_when_both_records_are() -> None:
    """Neither the changelog record nor the request alone is enough."""
    world = World()
    event = click(7)
    handle(event, world.parts())
    world.changelog[0].set_result(None)
    await asyncio.sleep(0)
    assert not event.acked

    world.sent[0].set_result(None)
    await asyncio.sleep(0)

    assert event.acked
    assert decode_request(world.requests[0][1]).header.offset == 7
    assert world.requests[0][0] == b"ann"
    assert world.requests[0][2] == 1


async def test_a_failed_send_is_reported_and_never_acknowledged() -> None:
    """The process is told to end; the event will come again."""
    world = World()
    event = click(0)
    handle(event, world.parts())
    world.changelog[0].set_exception(OSError("gone"))
    world.sent[0].set_result(None)
    await asyncio.sleep(0)

    assert [str(error) for error in world.failures] == ["gone"]
    assert not event.acked


async def test_the_newest_event_again_is_written_and_asked_again() -> None:
    """After a crash its records may be lost; the state is the same as before."""
    world = World()
    parts = world.parts()
    handle(click(3), parts)
    stored = world.table[b"ann"]
    handle(click(3), parts)

    assert world.table[b"ann"] == stored
    assert len(world.requests) == 2
    assert len(world.changelog) == 2


async def test_an_older_event_again_is_written_before_it_is_acknowledged() -> None:
    """It changes nothing, but the changelog must hold what it did before its offset is committed."""
    world = World()
    parts = world.parts()
    handle(click(3), parts)
    handle(click(4, "b"), parts)
    stored = world.table[b"ann"]
    again = click(3)
    handle(again, parts)
    assert not again.acked

    await world.resolve()

    assert again.acked
    assert world.table[b"ann"] == stored
    assert len(world.requests) == 2


async def test_backfill_changes_state_and_asks_for_nothing() -> None:
    """History is loaded without a list per event."""
    world = World()
    handle(click(0, headers=[("backfill", b"1")]), world.parts())

    assert world.requests == []
    assert User.from_bytes(world.table[b"ann"]).items == ["a"]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"ann", b"{", b"not_json"),
        (b"bob", encode(Interaction(ts=1, user="ann", item="a", type="click")), b"wrong_key"),
        (None, encode(Interaction(ts=1, user="ann", item="a", type="click")), b"wrong_key"),
        (b"a", encode(Item(item="a", title="A")), b"wrong_topic"),
    ],
)
async def test_what_cannot_be_applied_goes_to_dead_letters(
    key: bytes | None, value: bytes, reason: bytes
) -> None:
    """With its bytes, its reason and where it was; acknowledged once the letter is stored."""
    world = World()
    event = FakeEvent(key, value, FakeMessage(9))
    handle(event, world.parts())
    assert not event.acked
    await world.resolve()

    letter, headers = world.letters[0]
    assert (letter, headers["reason"], headers["partition"], headers["offset"]) == (value, reason, b"1", b"9")
    assert event.acked
    assert world.table == {}


async def test_rescore_asks_and_forget_erases() -> None:
    """Control records travel with the events and are applied in order."""
    world = World()
    parts = world.parts()
    handle(click(0), parts)
    handle(FakeEvent(b"ann", encode(Rescore(user="ann")), FakeMessage(1)), parts)
    handle(FakeEvent(b"ann", encode(Forget(user="ann")), FakeMessage(2)), parts)
    headers = [decode_request(value).header for _, value, _ in world.requests]

    assert [header.offset for header in headers] == [0, 1, 2]
    assert [header.item for header in headers] == ["a", "a", None]
    assert headers[2].forgotten


async def test_too_many_in_flight_make_the_agent_wait() -> None:
    """Reading stops at the limit and goes on when the broker has caught up."""
    world = World()
    stream = FakeStream([click(n) for n in range(5)])
    running = asyncio.create_task(follow_events(stream, world.parts(limit=2)))
    for _ in range(20):
        await asyncio.sleep(0)
    waiting = len(world.changelog)
    for _ in range(20):
        await world.resolve()
    await running

    assert waiting == 2
    assert len(world.changelog) == 5


async def test_an_event_of_an_older_assignment_is_left_alone() -> None:
    """Its partition may be another worker's by now: nothing is written, sent or acknowledged."""
    world = World()
    parts = world.parts()
    parts.still_ours = lambda event: event.message.offset != 1
    events = [click(0), click(1), click(2)]
    await follow_events(FakeStream(events), parts)
    await world.resolve()

    assert [event.acked for event in events] == [True, False, True]
    assert len(world.requests) == 2
