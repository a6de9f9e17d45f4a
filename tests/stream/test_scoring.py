"""The scorer's turn in memory, with a scorer whose answers are known."""

from __future__ import annotations

import msgspec
import pytest

from stream.asking import Asking, Unreadable
from stream.records import (
    Header,
    Request,
    decode_request,
)
from tests.stream.fixed_ranker import FixedRanker, World, desk, judgements, lists, shown


def test_a_list_says_where_it_comes_from() -> None:
    """A list names its user, items in order, version, epoch, state, experts, vector and times."""
    out = desk(FixedRanker()).answer([World().ask("ann", "i0")])

    [made] = lists(out)
    assert made.user == "ann"
    assert shown(made) == ["i1", "i2", "i3"]
    assert (made.model, made.epoch, made.degraded) == ("000001", 1, None)
    assert (made.state.topic_id, made.state.partition, made.state.offset, made.state.events) == ("t", 2, 0, 1)
    assert made.experts == [[0.25, 0.75]]
    assert made.vector == "ADwAPAA8ADw="
    assert made.made_ms == 1_010
    assert made.took_ms is not None
    assert (made.took_ms.queue, made.took_ms.encode, made.took_ms.rank) == (10.0, 2.0, 1.0)
    assert (out[0].partition, out[0].key) == (2, b"ann")


def test_one_state_has_one_list_id() -> None:
    """The same state answered twice has the same id; another epoch or state has another."""
    world = World()
    first, second = world.ask("ann", "i0"), world.ask("ann", "i1")

    ids = [
        lists(desk(FixedRanker(epoch=epoch)).answer([asking]))[0].id
        for asking, epoch in [(first, 1), (first, 1), (first, 2), (second, 1)]
    ]

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_only_the_newest_state_of_a_user_gets_a_list() -> None:
    """Two requests of one turn make one list, which knows the newer event."""
    world = World()

    made = lists(desk(FixedRanker()).answer([world.ask("ann", "i0"), world.ask("ann", "i1")]))

    assert [one.state.offset for one in made] == [1]


def test_each_state_of_a_sampled_user_is_judged() -> None:
    """Sampled users get a list and a judgement per request, in the order of their states."""
    world = World(sample_share=1.0)
    ranker = FixedRanker()

    out = desk(ranker).answer([world.ask("ann", "i0"), world.ask("ann", "i1"), world.ask("bob", "i9")])

    assert [(one.user, one.state.offset) for one in judgements(out)] == [("ann", 0), ("ann", 1), ("bob", 2)]
    assert [one.state.offset for one in lists(out) if one.user == "ann"] == [0, 1]
    assert ranker.asked == [["ann", "ann", "bob"]]


def test_lines_of_a_judgement_are_up_to_fifty_items() -> None:
    """Model, memory, popular and served are named, each up to 50 items, whatever the list's own length."""
    world = World(sample_share=1.0)

    [judgement] = judgements(desk(FixedRanker()).answer([world.ask("ann", "i0")]))

    assert set(judgement.lines) == {"served", "model", "memory", "popular"}
    assert judgement.lines["model"].items == [f"i{number}" for number in range(1, 51)]
    assert judgement.lines["served"] == judgement.lines["model"]
    assert judgement.lines["memory"].items == []
    assert judgement.lines["popular"].version is None


def test_popular_knows_this_event_and_nothing_later() -> None:
    """The popular line of a state counts its own event and those before, not the rest of the turn."""
    world = World(sample_share=1.0)
    turn = [world.ask("ann", "i1"), world.ask("bob", "i2"), world.ask("cat", "i2"), world.ask("dan", "i3")]

    popular = {one.user: one.lines["popular"].items for one in judgements(desk().answer(turn))}

    assert popular == {"ann": [], "bob": ["i1"], "cat": ["i1"], "dan": ["i2", "i1"]}


def test_how_a_turn_is_cut_does_not_change_judgements() -> None:
    """Requests one by one and all in one turn give the same lines."""
    world = World(sample_share=1.0)
    turn = [world.ask(user, f"i{number}") for number, user in enumerate("abacbacabb")]

    alone = desk(FixedRanker())
    together = {
        (one.user, one.state.offset): one.lines for one in judgements(desk(FixedRanker()).answer(turn))
    }
    single = [one for asking in turn for one in judgements(alone.answer([asking]))]

    assert {(one.user, one.state.offset): one.lines for one in single} == together


def test_a_turn_that_comes_again_is_learned_once() -> None:
    """The same requests again change no count."""
    world = World()
    turn = [world.ask("ann", "i1"), world.ask("bob", "i1"), world.ask("cat", "i2")]
    made = desk()

    made.answer(turn)
    made.answer(turn)

    assert made.learner.num_learned == 3


def test_only_new_positive_events_are_learned() -> None:
    """Negative and neutral events and duplicates of an event do not make an item popular."""
    world = World()
    made = desk()

    made.answer(
        [
            world.ask("ann", "i1", id="e1"),
            world.ask("ann", "i1", id="e1"),
            world.ask("ann", "i2", type="dislike"),
            world.ask("ann", "i3", type="impression"),
        ]
    )

    assert made.learner.num_learned == 1
    assert made.learner.counts.top(5) == ["i1"]


