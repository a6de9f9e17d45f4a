"""What a worker's agent tells of events, sessions and themes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stream.agents import Parts, handle
from stream.events import Forget, encode
from stream.history import Rules
from stream.themes import Router
from tests.stream.test_agents import FakeEvent, FakeMessage, World, click


def value(parts: Parts, name: str, **labels: str) -> float | None:
    return parts.metrics.registry.get_sample_value(f"hopstream_{name}", labels)


async def test_every_record_is_counted_once_as_what_it_was() -> None:
    """A click, a late one, the same again, a forgotten user and bytes that are no event."""
    parts = World().parts()
    for event in (click(100, "a"), click(101, "b"), click(101, "b")):
        handle(event, parts)
    late = click(102, "c")
    late.value = late.value.replace(b'"ts":102', b'"ts":50')
    handle(late, parts)
    handle(FakeEvent(b"ann", encode(Forget(user="ann")), FakeMessage(103)), parts)
    handle(FakeEvent(b"ann", b"none", FakeMessage(104)), parts)

    assert value(parts, "events_total", type="positive") == 3
    assert value(parts, "events_total", type="forget") == 1
    assert value(parts, "events_late_total") == 1
    assert value(parts, "events_redelivered_total") == 1
    assert value(parts, "dead_letters_total", reason="not_json") == 1
    assert value(parts, "event_to_request_seconds_count") == 5


@pytest.mark.parametrize(("events", "reason"), [(5, "full"), (3, "gap")])
async def test_a_closed_session_is_counted_with_its_theme_and_why(events: int, reason: str) -> None:
    """Four events fill a session; without a version it has no theme."""
    parts = World().parts()
    parts.rules = Rules(max_events=4)
    for number in range(events):
        handle(click(number, f"i{number}"), parts)
    handle(click(2 * parts.rules.gap_ms, "late"), parts)
    closed = {why: value(parts, "sessions_closed_total", reason=why) for why in ("gap", "full")}

    assert closed[reason] == 1
    assert value(parts, "theme_assignments_total", theme="none") == sum(one or 0 for one in closed.values())
    assert (value(parts, "session_events_sum") or 0) == events
    assert value(parts, "theme_switches_total") == 0


class Table:
    """Even and odd items lean to a theme each, or all of them to theme 0."""

    def __init__(self, *, dead: bool) -> None:
        self._dead = dead

    def logits_of(self, item: str) -> npt.NDArray[np.float32]:
        first = self._dead or int(item[1:]) % 2 == 0
        return np.array([3.0, 0.0] if first else [0.0, 3.0], np.float32)


@pytest.mark.parametrize(("dead", "closed", "switches"), [(False, [2, 2], 3), (True, [4, 0], 0)])
async def test_a_planted_dead_theme_shows_in_the_themes_of_sessions(
    dead: bool, closed: list[int], switches: int
) -> None:
    """Sessions have two themes in turn; with a table where one died all have the other, nobody switches."""
    parts = World().parts()
    parts.router = Router(Table(dead=dead), "000001")
    for number in range(5):
        handle(click(number * 2 * parts.rules.gap_ms, f"i{number}"), parts)

    assert [value(parts, "theme_assignments_total", theme=theme) or 0 for theme in ("0", "1")] == closed
    assert value(parts, "theme_switches_total") == switches
