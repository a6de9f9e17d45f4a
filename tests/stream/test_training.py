"""Cycles of the trainer over a made-up log, killed anywhere; updates that harm: test_harmful_updates.py."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model import gate, watch
from model.memory import Memory
from stream import cycles, trainer
from stream.training import REPORT
from tests.stream import circle_log
from tests.stream.circle_log import Fake, first_version, log, verdicts


@pytest.fixture(autouse=True)
def small_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    circle_log.small_gate(monkeypatch)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Version 1 serves; histories and six rounds of clicks lie on the log."""
    made = Fake(tmp_path / "one", log(6), every=210)
    made.registry.publish(first_version())
    return made


def test_a_cycle_is_judged_before_it_is_learned_and_published_by_the_next(fake: Fake) -> None:
    """The first cycle learns, each later one judges and publishes; every publication is announced."""
    told = fake.run()

    assert verdicts(told) == ["none", "publish", "publish"]
    assert told[0].remembered > 0
    assert [one.version for one in told] == [None, "000002", "000003"]
    assert [(one.version, one.epoch) for one in fake.announced] == [("000002", 2), ("000003", 3)]
    assert set(told[1].event_to_weights_s) == {"p50", "p95"}
    report = fake.training().report()
    assert (report["cycles"], report["published"], report["serving"]) == (3, 2, "000003")
    assert len(fake.training().waited_s) == told[0].events + told[1].events  # of all that serves
    assert "publish 000002" in told[1].line()
    assert told[1].to_json()["decision"]["serving"]["version"] == "000001"


@pytest.mark.parametrize("few", ["MIN_EVENTS", "MIN_USERS"])
def test_a_gate_that_lacks_events_or_users_is_asked_again_after_part_of_a_cycle(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, few: str
) -> None:
    """A whole cycle is not waited for: the slice grows by quarters."""
    monkeypatch.setattr(gate, few, 100_000)
    told = fake.run(most=4)

    assert verdicts(told) == ["none", "wait", "wait", "wait"]
    assert [one.events for one in told[1:]] == [210, 52, 52]


