"""What a demo waits for at its end, and when it gives up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops.demo import ending
from ops.demo.ending import NeverSettled, behind, judge, learn, settle
from ops.demo.versions import in_cycle, newest_cycles, told_versions
from ops.demo.waiting import Waiting
from stream.settings import Settings


class Supervisor:
    """Looks three times, then time is up."""

    def run(self, look: Callable[[], bool], timeout_s: float | None) -> bool:
        return any(look() for _ in range(3))


class Observer:
    """One list more with each poll, until there are so many; then everybody has one."""

    def __init__(self, lists: int, enough: int) -> None:
        counts = SimpleNamespace(lists=0)
        self.account = SimpleNamespace(counts=counts, incomplete_users=enough)
        self._coming: Iterator[int] = iter(range(lists))
        self._enough = enough

    def poll(self) -> int:
        if next(self._coming, None) is not None:
            self.account.counts.lists += 1
        self.account.incomplete_users = self._enough - self.account.counts.lists
        return 0

    def catch_up(self, timeout_s: float) -> bool:
        return True


def waiting(observer: Observer, said: list[str] | None = None) -> Waiting:
    told: Any = SimpleNamespace(show=[].append, say=([] if said is None else said).append)
    made: Any = Supervisor()
    seen: Any = observer
    return Waiting(made, seen, told)


def test_lists_are_waited_for_as_long_as_there_are_more() -> None:
    """However often time is up; not when nothing moved meanwhile."""
    through = Observer(lists=50, enough=50)
    settle(waiting(through), lambda: "line")
    assert through.account.counts.lists == 50

    with pytest.raises(NeverSettled, match="7 users behind"):
        settle(waiting(Observer(lists=43, enough=50)), lambda: "line")


def test_standing_still_once_is_enough_to_give_up() -> None:
    """What moved is told at most once more after it stood still."""
    told = itertools.chain([1, 2, 3], itertools.repeat(3))
    asked: list[int] = []

    def moved() -> int:
        asked.append(next(told))
        return asked[-1]

    assert not waiting(Observer(0, 1)).while_moving(lambda: False, moved)
    assert asked == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("every", "clicks", "users", "said"),
    [("2000", 1999, 0, 0), ("2000", 2000, 0, 1), ("2000", 1400, 600, 1), ("10m", 100_000, 0, 0)],
    ids=["less than a cycle", "a cycle", "a cycle with last events of histories", "by time"],
)
def test_a_trainer_that_stands_still_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: str, clicks: int, users: int, said: int
) -> None:
    """It is waited for until less than a cycle of clicks is left, however many histories were loaded before
    them; where cycles go by time, not at all."""
    trainer = Settings().trainer.model_copy(update={"data_dir": tmp_path, "every": every})
    settings = Settings().model_copy(update={"trainer": trainer})
    monkeypatch.setattr(ending, "events_and_judgements", lambda _: {"events": {0: 5000 + clicks}})
    told: list[str] = []

    learn(waiting(Observer(0, 1), told), settings, {0: 5000}, users)

    assert [line for line in told if "trainer stands still" in line] == told
    assert len(told) == said


@pytest.mark.parametrize("waits", [0, 3])
def test_an_evaluator_that_stands_still_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: int
) -> None:
    """What waits for a list that never comes ends the waiting, with a line."""
    evaluator = Settings().evaluator.model_copy(update={"data_dir": tmp_path})
    settings = Settings().model_copy(update={"evaluator": evaluator})
    report = {"positions": {"events": {"0": 5}}, "lines": {}, "judged": {"waiting": waits}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    monkeypatch.setattr(ending, "events_and_judgements", lambda _: {"events": {0: 5}})
    told: list[str] = []

    judge(waiting(Observer(0, 1), told), settings)

    assert len(told) == (waits > 0)


def test_a_cycle_that_was_begun_is_waited_for_until_it_takes_too_long(tmp_path: Path) -> None:
    """Begun: its plan is written, the report does not count it yet."""
    assert not in_cycle(tmp_path, 60.0)
    (tmp_path / "plan.json").write_text(json.dumps({"cycle": 0, "topic_id": "t", "stop": {}}))
    assert in_cycle(tmp_path, 60.0)
    assert not in_cycle(tmp_path, 0.0)
    (tmp_path / "report.json").write_text(json.dumps({"positions": {}, "cycles": 1}))
    assert not in_cycle(tmp_path, 60.0)


def test_how_far_a_trainer_is_behind_counts_every_partition(tmp_path: Path) -> None:
    """Before its first report it is behind with all but what was there first; what it read beyond the end
    counts nothing."""
    first, ends = {0: 30, 1: 10}, {0: 100, 1: 50}

    assert behind(newest_cycles(tmp_path)["positions"], first, ends) == 110
    (tmp_path / "report.json").write_text(json.dumps({"positions": {"0": 80, "1": 60}}))
    assert behind(newest_cycles(tmp_path)["positions"], first, ends) == 20
    assert told_versions(tmp_path / "none", tmp_path / "none")["cycles"] == 0
