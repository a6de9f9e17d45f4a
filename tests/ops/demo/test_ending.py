"""What a demo waits for at its end, and when it gives up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops.demo.ending import NeverSettled, behind, settle
from ops.demo.versions import newest_cycles, told_versions
from ops.demo.waiting import Waiting


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


def waiting(observer: Observer) -> Waiting:
    shown: list[str] = []
    told: Any = SimpleNamespace(show=shown.append)
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


def test_how_far_a_trainer_is_behind_counts_every_partition(tmp_path: Path) -> None:
    """Before its first report it is behind with all; what it read beyond the end counts nothing."""
    ends = {0: 100, 1: 50}

    assert behind(newest_cycles(tmp_path)["positions"], ends) == 150
    (tmp_path / "report.json").write_text(json.dumps({"positions": {"0": 80, "1": 60}}))
    assert behind(newest_cycles(tmp_path)["positions"], ends) == 20
    assert told_versions(tmp_path / "none", tmp_path / "none")["cycles"] == 0
