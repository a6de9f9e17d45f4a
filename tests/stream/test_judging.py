"""The join of events with the lists that they judge."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics import MISS
from stream.judging import Judge, Judged, Verdict, chosen, rank_in_list
from stream.records import Judgement, Line, StateRef, encode_judgement


def judgement(user: str, offset: int, items: list[str], epoch: int = 1, line: str = "served") -> bytes:
    return encode_judgement(
        Judgement(
            user=user,
            state=StateRef(topic_id="t", partition=0, offset=offset, events=1),
            epoch=epoch,
            lines={line: Line(version=None, items=items)},
            made_ms=0,
        )
    )


def click(judge: Judge, user: str, offset: int, item: str, written_ms: int = 0) -> None:
    judge.applied(user, "t", offset, Judged(user=user, item=item, offset=offset, written_ms=written_ms))


class Heard(list[Verdict]):
    """Verdicts as they are handed over."""

    @property
    def judged(self) -> int:
        return sum(verdict.judgement is not None for verdict in self)

    @property
    def without_list(self) -> int:
        return len(self) - self.judged

    @property
    def late(self) -> int:
        return sum(verdict.late for verdict in self)

    def ranks(self) -> list[float]:
        return [
            rank_in_list(verdict.judgement.lines["served"].items, verdict.event.item)
            for verdict in self
            if verdict.judgement is not None
        ]


def listening(**bounds: int) -> tuple[Judge, Heard]:
    heard = Heard()
    return Judge(heard.append, **bounds), heard


def test_an_event_is_judged_by_the_state_before_it() -> None:
    """The second event is looked up in the list made after the first; the first judges nothing."""
    judge, heard = listening()
    click(judge, "ann", 3, "a")
    judge.judgement(judgement("ann", 3, ["x", "b"]), 10)
    click(judge, "ann", 8, "b", written_ms=20)
    judge.judgement(judgement("ann", 8, ["b"]), 30)

    assert heard.ranks() == [2.0]
    assert (heard.judged, heard.without_list, heard.late) == (1, 0, 0)


@given(st.data())
def test_topics_may_be_read_in_any_interleaving(data: st.DataObject) -> None:
    """Events first, judgements first, or mixed: the same lists are judged by the same events."""
    events = [("ann", 0, "a"), ("bob", 1, "b"), ("ann", 2, "b"), ("ann", 5, "c"), ("bob", 6, "a")]
    states = [(user, offset, [item, "a", "b", "c"]) for user, offset, item in events]
    order = data.draw(st.permutations(["event"] * len(events) + ["state"] * len(states)))
    judge, heard = listening()
    left_events, left_states = list(events), list(states)
    for kind in order:
        if kind == "event":
            user, offset, item = left_events.pop(0)
            click(judge, user, offset, item, written_ms=offset)
        else:
            user, offset, items = left_states.pop(0)
            judge.judgement(judgement(user, offset, items), offset)
    judge.finish()

    assert sorted(heard.ranks()) == [2.0, 3.0, 4.0]
    assert heard.without_list == 0


def test_records_that_change_nothing_do_not_break_the_join() -> None:
    """After a duplicate or a rescore the state is the same: a list made at its offset is judged, too."""
    judge, heard = listening()
    click(judge, "ann", 3, "a")
    judge.judgement(judgement("ann", 5, ["b"]), 10)  # 5 is a rescore; the list of 3 was lost
    click(judge, "ann", 8, "b", written_ms=20)
    judge.finish()

    assert heard.ranks() == [1.0]


def test_a_negative_event_starts_a_new_state() -> None:
    """The list before a rejection is not the list the next event judges."""
    judge, heard = listening()
    click(judge, "ann", 3, "a")
    judge.judgement(judgement("ann", 3, ["b"]), 10)
    judge.applied("ann", "t", 4, None)
    click(judge, "ann", 8, "b", written_ms=20)
    judge.finish()

    assert (heard.judged, heard.without_list) == (0, 1)


def test_without_a_list_an_event_is_counted_apart() -> None:
    """When a later state is seen and none of the state before, the event has no list."""
    judge, heard = listening()
    click(judge, "ann", 3, "a")
    click(judge, "ann", 8, "b")
    judge.judgement(judgement("ann", 8, ["b"]), 10)

    assert (heard.judged, heard.without_list) == (0, 1)


def test_a_miss_stays_in_the_denominator() -> None:
    """An item beyond the list's places is a miss, not a missing list."""
    judge, heard = listening()
    click(judge, "ann", 0, "a")
    judge.judgement(judgement("ann", 0, ["x"]), 1)
    click(judge, "ann", 1, "b", written_ms=5)
    judge.finish()

    assert heard.ranks() == [MISS]


