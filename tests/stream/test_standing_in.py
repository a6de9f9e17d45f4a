"""Provisional rows in the running scorer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.exposure import LEAST, PLACES
from model.memory import Memory
from model.provisional import ProvisionalConfig, ProvisionalRows
from model.version import Version
from stream.asking import Place
from stream.records import decode_judgement, decode_list
from stream.serving import Serving
from stream.standing_in import StandIns
from tests.stream.test_served_sum import KNOWN, NEW, clicks, desk, requests, version

__all__ = ["version"]


def serving(version: Version) -> Serving:
    return Serving(version, 1, device="cpu", cache_bytes=8 << 20, threads=1, filter_seen=True)


def place(value: float) -> Place:
    vector = np.full(16, value, np.float32)
    vector[0] = 1.0
    return Place(items=[], scores=[], vector=vector, ungated=vector, experts=[], known=True, lines=[])


def told(stand_ins: StandIns, names: list[str], at: Place) -> dict[str, float]:
    memory = Memory()
    for name in names:
        memory.learn([], name, 0)
    rows = stand_ins.rows(at, memory)
    if rows is None:
        return {}
    return dict(zip([memory.items.ids[code] for code in rows.codes_X], rows.cosines_X.tolist(), strict=True))


def test_rows_are_those_of_the_vectors_just_before_the_clicks(version: Version) -> None:
    """Whatever shares a turn: each list tells the cosines of rows that were moved, click by click, by the
    vectors of the states before, and turned by the lists and clicks before."""
    history = clicks(200)
    asked = requests(history)
    twin = serving(version)
    rows = ProvisionalRows(twin.shape)
    last: dict[str, np.ndarray] = {}
    made = {}
    for out in desk(version, max_batch=64).answer(asked):
        if out.topic == "recommendations":
            one = decode_list(out.value)
            made[one.state.offset] = one

    compared = lists = 0
    for offset, ((user, item, type), one) in enumerate(zip(history, asked, strict=True)):
        if type == "click" and item in NEW and user in last:
            rows.observe(item, last[user])
        elif type == "click":
            rows.passed(item)
        if one.header.lengths[0] == 0:
            continue
        [found] = twin.rank([one], 10, [np.zeros(0, np.int64)]).places
        assert found.ungated is not None
        assert found.vector is not None
        last[user] = found.ungated
        mine = {name for who, name, _ in history[: offset + 1] if who == user}
        vector = found.vector.astype(np.float16).astype(np.float32)
        expected = dict(zip(rows.items, (rows.lines @ vector).tolist(), strict=True))
        if found.known and len(found.scores) >= PLACES:
            rows.listed(vector, found.scores[PLACES - 1])
            lists += 1
        if made[offset].degraded is None:
            found_rows = {row.item: row.score for row in made[offset].rows if row.item in expected}
            assert found_rows == pytest.approx({item: expected[item] for item in found_rows}, abs=1e-5)
            compared += len(found_rows)
            missing = expected.keys() - {row.item for row in made[offset].rows} - mine
            assert missing <= set(one.header.hidden)
    assert compared > 200
    assert lists > LEAST
    assert rows.exposure.earned(NEW).max() > 0


def test_the_models_own_line_knows_no_rows(version: Version) -> None:
    """New items are served and judged as served; what the model alone would show has none."""
    lines = [
        decode_judgement(out.value).lines
        for out in desk(version).answer(requests(clicks(200)))
        if out.topic == "judgements"
    ]

    assert any(set(one["served"].items) & set(NEW) for one in lines)
    assert not any(set(one["model"].items) & set(NEW) for one in lines if "model" in one)


def test_nothing_moves_without_a_vector_or_for_an_item_with_a_row(version: Version) -> None:
    """A user without a list so far, an item of the catalogue, a user who was forgotten."""
    made = StandIns()
    made.adopt(serving(version))
    made.clicked("ann", NEW[0])
    made.seen("ann", place(0.5))
    made.clicked("ann", KNOWN[0])
    made.forget("ann")
    made.clicked("ann", NEW[0])

    assert len(made) == 0


def child(version: Version, parent: str | None, name: str = "000002") -> Version:
    return replace(version, name=name, manifest={**version.manifest, "parent": parent})


@pytest.mark.parametrize(("parent", "kept"), [("000001", True), (None, False)])
def test_rows_outlive_an_update_and_no_other_version(
    version: Version, parent: str | None, kept: bool
) -> None:
    """A child goes on with the clicks behind a row, and so does the parent when one goes back to it."""
    made = StandIns()
    made.adopt(serving(version))
    made.seen("ann", place(0.5))
    made.clicked("ann", NEW[0])
    before = told(made, NEW, place(0.25))
    assert before

    made.adopt(serving(child(version, parent)))
    assert told(made, NEW, place(0.25)) == (before if kept else {})
    made.adopt(serving(version))

    assert told(made, NEW, place(0.25)) == (before if kept else {})


def test_rows_survive_the_scorer(version: Version) -> None:
    """From a snapshot, once the same version serves again; another training's are left."""
    before = StandIns()
    before.adopt(serving(version))
    before.seen("ann", place(0.5))
    before.clicked("ann", NEW[0])
    other = child(version, None, "000007")

    for serves, expected in ((version, told(before, NEW, place(0.25))), (other, {})):
        after = StandIns()
        after.restore(before.to_arrays())
        assert (
            after.to_arrays().keys() == before.to_arrays().keys()
        )  # nothing is lost before a version serves
        after.adopt(serving(serves))
        assert told(after, NEW, place(0.25)) == expected