def test_without_a_model_the_list_is_popular_and_says_so() -> None:
    """Before the first version lists hold what is popular, without the user's own items, labelled."""
    world = World()
    made = desk()
    made.answer([world.ask("bob", "i1"), world.ask("cat", "i1"), world.ask("cat", "i2")])

    [one] = lists(made.answer([world.ask("ann", "i2")]))

    assert (one.degraded, one.model, one.epoch) == ("no model yet", None, 0)
    assert shown(one) == ["i1"]
    assert one.vector is None


def test_a_user_the_model_knows_nothing_of_gets_popular_items() -> None:
    """A history of unknown items only is answered with popular items, labelled, by the serving version."""
    [one] = lists(desk(FixedRanker()).answer([World().ask("ann", "strange")]))

    assert (one.degraded, one.model) == ("popular", "000001")
    assert shown(one) == ["i5", "i6"]


def test_a_user_with_rejections_only_gets_popular_items() -> None:
    """Nothing positive is nothing to encode: the model is not asked, and the rejected item stays away."""
    ranker = FixedRanker()

    [one] = lists(desk(ranker).answer([World().ask("ann", "i5", type="dislike")]))

    assert ranker.asked == []
    assert (one.degraded, shown(one)) == ("popular", ["i6"])


def test_popularity_starts_from_the_version() -> None:
    """A scorer counts on from the first version that it meets, whatever it has seen before."""
    seen = desk()
    seen.answer([World().ask("ann", "i1")])

    seen.adopt(FixedRanker())

    assert desk(FixedRanker()).learner.counts.top(5) == ["i5", "i6"]
    assert seen.learner.counts.top(5) == ["i5", "i6", "i1"]


def test_a_forgotten_user_gets_an_empty_list() -> None:
    """The caches are dropped, and the list is empty, not degraded, and never judged."""
    world = World(sample_share=1.0)
    ranker = FixedRanker()
    made = desk(ranker)
    made.answer([world.ask("ann", "i0")])

    out = made.answer([world.forget("ann")])

    [one] = lists(out)
    assert (one.items, one.degraded, one.state.offset) == ([], None, 1)
    assert judgements(out) == []
    assert set(ranker.forgotten) == {"ann"}


def test_a_request_that_is_none_is_refused_with_a_reason() -> None:
    """Bytes that are no request raise Unreadable, and the dead letter says why and where."""
    made = desk()

    with pytest.raises(Unreadable):
        Asking(b"\xc1 no request", 0, 7, 0)
    letter = made.refuse(b"bytes", 0, 7, b"ann", Unreadable("why"))

    assert (letter.topic, letter.value, letter.key) == ("dead-letters", b"bytes", b"ann")
    assert letter.headers["reason"] == b"bad_request"
    assert (letter.headers["topic"], letter.headers["partition"], letter.headers["offset"]) == (
        b"t.requests",
        b"0",
        b"7",
    )
    assert made.tally.malformed == 1


def test_a_request_of_another_partition_is_refused() -> None:
    """A header that names another partition than its record's cannot be answered there."""
    asking = World().ask("ann", "i0")

    with pytest.raises(Unreadable, match="partition 2"):
        Asking(asking.raw, 1, 0, 0)


def broken(asking: Asking) -> Asking:
    """The same request with sequences that are shorter than its header says."""
    request: Request = decode_request(asking.raw)
    raw = msgspec.Raw(msgspec.msgpack.encode(([], [], [[], []])))
    return Asking(msgspec.msgpack.encode((request.header, raw)), asking.partition, asking.offset, 0)


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["not sampled", "sampled"])
def test_one_bad_request_leaves_its_batch_alone(share: float) -> None:
    """Sequences that do not fit their header become a dead letter; everybody else gets a list."""
    world = World(sample_share=share)
    turn = [world.ask("ann", "i0"), broken(world.ask("bob", "i1")), world.ask("cat", "i2")]

    out = desk(FixedRanker()).answer(turn)

    assert [one.user for one in lists(out)] == ["ann", "cat"]
    assert [one.key for one in out if one.topic == "dead-letters"] == [b"bob"]


def test_a_list_never_goes_back_behind_another_scorers() -> None:
    """Requests older than the newest list that was found at the takeover get no list; newer ones do."""
    world = World(sample_share=1.0)
    first, second, third = (world.ask("ann", f"i{number}") for number in range(3))
    made = desk(FixedRanker(epoch=2))
    made.floors = {"ann": ("t", 1, 2)}

    out = made.answer([first, second, third])

    assert [one.state.offset for one in lists(out)] == [1, 2]
    assert [one.state.offset for one in judgements(out)] == [0, 1, 2]
    assert made.floors == {}


def test_themes_carry_labels_of_their_own_version_only() -> None:
    """Theme ids chosen by another version's table get no label of this one."""
    asking = World().ask("ann", "i0")
    request = decode_request(asking.raw)
    routed: list[Header] = [
        msgspec.structs.replace(request.header, themes=((0, 0.9),), routed_by=version)
        for version in ("000001", "000002")
    ]

    made = [
        lists(desk(FixedRanker()).answer([Asking(msgspec.msgpack.encode((header, request.raw)), 2, 0, 0)]))[0]
        for header in routed
    ]

    assert [[theme.label for theme in one.themes] for one in made] == [["Drama"], [""]]
