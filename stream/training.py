"""One cycle of the trainer from its records to its snapshot, so that it may die anywhere.

Knows: the order of steps, the registry, the files in the trainer's folder. Does not know: Kafka.

A cycle: 1 its ranges are written to the plan, 2 the candidate is judged, 3 published (or the version that
serves is rolled back), 4 announced, 5 the next candidate is learned, 6 the snapshot replaces the one before,
7 the report, which a restart makes up for. If we die before 6, the same plan is carried out again from the
snapshot before and gives the same candidate; what was published meanwhile is not published again.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.errors import ModelError
from model.finetune import TuneConfig
from model.gate import Decision, Verdict, enough
from model.registry import Registry
from model.version import Trained, Version, trained_through
from stream import snapshot
from stream.announcing import published, rolled_back
from stream.errors import StateDamaged
from stream.intake import Record
from stream.lessons import Lessons
from stream.metrics.trainer import TrainerMetrics
from stream.records import Announcement
from stream.telling_cycles import Counts, Cycled, latency_s, replace_json
from stream.trainer import Trainer
from stream.trainer_snapshot import packed, unpack

log = logging.getLogger("hopstream.trainer")

KIND: Final = "trainer"
#: Raised when a snapshot's layout changes; an older one is set aside and the topic is read again.
VERSION: Final = 5
#: Events, the newest, whose way to weights is kept: 9 bytes each in a snapshot.
MAX_WAITED: Final = 20_000
SNAPSHOT, PLAN, REPORT = "snapshot", "plan.json", "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Directories, and what one trainer is told once."""

    folder: Path
    models: Path
    keep_versions: int
    config: TuneConfig
    filter_seen: bool


