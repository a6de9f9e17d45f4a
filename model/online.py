"""The stream with weights that learn from it, slice by slice, beside the twin that stays as it was.

Knows: slices, who is asked what before it learns, when weights change, a candidate that waits for the gate.
Does not know: how weights learn (model/learner.py), the gate's rule, files, tables.

At event x every line answers from the events before x. Memory, counters and provisional rows have learned all
of them, the weights those up to the last slice's end. Lines: twin (version 1, its catalogue), twin + memory,
model (the serving version alone, its live catalogue), model + rows, memory, served.
"""

# E = judged events, J = items of the columns, D = M * d

from __future__ import annotations

import copy
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import TrainConfig
from model.exposure import Exposure
from model.finetune import TuneConfig
from model.gate import Verdict
from model.learner import Cycle, Learner
from model.metrics import MISS, FloatArray
from model.names import Arrays
from model.prequential import Choices, cosines_of, frozen, in_order, known_items, model_line
from model.provisional import ProvisionalConfig
from model.slices import Clicks, Part, Serving
from model.summing import Heard, Summed, Summing

Vectors = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Slices of a stream whose events lie far apart in time; else slices have SLICE_EVENTS.
SLICES = 20
SLICE_EVENTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineConfig:
    """What may change while the stream runs; fixed on the end of the warm part."""

    tune: TuneConfig = field(default_factory=TuneConfig)
    rows: ProvisionalConfig = field(default_factory=ProvisionalConfig)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Accept(Protocol):
    """The gate: may ``candidate`` take the place of ``serving``, judged on the events [start, stop) alone?

    Called at a slice's end, before anybody has learned from these events. KEEP and WAIT: asked again with
    the next slice beside this one, of the same candidate. REJECT: the candidate's weights are dropped.
    """

    def __call__(self, candidate: Serving, serving: Serving, start: int, stop: int) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEnd:
    """What happened after the events [start, stop) were judged."""

    start: int
    stop: int
    verdict: str  # "publish" without a gate; "none" while there is no candidate
    cycle: Cycle | None  # None: nothing was learned, because a candidate waits for its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """One pass over the stream."""

    lines: dict[str, FloatArray]  # (E,) ranks in the order of judged_events
    twin: Summed
    served: Summed
    ends: list[SliceEnd]
    learner: Learner  # as it was left


def slice_stops(num_events: int, num_warm: int, even: bool) -> list[int]:
    """Where slices end: ``even``: SLICES of one size, else every SLICE_EVENTS events; the last at the end."""
    if even:
        cuts = np.linspace(num_warm, num_events, SLICES + 1)[1:].round().astype(int)
        return sorted(set(cuts.tolist()) - {num_warm})
    return [*range(num_warm + SLICE_EVENTS, num_events, SLICE_EVENTS), num_events]


def online(
    model: Backbone,
    catalogue: Catalogue,
    columns: EventColumns,
    num_warm: int,
    stops: Sequence[int],
    choices: Choices,
    config: OnlineConfig,
    train_config: TrainConfig,
    filter_seen: bool = True,
    accept: Accept | None = None,
    told: Callable[[int, int], None] | None = None,
    serves: Callable[[Serving], None] | None = None,
) -> Online:
    """Run the stream from ``num_warm`` on under a version that was trained on the events before.

    ``stops``: slice_stops. ``told`` hears (slices done, of how many), ``serves`` version 1 and after each
    slice the version that serves then. ``model`` is not changed.
    """
    twin = frozen(model, catalogue, columns, num_warm)
    twin_known_J, twin_cosines = known_items(catalogue, columns), cosines_of(twin, columns)
    learner = Learner(model, catalogue, config.tune, train_config)
    warm = columns.slice(0, num_warm)
    learner.remember(warm)
    summing = Summing(columns, choices.memory, choices.epsilon, filter_seen, models=2)
    for user, item, time_ms in in_order(warm):
        summing.learn(user, item, time_ms)
    trainer = _Trainer(learner, num_warm, accept)
    if serves is not None:
        serves(trainer.serving)
    clicks: Clicks = defaultdict(lambda: deque(maxlen=config.rows.clicks))
    alone: list[float] = []
    with_rows: list[float] = []
    exposure: Exposure | None = None
    ends: list[SliceEnd] = []
    for start, stop in zip([num_warm, *stops], stops, strict=False):
        part = Part(trainer.serving, columns, start, stop, clicks, config.rows, exposure)
        for place, (user, item, time_ms) in enumerate(in_order(columns.slice(start, stop)), start):
            if user in summing.seen:
                seen = summing.seen[user] if filter_seen else []
                heard = part.heard(place)
                alone.append(_rank(heard.cosines_J, part.known_J, seen, item))
                with_rows.append(_rank(heard.cosines_J, heard.known_J, seen, item))
                part.listed(place, summing.seen[user], filter_seen)
                summing.judge(user, item, [Heard(next(twin_cosines), twin_known_J, twin.temperature), heard])
                part.learn(place, item)
                clicks[item].append(place)
            else:
                part.passed(item)
            summing.learn(user, item, time_ms)
        exposure = part.rows.exposure
        ends.append(
            trainer.end(columns, start, stop, dict(zip(part.rows.items, part.rows.lines, strict=True)))
        )
        if serves is not None:
            serves(trainer.serving)
        if told is not None:
            told(len(ends), len(stops))
    of_twin, served = summing.summed(0), summing.summed(1)
    return Online(
        lines={
            "twin": model_line(twin, columns, num_warm, filter_seen),
            "twin + memory": of_twin.served_E,
            "model": np.array(alone, np.float64),
            "model + rows": np.array(with_rows, np.float64),
            "memory": served.memory_E,
            "served": served.served_E,
        },
        twin=of_twin,
        served=served,
        ends=ends,
        learner=trainer.learner,
    )


