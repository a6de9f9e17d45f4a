"""What a trainer holds on to from slice to slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from model import gate, watch
from model.learner import Learner
from stream import trainer
from stream.events import Event, Forget, Interaction, encode
from stream.intake import Record
from stream.lessons import Click
from stream.trainer import MAX_KEPT
from stream.trainer_held import Kept
from tests.stream import circle_log
from tests.stream.circle_log import COLUMNS, PARTITIONS, Fake, first_version, log, nodding, spoiled, verdicts


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    circle_log.small_gate(monkeypatch)
    made = Fake(tmp_path / "one", log(10), every=210)
    made.registry.publish(first_version())
    return made


def insert(fake: Fake, partition: int, events: Sequence[Event], *, loaded: bool = False) -> None:
    """These records come next on the partition."""
    here = fake.training().positions[partition]
    records = fake.records[partition]
    records[here:here] = [
        Record(
            partition=partition,
            offset=0,
            key=event.user.encode(),
            value=encode(event),
            written_ms=records[here].written_ms,
            backfill=loaded,
        )
        for event in events
        if isinstance(event, Interaction | Forget)
    ]
    fake.records[partition] = [replace(record, offset=offset) for offset, record in enumerate(records)]


def test_histories_loaded_after_a_version_was_published_outlive_its_rollback(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learner that goes back to the weights before it is told of them again."""
    monkeypatch.setattr(watch, "LOOKS", (150, 300, 600))
    with monkeypatch.context() as asleep:
        asleep.setattr(Learner, "cycle", spoiled(Learner.cycle))
        fake.run(most=1)
    history = [
        Interaction(ts=10_000 + place, user="late", item=COLUMNS.items[place], type="click")
        for place in range(12)
    ]
    insert(fake, 0, history, loaded=True)
    with monkeypatch.context() as asleep:
        asleep.setattr(trainer, "decide", nodding)
        assert verdicts(fake.run(most=1)) == ["publish"]
    fake.run(most=1)
    current = fake.registry.current()
    assert current is not None
    assert (current.version, current.withdrawn) == ("000001", ("000002",))

    trails = fake.training().trainer.learner.trails
    assert len(trails._users["late"].codes) == len(history)


def test_an_erased_user_is_in_nothing_that_a_trainer_keeps(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate that waits for the gate was judged by them, and a watched version too: under no name."""
    monkeypatch.setattr(watch, "LOOKS", (10**6,))
    fake.run(most=2)
    monkeypatch.setattr(gate, "MIN_EVENTS", 100_000)
    fake.run(most=1)
    before = fake.training().trainer
    assert before.candidate is not None
    assert before.candidate.pooled is not None
    assert before.watch is not None
    name = str(before.candidate.pooled.users_E[0])
    num_users = len(set(before.candidate.pooled.users_E))
    partition = COLUMNS.users.index(name) % PARTITIONS
    assert name in before.watch.to_dict()["users"]

    insert(fake, partition, [Forget(user=name)])
    here = fake.training().positions[partition]
    rest = [record for record in fake.records[partition][here + 1 :] if record.key != name.encode()]
    fake.records[partition][here + 1 :] = [
        replace(record, offset=here + 1 + place) for place, record in enumerate(rest)
    ]
    fake.run(most=1)

    after = fake.training().trainer
    assert after.candidate is not None
    assert after.candidate.pooled is not None
    assert after.watch is not None
    assert name not in {*after.candidate.pooled.users_E, *after.watch.to_dict()["users"]}
    assert len(set(after.candidate.pooled.users_E)) >= num_users


def test_clicks_that_wait_are_not_told_as_learned_too(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy user has more of them than their history keeps: none of it is remembered."""
    fake.run(most=1)
    made = fake.training().trainer
    name = COLUMNS.users[0]
    items = [item for user, (items, _) in made.lessons.histories() for item in items if user == name]
    made.waiting = [Click(0, 0, name, item, 0, 0) for item in [*items, *items[:3]]]

    assert [user for user, _, _ in made._histories() if user == name] == []


def test_histories_to_come_back_to_are_bounded() -> None:
    """The oldest go."""
    kept = Kept(name="1", arrays={})
    one = Click(0, 0, "ann", "a", 0, 0)
    kept.remember([one] * (MAX_KEPT - 1))
    kept.remember([one._replace(item="b")] * 2)

    assert len(kept.known) == MAX_KEPT
    assert kept.known[-1].item == "b"
