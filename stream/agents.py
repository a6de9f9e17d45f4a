"""The worker's agent: decode, apply, store, ask for a list, acknowledge. The picture of the system.

Knows: the order of those steps for every kind of record. Does not know: how Faust is set up (app.py).

For each record: 1 decode, 2 apply to the user's state, 3 write the state (changelog record), 4 send the
request, 5 acknowledge once the broker holds both. If we die between any two, the record comes again and
its offset says what is left to do (ARCHITECTURE.md, "If we die").
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from stream.acks import Acks
from stream.events import Forget, Interaction, Malformed, Rescore, decode_record
from stream.history import Delivery, Rules, User
from stream.metrics.worker import WorkerMetrics
from stream.outgoing import kept
from stream.requests import Cause, build
from stream.themes import Router
from stream.users import Users

#: Record header by which a replay says: load this into the state, a later record will ask for the list.
BACKFILL = "backfill"


class Sender(Protocol):
    """Sends one record and returns the future of its acknowledgement."""

    def __call__(
        self, key: bytes | None, value: bytes, partition: int | None, headers: dict[str, bytes]
    ) -> asyncio.Future[Any]: ...


@dataclass(slots=True, kw_only=True)
class Parts:
    """What the agent works with; app.py builds the real ones, tests build fakes."""

    users: Users
    acks: Acks
    rules: Rules
    sample_share: float
    topic: str
    topic_id: Callable[[], str]
    changelog_sent: Callable[[], asyncio.Future[Any]]
    send_request: Sender
    send_dead_letter: Sender
    still_ours: Callable[[Any], bool]  # no rebalance since the event was fetched
    may_go_on: Callable[[], None]  # ends the process if it was paused for too long
    router: Router = field(default_factory=Router)
    outcomes: dict[str, int] = field(default_factory=dict)  # what became of records, for the log
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.metrics.seen(outcome)


async def follow_events(stream: Any, parts: Parts) -> None:
    """The agent's body: every record of the events topic, in partition order."""
    async for event in stream.noack().events():
        parts.may_go_on()
        await parts.acks.room()
        if parts.still_ours(event):  # else it is not acknowledged, and comes again to whoever owns it
            handle(event, parts)


def handle(event: Any, parts: Parts) -> None:
    """One record; ``event`` has Faust's form (key, value, message, ack)."""
    message = event.message
    decoded = decode_record(event.key, event.value, int(time.time() * 1000))
    if isinstance(decoded, Malformed):
        parts.count(decoded.reason)
        parts.acks.track(event, [_refuse(event, decoded, parts)])
        return
    user = parts.users.get(event.key, parts.topic_id())
    delivery = user.delivery(parts.topic_id(), message.offset)
    if delivery is Delivery.NEW:
        parts.count(_apply(user, decoded, message, parts))
    else:
        parts.count(delivery.value)
    # A record that comes again is written again: after a crash the local store may hold an update whose
    # changelog record was never flushed, and acknowledging without it could lose the event for good.
    parts.users.put(event.key, user)
    sent = [parts.changelog_sent()]
    if delivery is not Delivery.PAST and not _is_backfill(message.headers):
        sent.append(_ask(event, user, decoded, parts))
    parts.acks.track(event, sent)


def _apply(user: User, decoded: Interaction | Forget | Rescore, message: Any, parts: Parts) -> str:
    topic_id, offset = parts.topic_id(), message.offset
    if isinstance(decoded, Interaction):
        sessions = user.value.next_session
        outcome = user.apply(decoded, topic_id, offset, parts.rules, parts.router).value
        if user.value.next_session > sessions:
            _count_session(user, parts)
        return outcome
    if isinstance(decoded, Forget):
        user.forget(topic_id, offset, _written_ms(message))
        return "forgotten"
    user.rescore(topic_id, offset)
    return "rescored"


def _count_session(user: User, parts: Parts) -> None:
    closed, before = user.closed[-1], user.closed[-2] if len(user.closed) > 1 else None
    parts.metrics.closed(
        len(closed.items),
        closed.theme,
        full=len(closed.items) >= parts.rules.max_events,
        switched=before is not None and before.theme != closed.theme,
    )


def _ask(
    event: Any, user: User, decoded: Interaction | Forget | Rescore, parts: Parts
) -> asyncio.Future[Any]:
    message = event.message
    cause = Cause(
        user=decoded.user,
        partition=message.partition,
        type=decoded.type if isinstance(decoded, Interaction) else type(decoded).__name__.lower(),
        produced_ms=_written_ms(message),
        forgets=isinstance(decoded, Forget),
    )
    value = build(user, parts.router, cause, sample_share=parts.sample_share)
    parts.metrics.event_to_request.observe(max(0.0, time.time() - message.timestamp))
    return parts.send_request(event.key, value, message.partition, {})


def _written_ms(message: Any) -> int:
    seconds: float = message.timestamp
    return round(seconds * 1000)


def _refuse(event: Any, malformed: Malformed, parts: Parts) -> asyncio.Future[Any]:
    message = event.message
    headers = {
        "reason": malformed.reason.encode(),
        "detail": malformed.detail.encode(errors="replace")[:1024],
        "topic": parts.topic.encode(),
        "partition": str(message.partition).encode(),
        "offset": str(message.offset).encode(),
    }
    key, value = kept(event.key, event.value)
    return parts.send_dead_letter(key, value, None, headers)


def _is_backfill(headers: Iterable[tuple[str, bytes]] | dict[str, bytes] | None) -> bool:
    return bool(headers) and BACKFILL in dict(headers or {})
