"""Moments of the stream."""

from __future__ import annotations

import pytest

from stream.errors import NoMoment
from stream.moment import Moment, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8812", Moment(offset=8812)),
        ("ts=1700000000000", Moment(written_ms=1_700_000_000_000)),
        ("last=30m", Moment(written_ms=10**12 - 1_800_000)),
        ("latest", Moment()),
    ],
)
def test_a_moment_is_an_offset_or_a_time(text: str, expected: Moment) -> None:
    """Each way to say one."""
    assert moment(text, 10**12) == expected


@pytest.mark.parametrize("text", ["", "-1", "ts=", "ts=yesterday", "last=3", "soon", "8812.0"])
def test_what_is_no_moment_is_refused_by_name(text: str) -> None:
    """The error says what would be one."""
    with pytest.raises(NoMoment, match="last=30m"):
        moment(text, 0)


def test_both_bounds_are_inclusive() -> None:
    """The record at the offset, or of that very millisecond, lay there by then; the next one did not."""
    assert Moment(offset=5).has_event(5, 10**15)
    assert not Moment(offset=5).has_event(6, 0)
    assert Moment(written_ms=5).has_list(10**9, 5)
    assert not Moment(written_ms=5).has_list(0, 6)
    assert Moment().has_event(10**9, 10**15)
