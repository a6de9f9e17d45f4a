"""How many events per second reach a broker on this machine, each acknowledged.

Knows: a broker of its own, simulated events. Does not know: workers, scorers.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ops.bench.harness import Bar, Case, Report, row, side_by_side
from ops.broker import Broker
from ops.datasets.table import EventTable
from ops.pacing import Unpaced
from ops.replay import replay
from ops.simulate import simulate
from stream.admin import ensure_topics
from stream.topics import TopicNames

SEED = 0
EVENTS = 100_000
PARTITIONS = 4
WARMUPS = 1
REPEATS = 5
#: Promised beside the broker on two cores.
EVENTS_PER_S = 20_000


def run() -> Report:
    """Start a broker, replay to it, stop it; about half a minute."""
    events = simulate(SEED, events=EVENTS).dataset.events
    with tempfile.TemporaryDirectory() as directory, Broker(Path(directory) / "kafka") as broker:
        names = TopicNames("bench.")
        ensure_topics(broker.bootstrap, names, PARTITIONS)
        cases: dict[str, Case] = {
            "replay": lambda: lambda: _sent(events, broker.bootstrap, names, backfill=False),
            "replay, backfill": lambda: lambda: _sent(events, broker.bootstrap, names, backfill=True),
        }
        samples = side_by_side(cases, warmups=WARMUPS, repeats=REPEATS)
    rows = [row(name, measured, EVENTS) for name, measured in samples.items()]
    return Report(
        bench="replay",
        seed=SEED,
        rows=rows,
        bars=[
            Bar(
                name="events per second, all acknowledged",
                value=EVENTS / (rows[0].wall_ms / 1000),
                at_least=EVENTS_PER_S,
            )
        ],
        notes={"events": EVENTS, "partitions": PARTITIONS},
    )


def _sent(events: EventTable, bootstrap: str, names: TopicNames, *, backfill: bool) -> None:
    summary = replay(events, bootstrap, names, Unpaced(len(events)), backfill=backfill)
    assert summary.events == EVENTS
