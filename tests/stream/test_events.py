"""Every record is an event or has a precise reason why not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import (
    MAX_AHEAD_MS,
    REASONS,
    Interaction,
    Malformed,
    decode,
    derived_id,
    encode,
    id_digest,
)

NOW = 1_700_000_000_000
GOOD = {"event": "interaction", "ts": NOW, "user": "u1", "item": "i1", "type": "click"}


def changed(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in GOOD.items() if name != field}).encode()


def test_a_good_event_is_read_and_unknown_fields_are_no_error() -> None:
    """Fields that nobody asked for are left out of the event."""
    event = decode(changed(colour="red", value=4.5), NOW)

    assert event == Interaction(ts=NOW, user="u1", item="i1", type="click", value=4.5)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "not_json"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (changed()[:-5], "not_json"),
        (b"\xff\xfe{}", "not_utf8"),
        (changed().replace(b"u1", b"u\xff"), "not_utf8"),
        (b"[1]", "wrong_type"),
        (changed(event="purchase"), "unknown_event"),
        (without("event"), "missing_field"),
        (without("ts"), "missing_field"),
        (without("user"), "missing_field"),
        (without("item"), "missing_field"),
        (without("type"), "missing_field"),
        (changed(ts="now"), "wrong_type"),
        (changed(ts=1.5), "wrong_type"),
        (changed(user=7), "wrong_type"),
        (changed(user=""), "bad_id"),
        (changed(item="x" * 257), "bad_id"),
        (changed(user="u\0"), "bad_id"),
        (changed(item="é" * 129), "bad_id"),
        (changed(ts=-1), "bad_time"),
        (changed(ts=1 << 60), "bad_time"),
        (changed(ts=10**30), "bad_time"),
        (changed(ts=NOW + MAX_AHEAD_MS + 1), "future_time"),
        (changed(v=2), "wrong_version"),
        (changed(x="y" * 70_000), "too_large"),
        (changed().replace(b'"click"', b"[" * 20_000 + b"]" * 20_000), "wrong_type"),
        (changed().replace(b"}", b', "x": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"), "too_deep"),
    ],
)
def test_a_bad_record_has_its_reason(raw: bytes | None, reason: str) -> None:
    """One of a fixed set of reasons, with a detail for people."""
    refused = decode(raw, NOW)

    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert refused.reason in REASONS
    assert refused.detail


@given(st.binary(max_size=300))
def test_no_bytes_raise(raw: bytes) -> None:
    """Whatever comes in, an event or a reason comes out."""
    found = decode(raw, NOW)

    assert not isinstance(found, Malformed) or found.reason in REASONS


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
    st.integers(0, NOW),
)
def test_what_is_written_is_read(name: str, ts: int) -> None:
    """Any text without NUL is an id, in any script."""
    event = Interaction(ts=ts, user=name, item=name, type="click")

    assert decode(encode(event), NOW) == event


def test_an_event_a_day_ahead_is_still_taken() -> None:
    """The limit itself is allowed."""
    assert isinstance(decode(changed(ts=NOW + MAX_AHEAD_MS), NOW), Interaction)


def test_a_derived_id_depends_on_who_what_when_and_how() -> None:
    """And on nothing else."""
    base = Interaction(ts=1, user="u", item="i", type="click")
    others = [
        Interaction(ts=2, user="u", item="i", type="click"),
        Interaction(ts=1, user="v", item="i", type="click"),
        Interaction(ts=1, user="u", item="j", type="click"),
        Interaction(ts=1, user="u", item="i", type="buy"),
    ]

    assert derived_id(base) == derived_id(Interaction(ts=1, user="u", item="i", type="click", value=3.0))
    assert len({derived_id(event) for event in [base, *others]}) == 5
    assert len({id_digest(event) for event in [base, *others]}) == 5
