"""Updates that do harm, from the stream to a list: trainer, sanity, gate, registry and scorer, all real.

The same harms against the gate alone: tests/model/test_harmful_updates.py; files damaged after they were
published: test_rollback_adopted.py.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model import store
from model.learner import Learner
from model.popularity import Popularity
from stream import hotswap, trainer
from stream.adopting import Adopting
from stream.asking import Asking
from stream.events import Interaction
from stream.history import Rules, User
from stream.learning import Learner as Counting
from stream.recent import Recent
from stream.records import decode_list
from stream.requests import Cause, build
from stream.scorer_app import following
from stream.scoring import Desk
from stream.settings import load
from stream.telling_cycles import Cycled
from stream.themes import Router
from tests.model.circles import NUM_ITEMS
from tests.stream import circle_log
from tests.stream.circle_log import TUNE, Fake, first_version, log, planted, small_gate, spoiled, verdicts


class Scorer:
    """One desk that follows a directory, as the role does between its turns."""

    def __init__(self, models: Path) -> None:
        overrides = {"models": {"dir": models}, "scorer": {"device": "cpu", "cache_mb": 8, "threads": 1}}
        self.swap = following(load(overrides=overrides, environment={}))
        self._desk = Desk(
            Counting(Popularity(), ()),
            topic="requests",
            top_n=5,
            max_batch=4,
            filter_seen=False,
            clock_ms=lambda: 0.0,
        )
        self._adopting = Adopting(self.swap, self._desk, Recent(max_users=4))
        self._user = User.new("t")
        self._offset = 0

    def list_by(self) -> str | None:
        """The version that the list after one more click is made by, once what is published is settled."""
        self._adopting.poll()
        if self.swap.coming is not None:
            wait([self.swap.coming], timeout=60)
            self._adopting.poll()
        click = Interaction(ts=60_000 * self._offset, user="ann", item="i3", type="click")
        self._user.apply(click, "t", self._offset, Rules(), Router())
        cause = Cause(user="ann", partition=0, type="click", produced_ms=0)
        raw = build(self._user, Router(), cause, sample_share=0.0)
        [made] = self._desk.answer([Asking(raw, 0, self._offset, 0)])
        self._offset += 1
        return decode_list(made.value).model


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that is content with less, of the same rule; a scorer that looks at every turn."""
    small_gate(monkeypatch)
    monkeypatch.setattr(hotswap, "CHECK_S", 0.0)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Version 1 serves; histories and six rounds of clicks lie on the log."""
    return served(Fake(tmp_path / "one", log(6), every=210))


def served(fake: Fake) -> Fake:
    fake.registry.publish(first_version())
    return fake


def lived(fake: Fake) -> tuple[list[Cycled], list[str | None]]:
    """(what each cycle said, the version of a list before the first and after each), to the log's end."""
    scorer, told = Scorer(fake.folder / "models"), list[Cycled]()
    lists = [scorer.list_by()]
    while more := fake.run(most=1):
        told += more
        lists.append(scorer.list_by())
    return told, lists


def test_honest_updates_arrive(fake: Fake) -> None:
    """The way is open: the laws below are about harm and not about a closed door."""
    told, lists = lived(fake)

    assert verdicts(told) == ["none", "publish", "publish"]
    assert lists == ["000001", "000001", "000002", "000003"]