def listed(value: float) -> Place:
    """A list of ten that any row would stand in."""
    return replace(place(value), items=KNOWN[:10], scores=[-0.5] * 10, lines=[0] * 10)


def test_lists_and_clicks_say_how_high_rows_stand(version: Version) -> None:
    """Each list counts, and each click: on a row of whoever, on known items, and of users without a list;
    short lists, and those of users whom the version does not know, say nothing."""
    made, others = StandIns(), StandIns()
    for one in (made, others):
        one.adopt(serving(version))
        for number in range(LEAST - 1):
            one.seen("ann", listed(0.01 * number))
    for untold in (place(0.5), replace(listed(0.5), known=False), replace(listed(0.5), scores=[-0.5] * 9)):
        others.seen("bob", untold)
    made.seen("bob", listed(0.5))
    for one in (made, others):
        one.clicked("ann", NEW[0])
        for _ in range(98):
            one.clicked("nobody", KNOWN[0])
    high, low = (told(one, NEW[:1], place(0.25))[NEW[0]] for one in (others, made))
    assert made._rows is not None
    before = made._rows.exposure.earned(NEW[:1])[0]
    made.clicked("nobody", NEW[0])

    assert low < high
    assert made._rows.exposure.earned(NEW[:1])[0] > before > 0


def test_a_restart_under_the_same_version_changes_no_row(version: Version) -> None:
    """Rows, their order and when they are turned anew go on to the last bit, whatever came between."""
    before, random = StandIns(), np.random.default_rng(0)
    before.adopt(serving(version))

    def live(*those: StandIns, num: int) -> None:
        for number, item in zip(range(num), random.integers(0, len(NEW), num).tolist(), strict=True):
            for one in those:
                one.seen("ann", listed(0.01 * (number % 60)))
                one.clicked("ann", NEW[item] if number % 3 else KNOWN[item])

    live(before, num=155)
    after = StandIns()
    after.restore(before.to_arrays())
    after.adopt(serving(version))
    live(before, after, num=90)

    assert before._rows is not None
    assert after._rows is not None
    assert after._rows.items == before._rows.items
    assert np.array_equal(after._rows.lines, before._rows.lines)


def test_how_high_rows_stand_survives_the_scorer_and_no_other_training(version: Version) -> None:
    """From a snapshot it goes on; a version trained apart starts with no lists and no clicks."""
    before = StandIns()
    before.adopt(serving(version))
    for number in range(LEAST):
        before.seen("ann", listed(0.01 * number))
    before.clicked("ann", NEW[0])
    before.clicked("ann", KNOWN[0])

    for serves, same in ((version, True), (child(version, None, "000007"), False)):
        after = StandIns()
        after.restore(before.to_arrays())
        again = StandIns()
        again.restore(after.to_arrays())
        again.adopt(serving(serves))
        for one in (before, again):
            one.seen("bob", listed(0.5))
            one.clicked("bob", NEW[1])
        expected, found = (told(one, NEW[1:2], place(0.25)) for one in (before, again))
        assert (found == expected) is same


def test_users_and_rows_are_bounded(version: Version) -> None:
    """Of users the one longest without a list goes, of rows the stalest."""
    made = StandIns(ProvisionalConfig(max_items=2), max_users=1)
    made.adopt(serving(version))
    made.seen("ann", place(0.5))
    made.seen("bob", place(0.25))
    made.clicked("ann", NEW[0])
    assert len(made) == 0
    for item in NEW[:3]:
        made.clicked("bob", item)

    assert told(made, NEW, place(0.0)).keys() == set(NEW[1:3])
    assert told(made, NEW[2:], place(0.0)).keys() == {NEW[2]}  # the memory has forgotten the other
