"""The evaluator in memory, fed with a small made-up stream in many orders."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.evaluator import Evaluator
from stream.events import Forget, Interaction, encode
from stream.groups import WarmStart
from stream.intake import EVENTS, JUDGEMENTS, LISTS, Intake, Place, Record
from stream.records import Judgement, Line, StateRef, encode_judgement
from tests.stream.small_stream import PARTITIONS, RULES, Lying, stream

LYING = stream()
#: Version → how far it was trained; another one is not known.
THROUGH = {"000001": {}, "000002": {0: 2, 1: 99}}
WARM = WarmStart("000001", frozenset(f"i{number}" for number in range(25)), 1_100_000)


class Fed:
    """An evaluator, its intake, and what was refused."""

    def __init__(self, window: int = 100, max_waiting: int = 1000) -> None:
        self.refused: list[tuple[Place, Record, str]] = []
        self.evaluator = Evaluator(
            RULES,
            "t",
            PARTITIONS,
            sample_share=1.0,
            filter_seen=True,
            window=window,
            trained_through=THROUGH.get,
        )
        self.evaluator.warm = WARM
        self.intake = Intake(self.evaluator, lambda *what: self.refused.append(what), max_waiting)

    def take(self, *lying: Lying) -> None:
        for one in lying:
            self.intake.put(one.place, [one.record])
        self.intake.work()

    def report(self) -> dict[str, Any]:
        self.evaluator.draw_bands()
        return self.evaluator.report()

    def revived(self) -> Fed:
        """A second one that goes on from what the first one knows."""
        other = Fed()
        state = [self.evaluator.state(), list(self.intake.positions.items())]
        stored, positions = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
        other.evaluator = Evaluator(
            RULES,
            "t",
            PARTITIONS,
            sample_share=1.0,
            filter_seen=True,
            window=100,
            trained_through=THROUGH.get,
        )
        other.evaluator.restore(stored)
        other.intake = Intake(other.evaluator, lambda *what: other.refused.append(what))
        other.intake.positions = {(role, number): offset for (role, number), offset in positions}
        return other


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    fed = Fed()
    fed.take(*LYING)
    return fed.report()


def of_user(event: Interaction, offset: int, written_ms: int = 0) -> Lying:
    record = Record(
        partition=0, offset=offset, key=event.user.encode(), value=encode(event), written_ms=written_ms
    )
    return Lying((EVENTS, 0), record)


def judging(
    user: str, knows: int, offset: int, items: list[str], written_ms: int = 0, version: str | None = None
) -> Lying:
    made = Judgement(
        user=user,
        state=StateRef(topic_id="t", partition=0, offset=knows, events=1),
        epoch=1,
        lines={"served": Line(version=version, items=items)},
        made_ms=0,
    )
    record = Record(
        partition=0, offset=offset, key=user.encode(), value=encode_judgement(made), written_ms=written_ms
    )
    return Lying((JUDGEMENTS, 0), record)


def click(user: str, item: str, number: int) -> Interaction:
    return Interaction(ts=1000 + number, user=user, item=item, type="click", id=f"{user}{number}")


def test_every_event_with_a_prior_state_is_judged(undisturbed: dict[str, Any]) -> None:
    """300 events of 12 users: 288 have a state before them, and the line that knows the future is right."""
    assert undisturbed["judged"]["events"] == 288
    assert undisturbed["judged"]["without_list"] == 0
    assert undisturbed["judged"]["waiting"] == 0
    assert undisturbed["lines"]["good"]["recall@10"] == 1.0
    assert 0.3 < undisturbed["lines"]["served"]["recall@10"] < 0.8
    assert undisturbed["window"]["good"]["events"] == 100


def test_an_item_is_hittable_once_somebody_took_it() -> None:
    """Its first event of all is not: there was nothing to list it by. The second one is."""
    fed = Fed()
    taken = [("u1", "i1"), ("u1", "brand new"), ("u2", "i1"), ("u2", "brand new")]
    events = [click(*one, number) for number, one in enumerate(taken)]
    for offset, event in enumerate(events):
        fed.evaluator.event(0, event.user.encode(), encode(event), offset, 2_000_000 + offset)
    for offset, event in enumerate(events):
        state = StateRef(topic_id="t", partition=0, offset=offset, events=1)
        lines = {"served": Line(version=None, items=["i2"])}
        made = Judgement(user=event.user, state=state, epoch=1, lines=lines, made_ms=0)
        fed.evaluator.judgement(0, encode_judgement(made), 2_000_000 + offset)
    groups = fed.report()["groups"]

    assert groups["new item"]["served"]["events"] == 2
    assert groups["hittable"]["served"]["events"] == 1


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_how_fast_each_topic_is_read_changes_nothing(data: st.DataObject) -> None:
    """Any interleaving of the six partitions, each in its own order: the same report."""
    lying = stream(60)
    expected = Fed()
    expected.take(*lying)
    queues: dict[Place, list[Lying]] = {}
    for one in lying:
        queues.setdefault(one.place, []).append(one)
    order = data.draw(st.permutations([one.place for one in lying]))
    fed = Fed()
    for place in order:
        fed.take(queues[place].pop(0))

    found, wanted = fed.report(), expected.report()
    for report in (found, wanted):  # a new item's first moments may be read before they are complete
        for name in ("hittable",):
            report["groups"].pop(name, None)
    assert found == wanted


@pytest.mark.parametrize("cut", [0, 1, 2, 100, 451, 898, 900])
def test_a_restart_anywhere_gives_the_same_report(cut: int, undisturbed: dict[str, Any]) -> None:
    """Stored after any record and restored, the report at the end is the undisturbed one's."""
    before = Fed()
    before.take(*LYING[:cut])
    after = before.revived()
    after.take(*LYING[cut:])

    assert after.report() == undisturbed


