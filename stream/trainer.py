"""The trainer in memory: slices of the stream in, candidates, decisions and weights out.

Knows: what serves, what is learned, what the gate and the watch were told so far, what waits.
Does not know: Kafka, files, how a version is published, when a cycle is due.

A cycle: ``judge`` the candidate, and a version that was published lately, on a slice that neither has
learned; hear what became of it (``published``, ``rejected``, ``rolled_back``; else it waits); then ``learn``:
the weights of the next candidate. While a candidate waits for its answer nothing is learned: slices are kept,
and all of them are learned together after it. The watch ranks every judged event anew by both versions over
the whole catalogue, with the gate's functions: judgements on the topic name fifty items of one version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from model.errors import VersionDamaged, VersionMissing
from model.finetune import TuneConfig
from model.gate import Decision, decide, settled
from model.learner import Cycle
from model.lineage import anchor_of
from model.sanity import Fault, sanity
from model.successor import successor
from model.version import Offsets, Trained, Version, trained_through
from model.watch import Outcome, Watch
from stream.comparing import compared
from stream.learners import learner_of, restored
from stream.lessons import Click, Lessons, Slice, columns_of, ranges
from stream.trainer_held import MAX_KEPT, Candidate, Kept
from stream.trainer_rows import TrainerRows

#: So many times more loaded than clicked: histories are coming in, and the clicks wait for the next slice.
LOADING: Final = 20
#: Times in a row that clicks may end in weights that fail the sanity checks; then they are learned by nobody.
MAX_FAILED: Final = 3


class Trainer:
    """Everything that changes while the stream is learned."""

    def __init__(
        self,
        lessons: Lessons,
        base: Version,
        load: Callable[[str], Version],
        config: TuneConfig,
        *,
        filter_seen: bool,
    ) -> None:
        """``base`` serves; ``load`` reads a published version by name."""
        self.lessons = lessons
        self.base = base
        self.config = config
        self.learner = learner_of(base, config)
        self.serving = Kept(name=base.name, arrays={})
        self.previous: Kept | None = None  # while the watch lasts
        self.candidate: Candidate | None = None
        self.watch: Watch | None = None
        self.waiting: list[Click] = []  # not learned by anybody
        self.known: list[Click] = []  # to be remembered once nothing waits for the gate
        self.num_dropped = 0  # clicks beyond MAX_KEPT, or after MAX_FAILED: learned by nobody
        self.num_failed = 0  # cycles in a row whose result failed the sanity checks
        self.rows = TrainerRows(base)
        self.forgotten: list[str] = []  # users erased since the oldest arrays that are kept
        self._load = load
        self._filter_seen = filter_seen

    def rebase(self, base: Version) -> None:
        """Another version serves than was published here: go on from that one.

        What it was trained through is remembered; of the rest, what is kept is learned again.
        """
        if self.previous is not None and self.previous.name == base.name:
            self.rolled_back(base)
            return
        through = trained_through(base.manifest, self.lessons.topic_id)
        older = self.previous.clicks if self.previous is not None and through else []
        kept = [*older, *self.serving.clicks, *self.waiting]
        self.waiting = [click for click in kept if click.offset > through.get(click.partition, -1)]
        self._serve(base)
        self.known = []
        self.learner = learner_of(base, self.config)
        self.learner.remember(columns_of(self._histories()), counted=True)
        self.serving = Kept(name=base.name, arrays={})

    def judge(self, taken: Slice) -> tuple[Decision | None, bool]:
        """(what the gate says of the candidate, whether the version that serves is worse than its parent).

        The slice must not have been learned. Nothing changes but what gate and watch know.
        """
        if self._watched(taken) is Outcome.ROLL_BACK:
            return None, True
        candidate = self.candidate
        if candidate is None:
            return None, False
        anchor = self._loaded(anchor_of(self.base.manifest)) or self.base
        found = compared(
            self.learner,
            self.base,
            None if anchor is self.base else anchor,
            taken,
            self.lessons.memory,
            filter_seen=self._filter_seen,
        )
        for partition, (start, stop) in ranges(taken.clicks).items():
            candidate.judged_by[partition] = (candidate.judged_by.get(partition, (start, stop))[0], stop)
        if found is not None:
            candidate.heard(found)
        if candidate.pooled is None:
            return None, False
        decision = decide(candidate.pooled, serving=self.base.name, anchor=anchor.name)
        decision, candidate.pooled = settled(decision, candidate.pooled)
        return decision, False

    def release(self, decision: Decision) -> Trained:
        """The candidate as it is to be published."""
        assert self.candidate is not None
        return replace(self._trained(self.candidate), gate=decision.to_json())

    def published(self, version: Version) -> None:
        """The candidate serves now, and is watched; what it learned is in ``previous.clicks``."""
        assert self.candidate is not None
        self.previous, self.watch = self.serving, Watch(version.name, self.base.name)
        self.base, self.candidate = version, None
        self.serving = Kept(name=version.name, arrays={})
        self.rows.published(version.catalogue)

    def rejected(self) -> None:
        """The candidate is dropped; what it learned waits to be learned again."""
        self._restore(self.serving)
        self.waiting = [*self.serving.clicks, *self.waiting]
        self.serving.clicks = []
        self.candidate = None

    def rolled_back(self, version: Version) -> None:
        """``version``, the one before, serves again; what was learned after it waits to be learned again."""
        assert self.previous is not None
        back = self.previous
        self.waiting = [*back.clicks, *self.serving.clicks, *self.waiting]
        self._serve(version)
        self.serving = back
        self._restore(back)
        self.known = [*back.known, *self.known]
        back.clicks, back.known = [], []

    def learn(self, taken: Slice, through: Mapping[int, int]) -> tuple[Cycle | None, list[Fault]]:
        """Keep a slice, and learn all that is kept unless a candidate waits or histories are being loaded.

        ``through``: partition → newest offset that was read. Returns what the cycle did, None where there was
        none, and what is wrong with its result, which then is dropped.
        """
        self.rows.take(taken, self.base, filter_seen=self._filter_seen)
        self._forget(taken.forgotten)
        self.lessons.learn(taken)
        self.waiting += taken.clicks
        self.known += taken.known
        for kept in (self.waiting, self.known):
            self.num_dropped += max(0, len(kept) - MAX_KEPT)
            del kept[:-MAX_KEPT]
        if self.candidate is not None:
            return None, []
        self.learner.remember(_columns(self.known), counted=True)
        if self.previous is not None:
            self.previous.remember(self.known)
        self.known = []
        self.serving.arrays = self.learner.to_arrays()
        if self.previous is None:
            self.forgotten = []
        loading = LOADING * len(taken.clicks) < len(taken.known)
        if not self.waiting or loading:
            return None, []
        for click in self.waiting:
            self.learner.observe(click.user, click.item, click.ts_ms)
        cycle = self.learner.cycle(self.rows.lines)
        self.serving.clicks, self.waiting = self.waiting, []
        self.candidate = Candidate(cycle=cycle, trained_through=dict(through))
        faults = sanity(self._trained(self.candidate), self.base) if cycle.finite else [NOT_FINITE]
        self.num_failed = self.num_failed + 1 if faults else 0
        if faults:
            self.rejected()
        if self.num_failed == MAX_FAILED:  # with what comes after them they would fail for ever
            self.num_dropped += len(self.waiting)
            self.waiting, self.num_failed = [], 0
        return cycle, faults

    def _watched(self, taken: Slice) -> Outcome | None:
        if self.watch is None or self.previous is None:
            return None
        before = self._loaded(self.previous.name)
        outcome = Outcome.KEPT if before is None else None  # nothing is left to go back to
        found = before and compared(
            self.base, before, None, taken, self.lessons.memory, filter_seen=self._filter_seen
        )
        if found:
            new, old = found.new, found.serving
            told = zip(
                found.users_E.tolist(), new.alone_E, new.fused_E, old.alone_E, old.fused_E, strict=True
            )
            for user, *ranks in told:
                alone, fused, old_alone, old_fused = map(float, ranks)
                outcome = outcome or self.watch.judge(user, (alone, fused), (old_alone, old_fused))
        if outcome is Outcome.KEPT:
            self.watch, self.previous = None, None
        return outcome

    def _serve(self, version: Version) -> None:
        self.base, self.candidate, self.watch, self.previous = version, None, None, None
        self.rows = TrainerRows(version)

    def _restore(self, kept: Kept) -> None:
        self.learner = restored(kept.arrays, self.base, self.config)
        for user in self.forgotten:
            self.learner.forget(user)

    def _loaded(self, name: str) -> Version | None:
        """A published version, None where it is gone or damaged."""
        if name == self.base.name:
            return self.base
        try:
            return self._load(name)
        except (VersionMissing, VersionDamaged):
            return None

    def _trained(self, candidate: Candidate) -> Trained:
        offsets = Offsets(
            topic_id=self.lessons.topic_id,
            trained_through=candidate.trained_through,
            judged_by=candidate.judged_by,
        )
        return successor(self.learner, self.base, candidate.cycle, _columns(self.serving.clicks), offsets)

    def _forget(self, users: Collection[str]) -> None:
        """Erase users from all that may still be learned or replayed."""
        if not users:
            return
        self.forgotten = [*self.forgotten, *users][-MAX_KEPT:]
        for user in users:
            self.learner.forget(user)
        for clicks in (self.waiting, self.known):
            clicks[:] = [click for click in clicks if click.user not in users]
        for held in (self.serving, self.previous, self.candidate, self.watch):
            if held is not None:
                held.forget(users)

    def _histories(self) -> list[tuple[str, str, int]]:
        """Everything followed but what waits to be learned."""
        waiting = Counter(click.user for click in self.waiting)
        return [
            (user, item, ts_ms)
            for user, (items, times_ms) in self.lessons.histories()
            for item, ts_ms in list(zip(items, times_ms, strict=True))[: max(0, len(items) - waiting[user])]
        ]


NOT_FINITE: Final = Fault("not finite", "training ended in weights that are no numbers.")


def _columns(clicks: Collection[Click]) -> Any:
    return columns_of([(one.user, one.item, one.ts_ms) for one in clicks])
