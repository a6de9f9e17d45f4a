"""How each line has done."""

from __future__ import annotations

import math

import msgspec
import pytest

from model.metrics import bootstrap
from stream.judging import Judged, Verdict
from stream.records import Judgement, Line, StateRef
from stream.standings import MAX_LINES, Standings, figures


def verdict(user: str, item: str, items: list[str], partition: int = 0, lines: int = 1) -> Verdict:
    state = StateRef(topic_id="t", partition=partition, offset=0, events=1)
    line = Line(version=None, items=items)
    names = ["served", *[f"l{number}" for number in range(lines - 1)]]
    made = Judgement(user=user, state=state, epoch=1, lines=dict.fromkeys(names, line), made_ms=0)
    return Verdict(Judged(user=user, item=item, offset=1, written_ms=0, partition=partition), made)


def count(standings: Standings, user: str, item: str, *, partition: int = 0, group: str = "g") -> None:
    items = [str(number) for number in range(60)]
    standings.count(verdict(user, item, items, partition), (group,), {"served": ()})


def test_figures_are_means_over_events() -> None:
    """Ranks 1 and 11: recall, nDCG and MRR at 10 are 1/2, nDCG@50 counts the eleventh place, too."""
    standings = Standings(10, 1)
    count(standings, "ann", "0")
    count(standings, "bob", "10")

    found = standings.figures()["served"]
    assert (found["recall@10"], found["ndcg@10"], found["mrr"], found["events"]) == (0.5, 0.5, 0.5, 2)
    assert found["ndcg@50"] == pytest.approx((1 + 1 / math.log2(12)) / 2, abs=1e-6)


def test_beyond_fifty_places_is_a_miss() -> None:
    """The last judged place counts for nDCG@50; one further nothing does."""
    standings = Standings(10, 1)
    count(standings, "ann", "50")

    assert standings.figures()["served"] == {
        "recall@10": 0.0,
        "ndcg@10": 0.0,
        "mrr": 0.0,
        "ndcg@50": 0.0,
        "events": 1,
    }


def test_the_window_forgets_the_oldest_of_each_partition() -> None:
    """Four places over two partitions: two events of each, whatever came between."""
    standings = Standings(4, 2)
    for item in ("0", "0", "59"):
        count(standings, "ann", item, partition=0)
    count(standings, "bob", "59", partition=1)

    assert standings.window_figures()["served"]["events"] == 3
    assert standings.window_figures()["served"]["recall@10"] == pytest.approx(1 / 3, abs=1e-6)
    assert standings.figures()["served"]["events"] == 4


def test_an_interval_needs_a_hundred_users() -> None:
    """With a hundred users recall has an interval around it, all-time and in the window; below none."""
    standings = Standings(1000, 1)
    for number in range(99):
        count(standings, f"u{number}", "0" if number % 2 else "59")
    assert standings.bands()["served"].low is None

    count(standings, "u99", "0")
    for band in (standings.bands()["served"], standings.window_bands()["served"]):
        assert band.low is not None
        assert band.high is not None
        assert band.low < 0.5 < band.high
        assert band.users == 100


def test_the_interval_of_all_time_is_that_of_its_events() -> None:
    """It is drawn from two numbers a user, and is what redrawing users with all their events gives."""
    standings = Standings(1000, 1)
    events = [(f"u{number * number % 130:03d}", "0" if number % 3 else "59") for number in range(900)]
    for user, item in events:
        count(standings, user, item)

    hits = [float(item == "0") for _, item in events]
    assert standings.bands()["served"] == bootstrap(hits, [user for user, _ in events])
    assert standings.bands() == standings.window_bands()


def test_who_was_judged_first_does_not_move_an_interval() -> None:
    """The same events in another order of users: the same draws."""
    one, other = Standings(1000, 1), Standings(1000, 1)
    events = [(f"u{number % 130}", "0" if number % 3 else "59") for number in range(400)]
    for user, item in events:
        count(one, user, item)
    for user, item in reversed(events):
        count(other, user, item)

    assert one.bands() == other.bands()
    assert one.window_bands() == other.window_bands()


def test_users_beyond_the_bound_share_numbers() -> None:
    """Everything is counted, and an interval sees fewer users than there were."""
    standings = Standings(1000, 1, max_users=3)
    for number in range(9):
        count(standings, f"u{number}", "0")

    assert standings.figures()["served"]["events"] == 9
    assert standings.bands()["served"].users == 3


def test_lines_are_bounded() -> None:
    """Further lines of a judgement are left out and counted."""
    standings = Standings(10, 1)
    made = verdict("ann", "0", ["0"], lines=MAX_LINES + 2)
    assert made.judgement is not None
    standings.count(made, (), dict.fromkeys(made.judgement.lines, ()))

    assert (len(standings.lines), standings.lines_left_out) == (MAX_LINES, 2)


def test_standings_go_on_from_their_state() -> None:
    """Stored and restored, an erased name's number kept: the same figures, groups, windows and intervals."""
    standings = Standings(50, 2)
    for number in range(120):
        count(standings, f"u{number}", str(number), partition=number % 2, group=f"g{number % 3}")
    standings.forget("u7")
    restored = Standings(50, 2)
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(standings.state())))
    for one in (standings, restored):
        count(one, "u8", "0", partition=1)

    assert restored.figures() == standings.figures()
    assert restored.groups() == standings.groups()
    assert restored.window_figures() == standings.window_figures()
    assert restored.bands() == standings.bands()


def test_no_events_are_no_figures() -> None:
    """Zeros, not a division by zero."""
    assert figures([0] * 51)["recall@10"] == 0.0
    assert Standings(10, 1).bands() == {}