def test_nothing_is_committed_past_an_event_without_a_verdict() -> None:
    """The offset stands at the event that waits, and moves on with its verdict."""
    fed = Fed()
    fed.take(
        of_user(click("u0", "a", 0), 0), of_user(click("u0", "b", 1), 1), of_user(click("u2", "c", 2), 2)
    )
    assert fed.evaluator.judged_through() == {0: 1, 1: 0}

    fed.take(judging("u0", 0, 0, ["b"]), judging("u0", 1, 1, ["x"]))
    assert fed.evaluator.judged_through() == {0: 3, 1: 0}


def test_a_judgement_waits_for_the_events_that_it_knows() -> None:
    """Read first, it is held back until its event was taken."""
    fed = Fed()
    fed.take(judging("u0", 0, 0, ["b"]), judging("u0", 1, 1, []))
    assert fed.intake.held == {(JUDGEMENTS, 0)}

    fed.take(of_user(click("u0", "a", 0), 0), of_user(click("u0", "b", 1), 1))
    assert fed.intake.held == set()
    assert fed.evaluator.counts["judged"] == 1


def test_a_judgement_of_an_event_that_never_was_is_refused() -> None:
    """Otherwise one such record would hold its partition for ever."""
    fed = Fed()
    fed.take(judging("u0", 99, 0, ["b"]), of_user(click("u0", "a", 0), 0), judging("u0", 0, 1, ["b"]))
    assert fed.intake.refuse_impossible({0: 100}) == 0

    assert fed.intake.refuse_impossible({0: 1}) == 1
    fed.take()
    assert fed.intake.held == set()
    assert fed.evaluator.counts["bad_records"] == 1


def test_rubbish_is_counted_kept_and_stops_nobody() -> None:
    """Bytes that are nothing, on each of the topics: the ones we can refuse are handed over."""
    fed = Fed()
    for role in (EVENTS, JUDGEMENTS, LISTS):
        record = Record(partition=0, offset=0, key=b"u0", value=b"\xc1{", written_ms=0)
        fed.take(Lying((role, 0), record))
    fed.take(of_user(click("u0", "a", 0), 1), of_user(click("u0", "b", 1), 2))
    fed.take(judging("u0", 1, 1, ["b"]), judging("u0", 2, 2, []))

    assert [place[0] for place, _, _ in fed.refused] == [JUDGEMENTS, LISTS]
    assert (fed.evaluator.counts["judged"], fed.evaluator.counts["bad_records"]) == (1, 2)


