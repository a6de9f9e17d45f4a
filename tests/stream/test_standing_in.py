"""Provisional rows in the running scorer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.handicap import STEP, Handicap, rows_in_front
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


class _Height:
    """The handicap, from who stood in front of each user's last list."""

    def __init__(self) -> None:
        self.handicap = Handicap()
        self.values: list[float] = []
        self._fronts: dict[str, tuple[list[str], list[str]]] = {}

    def shown(self, user: str, found: Place, told: dict[str, float], mine: set[str]) -> None:
        if not told or not found.known:
            return
        cosines = {name: cosine for name, cosine in told.items() if name not in mine}
        front = rows_in_front(np.array(found.scores), np.array(list(cosines.values())))
        self._fronts[user] = [list(cosines)[at] for at in front], list(found.items[: 10 - len(front)])

    def clicked(self, user: str, item: str, rows: ProvisionalRows) -> None:
        if user in self._fronts:
            front, others = self._fronts.pop(user)
            self.handicap.judge(len(front) / 10, item in rows, item in front + others)
            self.values.append(self.handicap.value)


def test_rows_are_those_of_the_vectors_just_before_the_clicks(version: Version) -> None:
    """Whatever shares a turn: each list tells the cosines of rows that were moved, click by click, by the
    vectors of the states before, less the handicap that the clicks before have made."""
    history = clicks(200)
    asked = requests(history)
    twin = serving(version)
    rows = ProvisionalRows(twin.live_mean())
    last: dict[str, np.ndarray] = {}
    high = _Height()
    made = {}
    for out in desk(version, max_batch=64).answer(asked):
        if out.topic == "recommendations":
            one = decode_list(out.value)
            made[one.state.offset] = one

    compared = 0
    for offset, ((user, item, type), one) in enumerate(zip(history, asked, strict=True)):
        if type == "click":
            high.clicked(user, item, rows)
            if item in NEW and user in last:
                rows.observe(item, last[user])
        if one.header.lengths[0] == 0:
            continue
        [found] = twin.rank([one], 10).places
        assert found.ungated is not None
        assert found.vector is not None
        last[user] = found.ungated
        mine = {name for who, name, _ in history[: offset + 1] if who == user}
        vector = found.vector.astype(np.float16).astype(np.float32)
        expected = dict(zip(rows.items, (rows.lines @ vector - high.handicap.value).tolist(), strict=True))
        high.shown(user, found, expected, mine)
        if made[offset].degraded is None:
            for row in made[offset].rows:
                if row.item in expected:
                    assert row.score == pytest.approx(expected[row.item], abs=1e-5)
                    compared += 1
            missing = expected.keys() - {row.item for row in made[offset].rows} - mine
            assert missing <= set(one.header.hidden)
    assert compared > 200
    assert max(high.values) > 0


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
    """The clicks behind a row are observed again by a child, and by the parent when one goes back to it."""
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


def listed(items: list[str], value: float) -> Place:
    return replace(place(value), items=items, scores=[0.1] * len(items), lines=[0] * len(items))


def test_a_list_moves_the_handicap_once(version: Version) -> None:
    """By its user's next click; not by a user who was forgotten, nor by a list of what the user has had."""
    made = StandIns()
    made.adopt(serving(version))
    made.seen("ann", listed(KNOWN[:10], 0.5))
    made.clicked("ann", NEW[0])
    assert made.handicap.value == 0.0  # no row could stand in that list
    for user in ("ann", "bob"):
        made.seen(user, listed(KNOWN[:10], 0.5))
    made.seen("cid", listed(KNOWN[:10], 0.5), barred=[NEW[0], NEW[1]])
    made.forget("bob")
    for user in ("ann", "ann", "bob"):
        made.clicked(user, KNOWN[0])
    assert made.handicap.value == pytest.approx(STEP * 0.1)
    made.clicked("cid", KNOWN[0])

    assert made.handicap.value == pytest.approx(STEP * 0.1)
    assert told(made, NEW, place(0.5))[NEW[0]] == pytest.approx(
        float(made._rows.line(NEW[0]) @ place(0.5).vector) - STEP * 0.1, abs=1e-3
    )


def test_the_handicap_survives_the_scorer_and_no_other_training(version: Version) -> None:
    """From a snapshot it goes on, also before a version serves; a snapshot from before it starts at none."""
    before = StandIns()
    before.adopt(serving(version))
    for item in (NEW[0], KNOWN[0]):
        before.seen("ann", listed(KNOWN[:10], 0.5))
        before.clicked("ann", item)
    assert before.handicap.value > 0
    arrays = before.to_arrays()
    old = {name: array for name, array in arrays.items() if name != "handicap"}

    for told_arrays, serves, expected in (
        (arrays, version, before.handicap.value),
        (old, version, 0.0),
        (arrays, child(version, None, "000007"), 0.0),
    ):
        after = StandIns()
        after.restore(told_arrays)
        again = StandIns()
        again.restore(after.to_arrays())
        again.adopt(serving(serves))
        assert again.handicap.value == expected


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