def test_shuffled_labels_never_serve(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned is another item than was clicked, drawn at random: it looks sane, and the gate sees
    it on the true clicks."""
    observe, chance = Learner.observe, random.Random(0)

    def shuffled(self: Learner, user: str, item: str, ts_ms: int, num: int = 1) -> None:
        observe(self, user, f"i{chance.randrange(NUM_ITEMS)}", ts_ms, num)

    monkeypatch.setattr(Learner, "observe", shuffled)
    told, lists = lived(fake)

    assert all(one.faults == () for one in told)
    assert verdicts(told) == ["none", "reject", "reject"]
    assert all(one.reason.startswith("worse than 000001 alone") for one in told[1:])
    assert set(lists) == {"000001"}


def test_a_hundred_times_the_learning_rate_never_serves(tmp_path: Path) -> None:
    """Weights thrown about are still numbers; the gate sees that they rank worse, cycle after cycle."""
    fake = served(Fake(tmp_path, log(6), every=210, config=replace(TUNE, lr=100 * TUNE.lr)))
    told, lists = lived(fake)

    assert all(one.faults == () for one in told)
    assert verdicts(told) == ["none", "reject", "reject"]
    assert all(one.reason.startswith("worse than 000001 alone") for one in told[1:])
    assert set(lists) == {"000001"}


def poisoned(train: Callable[..., float]) -> Callable[..., float]:
    def poisoning(self: Learner, *lessons: Any) -> float:
        loss = train(self, *lessons)
        self.model.items.data[70] = float("nan")
        return loss

    return poisoning


def test_weights_that_are_no_numbers_never_serve(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cycle that ends in NaN is dropped, and its events are learned by the next, which is sound."""
    train = Learner._train
    monkeypatch.setattr(Learner, "_train", poisoned(train))
    first = fake.run(most=1)
    monkeypatch.setattr(Learner, "_train", train)
    rest, lists = lived(fake)

    assert "not finite" in first[0].faults[0]
    assert verdicts(rest) == ["none", "publish"]
    assert rest[0].learned is not None
    assert rest[0].learned.events == first[0].events + rest[0].events
    assert fake.training().report()["rejected"] == 1
    assert lists == ["000001", "000001", "000002"]


def test_clicks_that_fail_three_times_are_learned_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would spoil every later cycle: they are counted and left out, and what comes after is learned."""
    fake = served(Fake(tmp_path, log(8), every=210))
    with monkeypatch.context() as ill:
        ill.setattr(Learner, "_train", poisoned(Learner._train))
        failed = fake.run(most=3)
    sound = fake.run(most=1)

    assert all("not finite" in one.faults[0] for one in failed)
    assert [one.dropped for one in failed] == [0, 0, sum(one.events for one in failed)]
    assert sound[0].faults == ()
    assert sound[0].learned is not None
    assert sound[0].learned.events == sound[0].events > 0


def test_another_catalogue_never_serves(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that mean other items than the parent's are no child of it."""
    made = trainer.successor

    def turned(*arguments: Any) -> Any:
        found = made(*arguments)
        return replace(found, catalogue=type(found.catalogue)(found.catalogue.items[::-1]))

    monkeypatch.setattr(trainer, "successor", turned)
    told, lists = lived(fake)

    assert verdicts(told) == ["none"] * 3
    assert all("other catalogue" in one.faults[0] for one in told)
    assert fake.registry.list() == ["000001"]
    assert set(lists) == {"000001"}


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
    rest, lists = lived(fake)
    assert verdicts(rest) == ["publish"]
    assert lists == ["000001", "000002"]


def test_a_file_truncated_after_publication_never_serves(fake: Fake) -> None:
    """The scorer reads every byte before it adopts: it refuses the version, and what served goes on."""
    fake.run(most=1)
    scorer = Scorer(fake.folder / "models")
    before = scorer.list_by()
    fake.run(most=1)
    os.truncate(fake.folder / "models" / "000002" / store.WEIGHTS, 100)

    assert (before, scorer.list_by(), scorer.swap.refused) == ("000001", "000001", 1)


def test_shuffled_rows_are_rejected_and_their_events_learned_again(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate that ranks worse is dropped by the gate; what comes after is made from what serves."""
    cycle: Callable[..., Any] = Learner.cycle
    monkeypatch.setattr(Learner, "cycle", spoiled(cycle))
    fake.run(most=1)
    monkeypatch.setattr(Learner, "cycle", cycle)
    told, lists = lived(fake)

    assert verdicts(told) == ["reject", "publish"]
    assert told[0].learned is not None
    assert told[0].learned.events == 105 + 210
    assert fake.registry.manifest("000002")["parent"] == "000001"
    assert lists == ["000001", "000001", "000002"]


def test_a_version_that_is_worse_live_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted past a sleeping gate it serves, until the watch sees it: told as withdrawn, never published
    again; what it had learned is learned by its successor, whose parent is the version that came back."""
    fake = planted(served(Fake(tmp_path, log(8), every=210)), monkeypatch)
    told, lists = lived(fake)
    current = fake.registry.current()

    assert verdicts(told) == ["roll back", "publish"]
    assert lists == ["000002", "000001", "000003"]
    assert current is not None
    assert (current.version, current.withdrawn) == ("000003", ("000002",))
    assert [(one.version, one.withdrawn) for one in fake.announced[1:3]] == [
        ("000002", True),
        ("000001", False),
    ]
    assert fake.registry.manifest("000003")["parent"] == "000001"
    assert fake.training().report()["rolled_back"] == 1
    assert told[0].learned is not None
    assert told[0].learned.events == circle_log.USERS + 2 * 210