def test_events_wait_while_too_many_have_no_verdict() -> None:
    """Past the bound events are left where they are, until judgements come."""
    fed = Fed(max_waiting=3)
    fed.take(*[of_user(click("u0", str(number), number), number) for number in range(8)])
    assert fed.evaluator.waiting == 3
    assert fed.intake.held == {(EVENTS, 0)}

    fed.take(*[judging("u0", number, number, []) for number in range(8)])
    assert fed.evaluator.waiting == 0
    assert fed.intake.held == set()


def test_lists_that_retention_took_are_not_the_scorers_fault() -> None:
    """The oldest judgement left has offset 50 and knows event 1: events up to there judge nothing."""
    fed = Fed()
    events = [of_user(click("u0", item, number), number) for number, item in enumerate("abcd")]
    fed.take(*events[:2])
    fed.take(*events[2:], judging("u0", 1, 50, ["c"]), judging("u0", 2, 51, []), judging("u0", 3, 52, []))

    counts = fed.evaluator.counts
    assert (counts["judged"], counts["without_list"], counts["missed"]) == (2, 0, 50)


def test_an_event_that_a_version_had_learned_is_counted() -> None:
    """Version 2 was trained through offset 2: event 2 judges it all the same and is told, event 3 may; a
    snapshot keeps the count, and what versions were trained through."""
    fed = Fed()
    fed.take(*[of_user(click("u0", item, number), number) for number, item in enumerate("abcde")])
    versions = ["000001", "000002", "000002", "000009"]
    fed.take(*[judging("u0", number, number, [], version=name) for number, name in enumerate(versions)])
    fed.take(judging("u0", 4, 4, []))

    told = fed.report()
    assert told["judged"]["events"] == 4
    assert told["overlap"] == {
        "events": 1,
        "unchecked": 1,
        "examples": ["event 0/2 judged 000002, trained through offset 2"],
    }
    assert fed.revived().report()["overlap"] == told["overlap"]


def test_a_late_list_is_told_from_one_in_time() -> None:
    """By the records' own timestamps."""
    fed = Fed()
    fed.take(of_user(click("u0", "a", 0), 0, 10), of_user(click("u0", "b", 1), 1, 20))
    fed.take(judging("u0", 0, 0, ["b"], 21), judging("u0", 1, 1, [], 22))

    assert fed.report()["judged"]["late"] == 1
    assert fed.report()["judged"]["share_in_time"] == 0.0


def test_judgements_of_another_generation_say_nothing() -> None:
    """They are counted and neither wait nor judge."""
    fed = Fed()
    state = StateRef(topic_id="old", partition=0, offset=10**9, events=1)
    made = Judgement(user="u0", state=state, epoch=1, lines={}, made_ms=0)
    record = Record(partition=0, offset=0, key=b"u0", value=encode_judgement(made), written_ms=0)
    fed.take(Lying((JUDGEMENTS, 0), record))

    assert (fed.intake.held, fed.evaluator.counts["foreign"]) == (set(), 1)


def test_an_erased_user_is_no_longer_named() -> None:
    """After an erasure no snapshot holds the name but as a state that keeps its offset."""
    fed = Fed()
    fed.take(of_user(click("u0", "a", 0), 0), of_user(click("u0", "b", 1), 1))
    fed.take(judging("u0", 0, 0, ["b"]), judging("u0", 1, 1, []))
    forget = Record(partition=0, offset=2, key=b"u0", value=encode(Forget(user="u0")), written_ms=0)
    fed.take(Lying((EVENTS, 0), forget))

    state = fed.evaluator.state()
    assert "u0" not in state["standings"]["users"]
    assert state["since"] == []
    assert fed.report()["lines"]["served"]["events"] == 1


def test_groups_say_what_kind_of_question_it_was(undisturbed: dict[str, Any]) -> None:
    """Items the warm start did not have, and users who came before it, are told apart after it."""
    groups = undisturbed["groups"]

    assert groups["new item"]["good"]["recall@10"] == 1.0
    assert groups["warm user"]["good"]["events"] > groups["new item"]["good"]["events"] > 0
    assert groups["repeat"]["good"]["events"] > 0
    assert undisturbed["new_items"]["taken"] == 5