class _Trainer:
    """Who serves, who learns, and a candidate that waits for the gate, if there is one."""

    def __init__(self, learner: Learner, num_warm: int, accept: Accept | None) -> None:
        self.learner = learner
        self.serving = _version(learner, num_warm)
        self._accept = accept
        self._candidate: Serving | None = None
        self._candidate_arrays: Arrays = {}
        self._serving_arrays = learner.to_arrays() if accept is not None else {}

    def end(self, columns: EventColumns, start: int, stop: int, lines: Mapping[str, Vectors]) -> SliceEnd:
        """The slice was judged: ask the gate about the candidate, then learn the slice."""
        verdict = "none"
        if self._candidate is not None and self._accept is not None:
            answer = self._accept(self._candidate, self.serving, start, stop)
            verdict = answer.value
            if answer in (Verdict.KEEP, Verdict.WAIT):
                self._observe(columns, start, stop)
                return SliceEnd(start=start, stop=stop, verdict=verdict, cycle=None)
            if answer is Verdict.PUBLISH:
                self.serving, self._serving_arrays = self._candidate, self._candidate_arrays
            else:
                self._back(columns, start)
        self._observe(columns, start, stop)
        cycle = self.learner.cycle(lines)
        made = _version(self.learner, stop)
        if self._accept is None:
            self.serving, verdict = made, Verdict.PUBLISH.value
        else:
            self._candidate, self._candidate_arrays = made, self.learner.to_arrays()
        return SliceEnd(start=start, stop=stop, verdict=verdict, cycle=cycle)

    def _back(self, columns: EventColumns, start: int) -> None:
        """To the serving version's weights; what was learned since waits to be learned again."""
        before = self.learner
        self.learner = Learner.from_arrays(
            self._serving_arrays, before.model.config, before.config, before.train_config
        )
        self._observe(columns, self.serving.trained_through, start)

    def _observe(self, columns: EventColumns, start: int, stop: int) -> None:
        for user, item, time_ms in in_order(columns.slice(start, stop)):
            self.learner.observe(columns.users[user], columns.items[item], time_ms)


def _version(learner: Learner, trained_through: int) -> Serving:
    model = copy.deepcopy(learner.model).requires_grad_(False).eval()
    return Serving(model, learner.items.catalogue(), learner.live(), trained_through)


def _rank(cosines_J: Vectors, open_J: Mask, seen: Sequence[int], item: int) -> float:
    """Rank of an item among the open ones that the user has not had."""
    if not open_J[item] or item in seen:
        return MISS
    own = cosines_J[item]
    higher_J, equal_J = (cosines_J > own) & open_J, (cosines_J == own) & open_J
    had = list(set(seen))
    higher = int(higher_J.sum()) - int(higher_J[had].sum())
    ties = int(equal_J.sum()) - int(equal_J[had].sum()) - 1
    return 1.0 + higher + ties / 2