def test_a_forgotten_user_starts_anew() -> None:
    """After an erasure the next event has no prior state and judges nothing."""
    judge, heard = listening()
    click(judge, "ann", 0, "a")
    judge.forgot("ann", "t", 3)
    click(judge, "ann", 5, "b")
    judge.finish()

    assert (heard.judged, heard.without_list) == (0, 0)


def test_the_newest_epoch_written_before_the_event_counts() -> None:
    """Of several lists of one state the version that served when the event came is judged."""
    states = [(3, 1, 10), (3, 2, 20), (3, 3, 40)]

    assert chosen(states, 3, 8, written_ms=30) == 1
    assert chosen(states, 3, 8, written_ms=50) == 2


def test_a_late_list_is_the_oldest_epoch() -> None:
    """When every list was written after the event, the one of the oldest version is judged."""
    judge, heard = listening()
    click(judge, "ann", 3, "a")
    click(judge, "ann", 8, "b", written_ms=5)
    judge.judgement(judgement("ann", 3, ["b"], epoch=1), 10)
    judge.judgement(judgement("ann", 3, ["x", "b"], epoch=2), 20)
    judge.finish()

    assert chosen([(3, 2, 20), (3, 1, 30)], 3, 8, written_ms=5) == 1
    assert (heard.ranks(), heard.late) == ([1.0], 1)


@given(
    states=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 30)), max_size=8),
    before=st.integers(0, 9),
    gap=st.integers(1, 5),
    written_ms=st.integers(0, 30),
)
def test_no_event_is_judged_by_a_list_that_knows_it(
    states: list[tuple[int, int, int]], before: int, gap: int, written_ms: int
) -> None:
    """Whatever lists there are, the chosen one lies at or after the state before and before the event."""
    found = chosen(states, before, before + gap, written_ms)

    fitting = [state for state in states if before <= state[0] < before + gap]
    assert (found is None) == (not fitting)
    if found is not None:
        assert before <= states[found][0] < before + gap


def test_rank_in_list_counts_from_one_to_fifty() -> None:
    """The first place is 1; beyond the judged fifty is a miss."""
    items = [str(number) for number in range(60)]

    assert rank_in_list(items, "0") == 1
    assert rank_in_list(items, "49") == 50
    assert rank_in_list(items, "50") == MISS
    assert rank_in_list([], "0") == MISS


def test_a_record_that_is_no_judgement_is_refused() -> None:
    """Bytes that cannot be read are the caller's to keep; what waits still waits."""
    judge, heard = listening()
    click(judge, "ann", 0, "a")
    with pytest.raises(msgspec.DecodeError):
        judge.judgement(b"\xc1", 0)

    assert not heard


def test_an_event_that_the_scorer_is_past_is_judged_by_what_there_is() -> None:
    """With the list of its state in hand it is judged, without one it has none; newer ones go on waiting."""
    judge, heard = listening()
    for user in ("ann", "bob"):
        click(judge, user, 0, "a")
        click(judge, user, 1, "b")
        click(judge, user, 2, "c")
    judge.judgement(judgement("ann", 0, ["b"]), 0)
    judge.passed("ann", 1)
    judge.passed("bob", 1)

    assert [(verdict.event.user, verdict.judgement is None) for verdict in heard] == [
        ("ann", False),
        ("bob", True),
    ]


@given(cut=st.integers(0, 9))
def test_a_judge_goes_on_from_its_state(cut: int) -> None:
    """Stored and restored anywhere, the verdicts are those of an undisturbed one."""
    steps = [(kind, offset) for offset in range(5) for kind in ("event", "state")]
    whole, undisturbed = listening()
    judge, heard = listening()
    for number, (kind, offset) in enumerate(steps):
        if number == cut:
            stored = msgspec.msgpack.decode(msgspec.msgpack.encode(judge.state()))
            judge = Judge(heard.append)
            judge.restore(stored)
        for one in (whole, judge):
            if kind == "event":
                click(one, "ann", offset, str(offset), written_ms=offset)
            else:
                one.judgement(judgement("ann", offset, [str(offset + 1)]), offset)

    assert heard == undisturbed
    assert heard.ranks() == [1.0] * 4


@pytest.mark.parametrize("topic_id", ["other"])
def test_another_generation_of_events_starts_anew(topic_id: str) -> None:
    """Offsets of a topic that was made again say nothing about the old one's states."""
    judge, heard = listening()
    click(judge, "ann", 3, "a")
    judge.applied("ann", topic_id, 0, Judged(user="ann", item="b", offset=0, written_ms=0))
    judge.finish()

    assert (heard.judged, heard.without_list) == (0, 0)
