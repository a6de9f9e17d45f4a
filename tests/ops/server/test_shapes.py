"""Events of Metarank and Gorse become ours."""

from __future__ import annotations

import json

import pytest

from ops.server.intake import TooMany, read
from ops.server.shapes import translated, unix_ms
from stream.events import Interaction, Item, Malformed

NOW_MS = 1_700_000_000_000


def test_a_metarank_click_is_a_click() -> None:
    """Its ranking is the list that was shown, its digits are the time."""
    click = {
        "event": "interaction",
        "id": "e3",
        "ranking": "r1",
        "timestamp": "1599391467000",
        "user": "user1",
        "session": "s1",
        "type": "click",
        "item": "item1",
        "fields": [],
    }

    assert translated(click) == {
        "event": "interaction",
        "id": "e3",
        "ts": 1599391467000,
        "user": "user1",
        "item": "item1",
        "type": "click",
        "list": "r1",
        "source": "metarank",
    }


def test_a_metarank_item_brings_title_and_categories() -> None:
    """Free-form fields that say what ours say are kept."""
    fields = [
        {"name": "title", "value": "Heat"},
        {"name": "genres", "value": ["Crime", "Drama"]},
        {"name": "color", "value": ["white"]},
    ]

    found = translated({"event": "item", "timestamp": 1599391467000, "item": "i1", "fields": fields})

    assert found == {
        "event": "item",
        "ts": 1599391467000,
        "item": "i1",
        "title": "Heat",
        "categories": ["Crime", "Drama"],
    }


def test_gorse_feedback_is_an_interaction() -> None:
    """The type is the feedback's, a day is its first moment in UTC."""
    feedback = {
        "FeedbackType": "star",
        "UserId": "bob",
        "ItemId": "a:b",
        "Value": 1.0,
        "Timestamp": "2022-02-24",
    }

    assert translated(feedback) == {
        "event": "interaction",
        "ts": 1645660800000,
        "user": "bob",
        "item": "a:b",
        "type": "star",
        "value": 1.0,
        "source": "gorse",
    }


def test_a_gorse_item_is_an_item() -> None:
    """Its comment is what people read."""
    found = translated({"ItemId": "i1", "Comment": "Heat", "Categories": ["Crime"], "IsHidden": False})

    assert found == {"event": "item", "item": "i1", "title": "Heat", "categories": ["Crime"]}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1599391467000", 1599391467000),
        (1599391467000, 1599391467000),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("yesterday", "yesterday"),
        ("9" * 400, "9" * 400),
        (None, None),
    ],
)
def test_times_are_read_as_each_system_writes_them(written: object, expected: object) -> None:
    """What is no time is passed on, to be refused by name."""
    assert unix_ms(written) == expected


def test_ours_is_left_as_it_is() -> None:
    """An unknown field of ours is no sign of another shape."""
    event = {"event": "interaction", "ts": 1, "user": "u", "item": "i", "type": "click", "extra": 1}

    assert translated(event) is event


def test_a_batch_is_sorted_into_accepted_and_rejected() -> None:
    """Each by its place, the rejected with the reason of a dead letter."""
    batch = [
        {"event": "interaction", "ts": 1, "user": "u", "item": "i", "type": "click"},
        {"event": "interaction", "user": "u", "item": "i", "type": "click"},
        {"FeedbackType": "star", "UserId": "bob", "ItemId": "x", "Timestamp": "2022-02-24"},
        {"FeedbackType": "star", "UserId": "bob", "ItemId": "x", "Timestamp": "soon"},
        7,
        {"event": "item", "item": "i", "title": "Heat"},
    ]

    found = read(json.dumps(batch).encode(), NOW_MS, 10)

    assert not isinstance(found, Malformed)
    accepted, rejected = found
    assert [(one.index, type(one.event)) for one in accepted] == [
        (0, Interaction),
        (2, Interaction),
        (5, Item),
    ]
    assert [(one.index, one.reason) for one in rejected] == [
        (1, "missing_field"),
        (3, "wrong_type"),
        (4, "wrong_type"),
    ]


def test_the_senders_own_bytes_are_stored() -> None:
    """An event in our shape reaches the topic byte for byte, unknown fields included."""
    raw = b'{"event":"interaction","ts":1,"user":"u","item":"i","type":"click","mine":{"a":[1]}}'

    found = read(raw, NOW_MS, 10)

    assert not isinstance(found, Malformed)
    assert [one.raw for one in found[0]] == [raw]


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"\xff", b"nothing", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused_as_a_whole(body: bytes) -> None:
    """With a reason, never with an exception."""
    assert isinstance(read(body, NOW_MS, 10), Malformed)


def test_more_events_than_allowed_are_not_read() -> None:
    """The bound holds before anything is stored."""
    with pytest.raises(TooMany):
        read(b"[1,2,3]", NOW_MS, 2)
