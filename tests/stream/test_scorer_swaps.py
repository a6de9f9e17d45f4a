"""The scorer's loop around versions: a slow first load, and users who wait for lists of a new version."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream.hotswap import HotSwap
from stream.run_scorer import RESCORED_BESIDE, Role
from tests.stream.scripted_scorer import (
    Consumer,
    Record,
    World,
    assigned,
    hands,
    nothing_new,
    request,
    scripted,
    states,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return scripted(tmp_path)


def test_a_slow_first_load_is_no_stalled_rebalance(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group is joined after the first version was waited for, so its time counts from there."""
    monkeypatch.setattr("stream.run_scorer.STALLED_S", 5.0)
    clock = SimpleNamespace(now_s=0.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr("stream.membership.time", clock)

    def slow() -> None:
        clock.now_s = 10.0

    def never(version: str, epoch: int) -> Any:
        raise AssertionError("no version is ever published here")

    swap = HotSwap(slow, never, ThreadPoolExecutor(1), 4)
    world.role = Role(replace(world.role.parts, swap=swap))
    world.consumer.ended = world.role.stop

    world.run(nothing_new, assigned(0), hands(request("ann", 0, 0)), nothing_new)

    assert clock.now_s == 10.0
    assert states(world) == [("ann", 0)]


def test_users_wait_for_a_new_version_under_load_too(world: World) -> None:
    """Each turn with clicks answers a few of them, after its clicks and none of its users twice."""
    recent = world.role.parts.recent
    users = [request(f"u{number}", 0, number) for number in range(6)]

    def swapped(consumer: Consumer) -> Sequence[Record]:
        recent.ask_again()
        return [request("u5", 0, 6)]

    more = hands(request("u5", 0, 7))
    world.run(assigned(0), hands(*users), nothing_new, swapped, nothing_new, more, nothing_new)

    again = states(world)[len(users) :]
    assert again[0] == ("u5", 6)
    assert again[1 : 1 + RESCORED_BESIDE] == [("u4", 4), ("u3", 3), ("u2", 2), ("u1", 1)]
    assert again[1 + RESCORED_BESIDE :] == [("u5", 7), ("u0", 0)]
