"""The lines of weights that learn from the stream, as runs of a table: reference, departures, gated or not.

Knows: the names of these lines, the syntax of departures, which data sets are cut into even slices.
Does not know: how weights learn (model/online.py), options, what is printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from model.backbone import Backbone
from model.config import TrainConfig
from model.finetune import TuneConfig
from model.metrics import recall_at
from model.old_slice import OldSlice
from model.online import Online, OnlineConfig, online, slice_stops
from model.online_gate import StreamGate
from model.prequential import Choices
from model.provisional import ProvisionalConfig
from model.stages import Answered, Stage
from model.sums import WEIGHTS
from ops.evaluation.naming import ModelNameInvalid
from ops.evaluation.records import Run
from ops.evaluation.running import Say, Table, judged

#: Lines of one pass by their names in the protocol; the twin is the network's own line.
LINES = {
    "model": "{} learning",
    "model + rows": "{} learning + rows",
    "served": "{} learning + rows + memory",
}
#: Data sets whose stream is cut into 20 even slices; the others end one every 2,000 events.
EVEN = ("yelp2020-ticoserec",)


@dataclass(frozen=True, slots=True)
class Learning:
    """One way to learn from the stream."""

    name: str  # as typed; empty for the reference
    config: OnlineConfig
    gated: bool

    def model(self, line: str, network: str) -> str:
        """What a line of it is called."""
        how = [self.name] * bool(self.name) + ["gated"] * self.gated
        return LINES[line].format(network) + (f" ({', '.join(how)})" if how else "")


def parse_learning(text: str, gated: bool) -> list[Learning]:
    """`reference;distil=0.8;item_rows=touched,lr=0.0003`: ways parted by semicolons, each with departures.

    Raises ModelNameInvalid for an unknown field or a value of another type.
    """
    return [_parse(part.strip(), gated) for part in text.split(";")]


def learning_runs(
    table: Table,
    stage: Stage,
    model: Backbone,
    blank: Run,
    train: TrainConfig,
    choices: Choices,
    way: Learning,
    cut: int,
    say: Say,
) -> Iterator[Run]:
    """The lines of one pass."""
    config = replace(way.config, tune=replace(way.config.tune, seed=blank.seed))
    gate = StreamGate(table.columns, choices, table.filter_seen) if way.gated else None
    old, recalls = OldSlice(table.columns, cut, stage.catalogue, table.filter_seen), list[float]()
    wall_s, cpu_s = time.monotonic(), time.process_time()
    ran = online(
        model,
        stage.catalogue,
        table.columns,
        cut,
        stops_of(table, cut),
        choices,
        config,
        train,
        table.filter_seen,
        gate,
        lambda done, of: say(f"{way.model('model', blank.model)} seed {blank.seed} · slice {done} of {of}"),
        lambda serving: recalls.append(old.recall(serving.model)),
    )
    spent = replace(
        blank,
        minutes=(time.monotonic() - wall_s) / 60,
        cpu_minutes=(time.process_time() - cpu_s) / 60,
        notes={**asdict(choices), "online": config.to_json(), **_notes(ran, gate)},
    )
    for line in LINES:
        one = replace(spent, model=way.model(line, blank.model))
        if line == "model":
            one = replace(
                one, notes={**one.notes, "old slice": {"moments": old.moments, "recall@10": recalls}}
            )
        yield judged(one, stage, Answered(ranks_E=ran.lines[line], lists=None))


def stops_of(table: Table, cut: int) -> list[int]:
    return slice_stops(len(table.columns), cut, table.dataset in EVEN)


def _notes(ran: Online, gate: StreamGate | None) -> dict[str, Any]:
    fixed = zip(WEIGHTS, ran.served.fixed_WE, strict=True)
    return {
        "recall@10 by fixed weight": {
            str(weight): float(recall_at(ranks_E, 10).mean()) for weight, ranks_E in fixed
        },
        "slices": [asdict(end) for end in ran.ends],
        "gate": [] if gate is None else [decision.to_json() for decision in gate.decisions],
    }


def _parse(text: str, gated: bool) -> Learning:
    known: dict[str, Any] = {
        **{one.name: one.default for one in fields(TuneConfig) if one.name != "seed"},
        **{one.name: one.default for one in fields(ProvisionalConfig)},
    }
    config = OnlineConfig()
    if text in ("", "reference"):
        return Learning("", config, gated)
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in known:
            raise ModelNameInvalid(f"learning has no field {name!r}; there are {', '.join(known)}")
        like = 0 if known[name] is None else known[name]
        try:
            changed: dict[str, Any] = {name: type(like)(value)}
            if name in {one.name for one in fields(TuneConfig)}:
                config = replace(config, tune=replace(config.tune, **changed))
            else:
                config = replace(config, rows=replace(config.rows, **changed))
        except ValueError as error:
            raise ModelNameInvalid(f"learning: {part!r} is no value for {name}: {error}") from None
    return Learning(text, config, gated)
