"""Cycles of the trainer over a made-up log, killed anywhere, handed updates that do harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import gate, store, watch
from model.gate import Decision, Evidence, Verdict
from model.learner import Cycle, Learner
from stream import trainer, training
from stream.telling_cycles import Cycled
from tests.stream.circle_log import Fake, first_version, log


@pytest.fixture(autouse=True)
def small_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that is content with less, of the same rule."""
    small(monkeypatch)


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gate, training):
        monkeypatch.setattr(module, "MIN_EVENTS", 200)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Version 1 serves; histories and six rounds of clicks lie on the log."""
    made = Fake(tmp_path / "one", log(6), every=210)
    made.registry.publish(first_version())
    return made


def verdicts(told: list[Cycled]) -> list[str]:
    return [one.verdict for one in told]


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
    assert "publish 000002" in told[1].line()
    assert told[1].to_json()["decision"]["serving"]["version"] == "000001"


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
        small(monkeypatch)
        copy.run()
        assert outcome(copy) == expected, fatal
        assert {one.version for one in copy.announced} == {"000002"}
    assert count() == fatal - 1 >= 5  # plan, directory, what serves, snapshot, report


def copied(fake: Fake, name: str) -> Fake:
    copy = Fake(fake.folder.with_name(name), fake.records, fake.every)
    shutil.copytree(fake.folder, copy.folder)
    return copy


def outcome(fake: Fake) -> tuple[Any, ...]:
    training = fake.training()
    assert training.trainer is not None
    report = {key: value for key, value in training.report().items() if key != "event_to_weights_s"}
    return fake.digests(), report, training.trainer.learner.digest()


def test_weights_that_are_no_numbers_never_serve(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cycle that ends in NaN is dropped, and its events are learned by the next, which is sound."""
    cycle = Learner.cycle

    def poisoned(self: Learner, lines: Any) -> Cycle:
        found = cycle(self, lines)
        with np.errstate(invalid="ignore"):
            self.model.items.data[70] = float("nan")
        return replace(found, finite=False)

    monkeypatch.setattr(Learner, "cycle", poisoned)
    first = fake.run(most=1)
    monkeypatch.setattr(Learner, "cycle", cycle)
    rest = fake.run()

    assert "not finite" in first[0].faults[0]
    assert verdicts(rest) == ["none", "publish"]
    assert rest[0].learned is not None
    assert rest[0].learned.events == first[0].events + rest[0].events
    assert fake.training().report()["rejected"] == 1


def test_another_catalogue_never_serves(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that mean other items than the parent's are no child of it."""
    made = trainer.successor

    def turned(*arguments: Any) -> Any:
        found = made(*arguments)
        return replace(found, catalogue=type(found.catalogue)(found.catalogue.items[::-1]))

    monkeypatch.setattr(trainer, "successor", turned)
    told = fake.run()

    assert verdicts(told) == ["none"] * 3
    assert all("other catalogue" in one.faults[0] for one in told)
    assert fake.registry.list() == ["000001"]


def test_a_truncated_file_never_serves(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back before it counts: what is not whole is rejected, and the next cycle goes on."""
    write = store.write

    def truncated(directory: Path, trained: Any) -> dict[str, str]:
        digests = write(directory, trained)
        os.truncate(directory / store.WEIGHTS, 100)
        return digests

    fake.run(most=1)
    monkeypatch.setattr(store, "write", truncated)
    failed = fake.run(most=1)
    monkeypatch.setattr(store, "write", write)

    assert verdicts(failed) == ["reject"]
    assert fake.registry.list() == ["000001"]
    assert verdicts(fake.run()) == ["publish"]


def test_shuffled_rows_are_rejected_and_their_events_learned_again(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate that ranks worse is dropped by the gate; what comes after is made from what serves."""
    cycle = Learner.cycle
    monkeypatch.setattr(Learner, "cycle", spoiled(cycle))
    fake.run(most=1)
    monkeypatch.setattr(Learner, "cycle", cycle)
    told = fake.run()

    assert verdicts(told) == ["reject", "publish"]
    assert told[0].learned is not None
    assert told[0].learned.events == 105 + 210
    assert fake.registry.manifest("000002")["parent"] == "000001"


def spoiled(cycle: Any) -> Any:
    """Sane to look at, and no good: items have each other's rows."""

    def spoiling(self: Learner, lines: Any) -> Cycle:
        found: Cycle = cycle(self, lines)
        rows = self.model.items.data[65:].clone()
        self.model.items.data[65:] = rows.roll(11, 0)
        return found

    return spoiling


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Version 2 is worse than version 1 and serves, because the gate was asleep; the watch looks early."""
    made = Fake(tmp_path / "planted", log(8), every=210)
    made.registry.publish(first_version())
    monkeypatch.setattr(watch, "LOOKS", (150, 300, 600))
    with monkeypatch.context() as asleep:
        asleep.setattr(Learner, "cycle", spoiled(Learner.cycle))
        made.run(most=1)
    with monkeypatch.context() as asleep:
        asleep.setattr(trainer, "decide", nodding)
        assert verdicts(made.run(most=1)) == ["publish"]
    return made


def nodding(evidence: Evidence, **names: Any) -> Decision:
    return replace(gate.decide(evidence, **names), verdict=Verdict.PUBLISH)


def test_a_version_that_is_worse_live_is_rolled_back(planted: Fake) -> None:
    """Told as withdrawn, never published again; what it had learned is learned by its successor, and that
    one's parent is the version that came back."""
    told = planted.run()
    current = planted.registry.current()

    assert verdicts(told) == ["roll back", "publish"]
    assert current is not None
    assert (current.version, current.withdrawn) == ("000003", ("000002",))
    assert [(one.version, one.withdrawn) for one in planted.announced[1:3]] == [
        ("000002", True),
        ("000001", False),
    ]
    assert planted.registry.manifest("000003")["parent"] == "000001"
    assert planted.training().report()["rolled_back"] == 1
    assert told[0].learned is not None
    assert told[0].learned.events == 105 + 2 * 210


def test_killed_at_a_rollback_it_ends_alike(
    planted: Fake, deaths: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just after the registry took it: the same versions, and one rollback."""
    whole = copied(planted, "whole")
    whole.run()
    deaths(2, True)  # 1 is the plan, 2 the registry's word
    with pytest.raises(Killed):
        planted.run()
    monkeypatch.undo()
    small(monkeypatch)
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
    monkeypatch.setattr(trainer, "MAX_POOLED", 260)
    told = fake.run()

    assert verdicts(told)[:3] == ["none", "wait", "reject"]
    assert told[1].learned is None
    assert fake.registry.list() == ["000001"]
