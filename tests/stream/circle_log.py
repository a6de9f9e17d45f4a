"""The circle of tests/model/circles.py as a log of records, and a trainer that reads it without a broker.

Knows: records as they lie on the topic. Does not know: Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from model import gate, watch
from model.config import ModelConfig
from model.finetune import TuneConfig
from model.gate import Decision, Evidence, Verdict
from model.learner import Cycle, Learner
from model.memory import MemoryConfig
from model.registry import Registry
from model.train import warm_start
from model.version import Trained
from stream import trainer
from stream.cycles import Every, in_order, num_due, stops
from stream.events import Interaction, encode
from stream.history import Rules
from stream.intake import Record
from stream.lessons import Lessons
from stream.records import Announcement
from stream.telling_cycles import Cycled
from stream.training import Training, Where
from tests.model.circles import RECIPE, rounds

USERS, PARTITIONS = 105, 2
#: Rounds of events that the first version is trained on, and that are loaded as histories.
WARM = 8
COLUMNS = rounds(USERS, 40)
CONFIG = ModelConfig(
    dim=16, streams=2, heads=2, blocks=1, experts=1, max_events=64, dropout=0.0, input_dropout=0.0
)
TUNE = TuneConfig(batch=32, window=12, negatives=12, replay_events=6, capacity=300, lr=5e-3)
RULES = Rules(gap_ms=10 * USERS * 60_000, keep_events=264)


@cache
def first_version() -> Trained:
    """It knows the circle a little."""
    torch.set_num_threads(1)
    short = replace(RECIPE, max_epochs=2, validation_users=20)
    return warm_start(COLUMNS.slice(0, WARM * USERS), CONFIG, short)


def log(rounds_: int) -> list[list[Record]]:
    """By partition: ``WARM`` rounds of histories as a replay loads them, then rounds of clicks."""
    found: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    for place in range((WARM + rounds_) * USERS):
        user, item = COLUMNS.users[COLUMNS.user[place]], COLUMNS.items[COLUMNS.item[place]]
        ts_ms = int(COLUMNS.time_ms[place])
        partition = int(COLUMNS.user[place]) % PARTITIONS
        found[partition].append(
            Record(
                partition=partition,
                offset=len(found[partition]),
                key=user.encode(),
                value=encode(Interaction(ts=ts_ms, user=user, item=item, type="click")),
                written_ms=1_000_000_000_000 + place,
                backfill=place < (WARM - 1) * USERS,
            )
        )
    return found


@dataclass
class Fake:
    """One trainer's folder and registry, and what it announced; made again after each death."""

    folder: Path
    records: list[list[Record]]
    every: int = 420
    config: TuneConfig = TUNE
    announced: list[Announcement] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry(self.folder / "models")

    def training(self) -> Training:
        made = Training(
            where=Where(
                folder=self.folder / "trainer",
                models=self.folder / "models",
                keep_versions=9,
                config=self.config,
                filter_seen=False,
            ),
            lessons=Lessons(RULES, "t", MemoryConfig(window=4, neighbours=16)),
            announce=self._announce,
            num_partitions=PARTITIONS,
            positions=dict.fromkeys(range(PARTITIONS), 0),
        )
        made.resume()
        return made

    def run(self, most: int = 99) -> list[Cycled]:
        """Cycles until none is due, as the role carries them out, from the snapshot or from nothing."""
        training, told = self.training(), list[Cycled]()
        while len(told) < most and training.follow():
            stop = training.plan() or self._due(training)
            if stop is None:
                break
            training.decide(stop)
            taken = [self.records[number][training.positions[number] : end] for number, end in stop.items()]
            told.append(training.cycle(in_order(taken), stop))
        return told

    def digests(self) -> dict[str, object]:
        """Version → digest of its weights, catalogue and offsets."""
        return {
            name: (manifest["files"], manifest["offsets"], manifest["parent"])
            for name in self.registry.list()
            for manifest in [self.registry.manifest(name)]
        }

    def _due(self, training: Training) -> dict[int, int] | None:
        waiting = in_order(self.records[number][at:] for number, at in training.positions.items())
        num = num_due(waiting, Every(events=self.every), 0, training.growing)
        return stops(training.positions, waiting[:num]) if num else None

    def _announce(self, told: Sequence[Announcement]) -> None:
        self.announced += told


def small_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that is content with less, of the same rule."""
    monkeypatch.setattr(gate, "MIN_EVENTS", 200)


def verdicts(told: Sequence[Cycled]) -> list[str]:
    return [one.verdict for one in told]


def spoiled(cycle: Callable[..., Cycle]) -> Callable[..., Cycle]:
    """Sane to look at, and no good: items have each other's rows."""

    def spoiling(self: Learner, lines: Any) -> Cycle:
        found = cycle(self, lines)
        rows = self.model.items.data[65:].clone()
        self.model.items.data[65:] = rows.roll(11, 0)
        return found

    return spoiling


def planted(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Version 2 is worse than version 1 and serves, because the gate was asleep; the watch looks early."""
    monkeypatch.setattr(watch, "LOOKS", (150, 300, 600))
    with monkeypatch.context() as asleep:
        asleep.setattr(Learner, "cycle", spoiled(Learner.cycle))
        fake.run(most=1)
    with monkeypatch.context() as asleep:
        asleep.setattr(trainer, "decide", nodding)
        assert verdicts(fake.run(most=1)) == ["publish"]
    return fake


def nodding(evidence: Evidence, **names: Any) -> Decision:
    return replace(gate.decide(evidence, **names), verdict=Verdict.PUBLISH)