@dataclass(slots=True, kw_only=True)
class Training:
    """Hand it the records of each plan; it is at rest between two calls."""

    where: Where
    lessons: Lessons
    announce: Callable[[Sequence[Announcement]], object]
    num_partitions: int
    positions: dict[int, int] = field(default_factory=dict)  # partition → offset of the next record to take
    trainer: Trainer | None = None  # None: no version was published yet
    counts: Counts = field(default_factory=Counts)
    waited_s: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_WAITED))  # by event, to weights
    _published_s: list[float] = field(default_factory=list, init=False)  # the same, of the newest cycle
    metrics: TrainerMetrics = field(default_factory=TrainerMetrics)

    @property
    def registry(self) -> Registry:
        return Registry(self.where.models)

    @property
    def growing(self) -> bool:
        """Whether the gate waits for a few more events or users, and is soon asked again."""
        pooled = self.trainer and self.trainer.candidate and self.trainer.candidate.pooled
        return bool(pooled and not enough(len(pooled.users_E), len(np.unique(pooled.users_E))))

    def resume(self) -> bool:
        """From the snapshot, if there is one of this topic and of versions that are still there."""
        path = self.where.folder / SNAPSHOT
        try:
            if (state := snapshot.load(path, KIND, VERSION)) is None:
                return False
            if state["topic_id"] != self.lessons.topic_id:
                log.warning("the events topic was made anew; the snapshot is set aside")
                path.replace(path.with_name(SNAPSHOT + ".old"))
                return False
            trainer = self._new_trainer(base := self.registry.load(state["base"]))
            unpack(state["trainer"], trainer)
            self.lessons.restore(state["lessons"])  # all or nothing
        except (snapshot.SnapshotDamaged, StateDamaged, ModelError, KeyError, TypeError, ValueError) as error:
            log.error("the snapshot is set aside, and the topic read again: %s", error)
            path.replace(path.with_name(SNAPSHOT + ".damaged"))
            return False
        self.trainer = trainer
        self.positions, self.counts = dict(state["positions"]), Counts(**state["counts"])
        self.waited_s.extend(state["waited_s"])
        self._report_again()
        log.info("goes on after %d cycles, %s serves", self.counts.cycles, base.name)
        return True

    def follow(self) -> bool:
        """Begin as, or go on from, the version that serves; False while there is none that can be read.

        A version of our own that was published by a cycle that we are about to repeat is left for it.
        """
        try:
            current = self.registry.current()
            if current is None:
                return False
            self.metrics.versions.wanted(current.epoch)
            if self.trainer is not None and current.version == self.trainer.base.name:
                self.metrics.goes_on(current.version, current.epoch)
                return True
            if self._half_published(current.version):
                return True
            base = self.registry.load(current.version)
        except ModelError as error:
            log.warning("what serves cannot be read: %s", error)
            return self.trainer is not None
        if self.trainer is None:
            self.trainer = self._new_trainer(base)
            log.info("begins as version %s", base.name)
            return True
        log.warning("version %s serves instead of %s: goes on from it", base.name, self.trainer.base.name)
        if self.trainer.base.name in current.withdrawn:  # by hand, or by ourselves just before we died
            self.counts.rolled_back += 1
            self.announce(rolled_back(self.where.models, current, self.trainer.base.name))
        self.trainer.rebase(base)
        return True

    def plan(self) -> dict[int, int] | None:
        """Partition → the offset behind the next cycle, where that is decided already."""
        try:
            told = json.loads((self.where.folder / PLAN).read_text())
        except FileNotFoundError:
            return None
        mine = told["cycle"] == self.counts.cycles and told["topic_id"] == self.lessons.topic_id
        return {int(partition): stop for partition, stop in told["stop"].items()} if mine else None

    def decide(self, stop: Mapping[int, int]) -> None:
        """The next cycle takes what lies between `positions` and ``stop``. Raises OSError."""
        told = {"cycle": self.counts.cycles, "topic_id": self.lessons.topic_id, "stop": dict(stop)}
        replace_json(self.where.folder / PLAN, told)

    def cycle(self, records: Sequence[Record], stop: Mapping[int, int]) -> Cycled:
        """Carry out the plan with its records, in order. Raises BrokerUnreachable, OSError."""
        trainer, began_s = self.trainer, time.monotonic()
        assert trainer is not None
        self._published_s = []
        taken = self.lessons.take(records, trained_through(trainer.base.manifest, self.lessons.topic_id))
        decision, worse = trainer.judge(taken)
        verdict, reason, version = "none", "", None
        if worse:
            verdict, reason, version = self._roll_back(trainer)
        elif decision is not None:
            verdict, reason, version = self._after(trainer, decision)
        through = {partition: offset - 1 for partition, offset in stop.items() if offset > 0}
        cycle, faults = trainer.learn(taken, through)
        self.counts.rejected += bool(faults)
        self.positions = dict(stop)
        self.counts.cycles += 1
        self.counts.events += len(taken.clicks)
        self._keep(trainer)
        if verdict == Verdict.PUBLISH:
            self._prune()  # only now: until the snapshot holds the new candidate, the old anchor is needed
        told = Cycled(
            cycle=self.counts.cycles,
            records=len(records),
            events=len(taken.clicks),
            remembered=len(taken.known),
            verdict=verdict,
            reason=reason,
            decision=decision,
            version=version,
            serving=trainer.base.name,
            learned=cycle,
            faults=tuple(f"{fault.name}: {fault.detail}" for fault in faults),
            event_to_weights_s=latency_s(self._published_s),
            dropped=trainer.num_dropped,
            seconds=time.monotonic() - began_s,
        )
        self.metrics.cycle(verdict, told.events, told.seconds, failed=bool(faults))
        replace_json(self.where.folder / REPORT, self.report() | {"newest": told.to_json()})
        return told

    def report(self) -> dict[str, Any]:
        """What all cycles came to."""
        serving = None if self.trainer is None else self.trainer.base.name
        positions = {str(partition): offset for partition, offset in self.positions.items()}
        waited = {"event_to_weights_s": latency_s(self.waited_s)}
        return asdict(self.counts) | waited | {"serving": serving, "positions": positions}

    def _after(self, trainer: Trainer, decision: Decision) -> tuple[str, str, str | None]:
        if decision.verdict is Verdict.PUBLISH:
            return self._publish(trainer, decision)
        if decision.verdict is Verdict.REJECT:
            trainer.rejected()
            self.counts.rejected += 1
        elif decision.verdict is Verdict.KEEP:
            self.counts.kept += 1
        else:
            self.counts.waited += 1
        return decision.verdict, decision.reason, None

    def _publish(self, trainer: Trainer, decision: Decision) -> tuple[str, str, str | None]:
        trained, registry = trainer.release(decision), self.registry
        name = self._published_before(trained)
        try:
            version = registry.publish(trained, trainer.base.name) if name is None else registry.load(name)
        except ModelError as error:  # nothing was published: what serves goes on serving
            log.error("the candidate was not published: %s", error)
            trainer.rejected()
            self.counts.rejected += 1
            return str(Verdict.REJECT), str(error), None
        current = registry.current()
        assert current is not None  # something was published
        self.announce(published(self.where.models, current))
        trainer.published(version)
        self.counts.published += 1
        assert trainer.previous is not None
        written_s = [click.written_ms / 1000 for click in trainer.previous.clicks]
        self._published_s = [round(time.time() - one_s, 3) for one_s in written_s]
        self.waited_s.extend(self._published_s)
        self.metrics.published(time.time(), written_s)
        return str(decision.verdict), decision.reason, version.name

    def _new_trainer(self, base: Version) -> Trainer:
        load, told = self.registry.load, self.where
        return Trainer(self.lessons, base, load, told.config, filter_seen=told.filter_seen)

    def _report_again(self) -> None:
        """Where we died between a snapshot and its report; what the newest cycle said is lost with it."""
        path, mine = self.where.folder / REPORT, self.report()
        if not path.exists() or json.loads(path.read_text())["cycles"] != mine["cycles"]:
            replace_json(path, mine)

    def _prune(self) -> None:
        try:
            self.registry.prune(self.where.keep_versions)
        except ModelError as error:  # old versions stay, and go another time
            log.warning("old versions were not removed: %s", error)

    def _roll_back(self, trainer: Trainer) -> tuple[str, str, str | None]:
        assert trainer.previous is not None
        assert trainer.watch is not None
        worse, back = trainer.base.name, trainer.previous.name
        registry = self.registry
        try:
            current = registry.rollback(to=back, serving=worse)
        except ModelError as error:  # what serves changed meanwhile, and is followed before the next cycle
            log.error("%s was not rolled back: %s", worse, error)
            trainer.watch, trainer.previous = None, None
            return "none", str(error), None
        self.announce(rolled_back(self.where.models, current, worse))
        look = trainer.watch.looks[-1]
        trainer.rolled_back(registry.load(back))
        self.counts.rolled_back += 1
        reason = f"{worse} is worse than {back} on {look.events:,} events of {look.users:,} users"
        log.error("ALARM: %s; %s serves again", reason, back)
        return "roll back", reason, back

    def _half_published(self, name: str) -> bool:
        """Whether this version is our candidate, published just before we died."""
        trainer = self.trainer
        if trainer is None or trainer.candidate is None or self.plan() is None:
            return False
        manifest = self.registry.manifest(name)
        told = (manifest["offsets"] or {}).get("trained_through")
        through = {str(partition): last for partition, last in trainer.candidate.trained_through.items()}
        return bool(manifest["parent"] == trainer.base.name and told == through)

    def _published_before(self, trained: Trained) -> str | None:
        """The name of this very update where it is the newest version that serves."""
        current = self.registry.current()
        if current is None or current.version != current.newest or trained.offsets is None:
            return None
        manifest = self.registry.manifest(current.version)
        ours = trained.parent, trained.offsets.to_json()
        return current.version if (manifest["parent"], manifest["offsets"]) == ours else None

    def _keep(self, trainer: Trainer) -> None:
        state = {
            "topic_id": self.lessons.topic_id,
            "base": trainer.base.name,
            "positions": self.positions,
            "counts": asdict(self.counts),
            "waited_s": list(self.waited_s),
            "lessons": self.lessons.state(),
            "trainer": packed(trainer),
        }
        snapshot.save(self.where.folder / SNAPSHOT, KIND, VERSION, state)
