"""Seconds of the stream as the page sees them: times, loads, themes, and what is left out."""

from __future__ import annotations

import pytest

from ops.server.clicks import is_click
from ops.server.pulse import BOUNDS_MS, MAX_LOOKED_AT, MAX_TICKS, MAX_WAITING, Pulse
from stream.events import Forget, Interaction, Rescore, encode
from stream.records import RecommendationList, Scored, StateRef, ThemeWeight, encode_list


def raw(offset: int, partition: int = 0, degraded: str | None = None, **fields: object) -> bytes:
    made = RecommendationList(
        id="x",
        user="u",
        items=[Scored(item="i", score=1.0)],
        model="000001",
        state=StateRef(topic_id="t", partition=partition, offset=offset, events=1),
        epoch=1,
        degraded=degraded,
        **fields,  # type: ignore[arg-type]
    )
    return encode_list(made)


def test_a_list_is_timed_from_the_click_it_answers() -> None:
    """By partition and offset, whichever of the two is read first, and once."""
    pulse = Pulse()
    pulse.click(0, 7, 1000.0)
    pulse.made(raw(7), 1040.0)
    pulse.made(raw(7), 5000.0)  # again, for a new version
    pulse.made(raw(9, partition=1), 2060.0)
    pulse.click(1, 9, 2000.0)

    tick = pulse.tick(3000.0)

    assert (tick.clicks, tick.lists, tick.p50, tick.p99) == (2, 3, 50.0, 59.8)
    assert sum(tick.latency) == 2
    assert tick.latency[BOUNDS_MS.index(50.0)] == 1  # 40 ms
    assert tick.latency[BOUNDS_MS.index(75.0)] == 1  # 60 ms


def test_clicks_that_are_read_after_their_lists_are_timed_in_a_busy_second() -> None:
    """More lists than are looked into without clicks: each is kept for its click while clicks come."""
    pulse = Pulse()
    pulse.click(1, 0, 0.0)
    pulse.made(raw(0, partition=1), 10.0)
    pulse.tick(1000.0)
    for offset in range(2 * MAX_LOOKED_AT):
        pulse.made(raw(offset), 1040.0)
    for offset in range(2 * MAX_LOOKED_AT):
        pulse.click(0, offset, 1000.0)

    assert sum(pulse.tick(2000.0).latency) == 2 * MAX_LOOKED_AT


def test_old_times_leave_the_percentiles() -> None:
    """After a minute without a click there is none."""
    pulse = Pulse()
    pulse.click(0, 1, 0.0)
    pulse.made(raw(1), 10.0)

    assert pulse.tick(1000.0).p95 == 10.0
    assert pulse.tick(62_000.0).p95 is None


def test_loads_and_themes_are_means_over_the_second() -> None:
    """Lists of another shape, as of the version before, are left out; the next second begins empty."""
    pulse = Pulse()
    even = [ThemeWeight(id=3, weight=0.5, label="Sci-Fi")]
    pulse.made(raw(1, experts=[[1.0, 0.0]], themes=even), 0.0)
    pulse.made(raw(2, experts=[[0.5, 0.5]], degraded="memory"), 0.0)
    pulse.made(raw(3, experts=[[1.0]]), 0.0)
    pulse.made(b"no list", 0.0)

    tick = pulse.tick(1000.0)

    assert tick.experts == [[0.75, 0.25]]
    assert [(one.id, one.weight, one.label) for one in tick.themes] == [(3, pytest.approx(0.1667), "Sci-Fi")]
    assert tick.degraded == 1
    after = pulse.tick(2000.0)
    assert (after.lists, after.experts, after.themes) == (0, [], [])


def test_nothing_grows_for_ever() -> None:
    """Clicks that nothing answers, and seconds that nobody asks for."""
    pulse = Pulse()
    for offset in range(MAX_WAITING + 5):
        pulse.click(0, offset, 0.0)
    pulse.made(raw(4), 1.0)  # its click is forgotten
    pulse.made(raw(5), 1.0)

    assert sum(pulse.tick(0.0).latency) == 1
    for second in range(MAX_TICKS):
        pulse.tick(float(second))
    assert len(pulse.ticks) == MAX_TICKS


def test_only_clicks_are_timed() -> None:
    """What erases, what asks for a fresh list and what is no event are none."""
    click = Interaction(ts=1, user="u", item="i", type="click")
    too_deep = b'{"x": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"

    assert is_click(encode(click))
    assert [
        is_click(value)
        for value in (encode(Forget(user="u")), encode(Rescore(user="u")), b"{", None, too_deep)
    ] == [False] * 5