def test_histories_that_fill_cycles_are_remembered_before_anything_is_learned(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A click among them makes no candidate, which would keep the rest from being remembered."""
    monkeypatch.setattr(cycles, "MAX_RECORDS", 300)
    monkeypatch.setattr(trainer, "MAX_KEPT", 500)
    fake.records[0][0] = replace(fake.records[0][0], backfill=False)
    told = fake.run()

    assert [(one.remembered, one.events) for one in told[:3]] == [(299, 1), (300, 0), (240, 60)]
    assert [one.learned and one.learned.events for one in told[:3]] == [None, None, 61]
    assert {one.dropped for one in told} == {0}


def test_no_manifest_covers_an_event_that_judged_it(fake: Fake) -> None:
    """In every partition a version ends before its judges begin; its child begins by learning them."""
    fake.run()
    offsets = [fake.registry.manifest(name)["offsets"] for name in ("000002", "000003")]

    for told in offsets:
        assert set(told["judged_by"]) == {"0", "1"}
        for partition, (first, last) in told["judged_by"].items():
            assert told["trained_through"][partition] < first <= last
    for partition, (_, last) in offsets[0]["judged_by"].items():
        assert offsets[1]["trained_through"][partition] >= last


class Killed(BaseException):
    """As kill -9: nobody catches it."""


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], Callable[[], int]]:
    """Die at the n-th file that is put in place, just before or just after; tells how many there were."""

    def arm(fatal: int, after: bool) -> Callable[[], int]:
        num = 0

        def dying(place: Callable[..., Any]) -> Callable[..., Any]:
            def placed(*arguments: Any) -> Any:
                nonlocal num
                num += 1
                if num == fatal and not after:
                    raise Killed
                found = place(*arguments)
                if num == fatal:
                    raise Killed
                return found

            return placed

        for name in ("replace", "rename"):  # pathlib's methods end here too
            monkeypatch.setattr(os, name, dying(getattr(os, name)))
        return lambda: num

    return arm


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_anywhere_it_publishes_the_same_versions(
    tmp_path: Path, deaths: Any, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """At every file that a cycle with a publication puts in place: every file of every version, every count
    and the weights of the next candidate are those of an undisturbed run."""
    begun = Fake(tmp_path / "begun", log(4), every=210)
    begun.registry.publish(first_version())
    begun.run(most=1)
    whole = copied(begun, "whole")
    assert verdicts(whole.run()) == ["publish"]
    expected = outcome(whole)
    fatal, survived = 0, False
    while not survived:
        fatal += 1
        copy = copied(begun, str(fatal))
        count = deaths(fatal, after)
        try:
            copy.run()
            survived = True
        except Killed:
            pass
        monkeypatch.undo()
        circle_log.small_gate(monkeypatch)
        copy.run()
        assert outcome(copy) == expected, fatal
        assert told_cycles(copy) == told_cycles(whole) == 2, fatal
        assert {one.version for one in copy.announced} == {"000002"}
    assert count() == fatal - 1 >= 5  # plan, directory, what serves, snapshot, report


def copied(fake: Fake, name: str) -> Fake:
    copy = Fake(fake.folder.with_name(name), fake.records, fake.every)
    shutil.copytree(fake.folder, copy.folder)
    return copy


def told_cycles(fake: Fake) -> int:
    """As the report on disk has it, which others read."""
    return int(json.loads((fake.folder / "trainer" / REPORT).read_text())["cycles"])


def outcome(fake: Fake) -> tuple[Any, ...]:
    training = fake.training()
    assert training.trainer is not None
    report = {key: value for key, value in training.report().items() if key != "event_to_weights_s"}
    return fake.digests(), report, training.trainer.learner.digest()


def test_killed_at_a_rollback_it_ends_alike(
    tmp_path: Path, deaths: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just after the registry took it: the same versions, and one rollback."""
    planted = Fake(tmp_path / "planted", log(8), every=210)
    planted.registry.publish(first_version())
    circle_log.planted(planted, monkeypatch)
    looks = watch.LOOKS
    whole = copied(planted, "whole")
    whole.run()
    deaths(2, True)  # 1 is the plan, 2 the registry's word
    with pytest.raises(Killed):
        planted.run()
    monkeypatch.undo()
    circle_log.small_gate(monkeypatch)
    monkeypatch.setattr(watch, "LOOKS", looks)
    current = planted.registry.current()
    assert current is not None
    assert current.version == "000001"
    planted.run()

    assert outcome(planted) == outcome(whole)
    assert planted.training().report()["rolled_back"] == 1


def test_a_version_published_by_hand_becomes_the_base(fake: Fake) -> None:
    """The candidate is given up; the next one's parent is what serves now."""
    fake.run(most=1)
    fake.registry.publish(replace(first_version(), metrics={}))
    told = fake.run()

    assert verdicts(told) == ["none", "publish"]
    assert fake.registry.manifest("000003")["parent"] == "000002"


def test_a_memory_that_is_larger_than_allowed_by_now_is_learned_again(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody lowered the limit: the snapshot is set aside whole, and cycles begin anew."""
    fake.run(most=1)

    def too_large(*_: object) -> None:
        raise ValueError("24 items, at most 10")

    with monkeypatch.context() as patched:
        patched.setattr(Memory, "from_arrays", too_large)
        training = fake.training()

    assert training.trainer is None
    assert training.counts.cycles == 0
    assert training.lessons.histories() == []
    assert (fake.folder / "trainer" / "snapshot.damaged").exists()
    assert verdicts(fake.run(most=2)) == ["none", "publish"]


def test_without_a_version_it_waits(tmp_path: Path) -> None:
    """Nothing is read, nothing is written."""
    empty = Fake(tmp_path, log(1))

    assert empty.run() == []
    assert list(tmp_path.iterdir()) == []


def test_too_few_users_wait_and_nothing_is_learned_meanwhile(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice grows by quarters of a cycle until it can be decided on; in the end it is dropped."""
    monkeypatch.setattr(gate, "MIN_USERS", 1000)
    monkeypatch.setattr(gate, "MAX_POOLED", 260)
    told = fake.run()

    assert verdicts(told)[:3] == ["none", "wait", "reject"]
    assert told[1].learned is None
    assert fake.registry.list() == ["000001"]
