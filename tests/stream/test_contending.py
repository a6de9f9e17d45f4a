"""Versions that are judged beside the one that serves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from model.errors import VersionMissing
from model.lineage import TWIN
from stream import contending
from stream.asking import Asking, Ranker, Ranking, Unreadable
from stream.contending import Contenders
from stream.records import Line, decode_judgement
from tests.stream.test_hotswap import Later
from tests.stream.test_scoring import FixedRanker, World, desk


class Backwards(FixedRanker):
    """Ranks the other way round, and some users' requests not at all."""

    def __init__(self, version: str, unreadable: Sequence[str] = ()) -> None:
        super().__init__(version)
        self.unreadable = unreadable

    def rank(
        self, asking: Sequence[Asking], n: int, others: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Ranking:
        if any(one.user in self.unreadable for one in asking):
            raise Unreadable("not for this one")
        ranking = super().rank(asking, 100, others)
        for place in ranking.places:
            object.__setattr__(place, "items", list(place.items)[::-1][:n])
        return ranking


class Failing(FixedRanker):
    """Fails while it ranks, as long as the test says so."""

    failing = True
    tried = 0

    def rank(
        self, asking: Sequence[Asking], n: int, others: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Ranking:
        self.tried += 1
        if self.failing:
            raise RuntimeError("sizes do not match")
        return super().rank(asking, n, others)


class Hall:
    """Contenders of a desk, loaded when the test says so."""

    def __init__(self, **versions: Ranker) -> None:
        self.missing: type[Exception] = VersionMissing
        self.versions = {name[1:]: one for name, one in versions.items()}
        self.loads: list[str] = []
        self.executor = Later()
        self.contenders = Contenders(self.load, self.executor, max_batch=2)
        self.world = World(sample_share=1.0)
        self.desk = desk()
        self.desk.contenders = self.contenders

    def load(self, name: str) -> Ranker:
        self.loads.append(name)
        if name not in self.versions:
            raise self.missing(name)
        return self.versions[name]

    def serve(self, ranker: Ranker) -> None:
        self.desk.adopt(ranker)
        self.settle()

    def settle(self) -> None:
        self.contenders.poll()
        for future, work in self.executor.waiting:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001
                future.set_exception(error)
        self.executor.waiting.clear()
        self.contenders.poll()

    def judged(self, user: str = "ann", item: str = "i0") -> dict[str, Line]:
        out = self.desk.answer([self.world.ask(user, item)])
        [raw] = [one.value for one in out if one.topic == "judgements"]
        return decode_judgement(raw).lines


def test_the_first_version_is_its_own_twin() -> None:
    """While it serves its line is the model's, and nothing is loaded."""
    hall = Hall()
    hall.serve(FixedRanker(TWIN))

    lines = hall.judged()

    assert lines["twin"] == lines["model"]
    assert "previous" not in lines
    assert hall.loads == []


def test_the_twin_is_judged_beside_every_later_version() -> None:
    """By its own ranking, under its own name, once it is loaded; what served before goes on as `previous` as
    it stands, with its cache, and is not loaded again."""
    hall = Hall(_000001=Backwards(TWIN))
    hall.serve(Backwards("000002"))
    hall.serve(FixedRanker("000003"))

    lines = hall.judged()

    assert lines["model"].items[:2] == ["i1", "i2"]
    assert (lines["twin"].version, lines["twin"].items[:2]) == (TWIN, ["i99", "i98"])
    assert (lines["previous"].version, lines["previous"].items[:2]) == ("000002", ["i99", "i98"])
    assert len(lines["twin"].items) == 50
    assert hall.loads == ["000001"]


def test_a_twin_that_served_until_now_is_asked_once() -> None:
    """The first version is twin and previous at the same time: one ranking makes both lines."""
    hall, first = Hall(), Backwards(TWIN)
    hall.serve(first)
    hall.serve(FixedRanker("000002"))
    first.asked.clear()

    lines = hall.judged()

    assert lines["twin"] == lines["previous"] != lines["model"]
    assert first.asked == [["ann"]]
    assert hall.loads == []


def test_the_previous_version_contends_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is given up, and the twin stays."""
    monkeypatch.setattr(contending, "PREVIOUS_STATES", 3)
    hall = Hall(_000001=Backwards(TWIN), _000002=Backwards("000002"))
    hall.serve(FixedRanker("000002"))
    hall.serve(FixedRanker("000003"))

    lines = []
    for number in range(5):
        lines.append(hall.judged(item=f"i{number}"))
        hall.settle()

    assert ["previous" in one for one in lines] == [True, True, True, False, False]
    assert all("twin" in one for one in lines)


@pytest.mark.parametrize("error", [VersionMissing, RuntimeError, ValueError])
def test_a_missing_twin_is_said_once(error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """Judgements go on without its line, nobody tries again, and why is counted and told."""
    hall = Hall()
    hall.missing = error
    hall.serve(FixedRanker("000002"))
    for number in range(3):
        assert "twin" not in hall.judged(item=f"i{number}")
        hall.settle()

    assert hall.loads == [TWIN]
    assert hall.contenders.refused == 1
    [told] = [one.getMessage() for one in caplog.records if TWIN in one.getMessage()]
    assert error.__name__ in told


def test_a_twin_that_fails_costs_its_line_only(caplog: pytest.LogCaptureFixture) -> None:
    """Every judgement of the turn goes out; the twin is asked once in a turn, and is back once it ranks."""
    twin = Failing(TWIN)
    hall = Hall(_000001=twin)
    hall.serve(FixedRanker("000002"))

    for failing in (True, True, False):
        twin.failing = failing
        out = hall.desk.answer([hall.world.ask(user, "i1") for user in ("ann", "bob", "cat")])
        lines = [decode_judgement(one.value).lines for one in out if one.topic == "judgements"]
        assert ["twin" in one for one in lines] == [not failing] * 3
        assert all("model" in one for one in lines)

    assert twin.tried == 1 + 1 + 2
    assert twin.forgotten == ["ann", "bob", "cat"] * 2
    [told] = [one.getMessage() for one in caplog.records if TWIN in one.getMessage()]
    assert "RuntimeError" in told


def test_lists_do_not_wait_for_contenders() -> None:
    """Lists are made before a contender is asked, which happens with the judgements."""
    twin = Backwards(TWIN)
    hall = Hall(_000001=twin)
    hall.serve(FixedRanker("000002"))

    turn = [hall.world.ask(user, "i1") for user in ("ann", "bob", "cat")]
    lists = hall.desk.lists(turn)

    assert [one.topic for one in lists] == ["recommendations"] * 3
    assert twin.asked == []
    assert [one.topic for one in hall.desk.judged()] == ["judgements"] * 3
    assert twin.asked == [["ann", "bob"], ["cat"]]
    assert hall.desk.judged() == []


def test_a_request_that_only_the_twin_cannot_read_costs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours keep theirs, and nobody's judgement is lost."""
    hall = Hall(_000001=Backwards(TWIN, unreadable=["bob"]))
    hall.serve(FixedRanker("000002"))
    turn = [hall.world.ask(user, "i1") for user in ("ann", "bob")]
    hall.desk.lists(turn)

    def refuse() -> None:
        raise Unreadable("its bytes are gone")

    monkeypatch.setattr(turn[1], "sequences", refuse)
    lines = [decode_judgement(one.value).lines for one in hall.desk.judged()]

    assert ["twin" in one for one in lines] == [True, False]
    assert all("model" in one for one in lines)


def test_a_forgotten_user_is_forgotten_by_contenders() -> None:
    """Their caches hold nothing either."""
    twin = Backwards(TWIN)
    hall = Hall(_000001=twin)
    hall.serve(FixedRanker("000002"))
    hall.judged()
    hall.desk.answer([hall.world.forget("ann")])

    assert twin.forgotten == ["ann"]
