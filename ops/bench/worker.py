"""How many events per second a worker takes, beside a bare Faust loop that does the same writes.

Knows: a broker of its own, both loops as processes, the timestamps of their requests.
Does not know: what either loop does with an event.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from ops.bench.harness import Bar, Report, Sample, row
from ops.broker import Broker
from ops.pacing import Unpaced
from ops.replay import replay
from ops.simulate import simulate
from stream.admin import end_offsets, ensure_topics
from stream.clients import read_all
from stream.topics import TopicNames

SEED = 0
EVENTS = 20_000
PARTITIONS = 4
LINGER_MS = 50  # throughput before latency; the default, 5 ms, answers a click sooner
REPEATS = 3
TIMEOUT_S = 240.0
#: Of the bare loop's rate, in the same run.
SHARE = 0.6


def run() -> Report:
    """Both loops in turn, each on topics of its own; a few minutes."""
    events = simulate(SEED, events=EVENTS).dataset.events
    samples: dict[str, list[Sample]] = {"bare Faust loop, 3 KB requests": [], "worker": []}
    with tempfile.TemporaryDirectory() as directory, Broker(Path(directory) / "kafka", heap_mb=512) as broker:
        for turn in range(REPEATS):
            for name, measured in samples.items():
                names = TopicNames(f"{'bare' if name.startswith('bare') else 'ours'}{turn}.")
                ensure_topics(broker.bootstrap, names, PARTITIONS)
                replay(events, broker.bootstrap, names, Unpaced(EVENTS), lag=lambda: 0)
                measured.append(_measured(broker.bootstrap, names, Path(directory) / names.prefix))
    rows = [row(name, measured, EVENTS) for name, measured in samples.items()]
    return Report(
        bench="worker",
        seed=SEED,
        rows=rows,
        bars=[
            Bar(
                name="rate, share of the bare loop's", value=rows[0].wall_ms / rows[1].wall_ms, at_least=SHARE
            )
        ],
        notes={
            "events": EVENTS,
            "partitions": PARTITIONS,
            "linger_ms": LINGER_MS,
            "events_per_s": {one.name: round(EVENTS / one.wall_ms * 1000) for one in rows},
        },
    )


def _measured(bootstrap: str, names: TopicNames, folder: Path) -> Sample:
    """One loop from start to the last request; wall time by the requests' own timestamps."""
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(bootstrap, names, folder),
            env=_environment(bootstrap, names, folder),
            stdout=log,
            stderr=log,
        )
    try:
        ends_s = time.monotonic() + TIMEOUT_S
        while sum(end_offsets(bootstrap, names.requests).values()) < EVENTS:
            if process.poll() is not None or time.monotonic() > ends_s:
                raise RuntimeError(f"The loop did not finish:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.5)
        used = psutil.Process(process.pid).cpu_times()
    finally:
        process.terminate()
        process.wait()
    written = sorted(record.timestamp for record in read_all(bootstrap, names.requests))
    middle = written[EVENTS // 10 : EVENTS - EVENTS // 10]  # without start and end
    wall_s = (middle[-1] - middle[0]) / 1000 * EVENTS / len(middle)
    return Sample(wall_s=wall_s, cpu_s=used.user + used.system)


def _command(bootstrap: str, names: TopicNames, folder: Path) -> list[str]:
    if names.prefix.startswith("bare"):
        arguments = [bootstrap, names.prefix, str(folder / "data"), str(LINGER_MS), str(PARTITIONS)]
        return [sys.executable, "-m", "ops.bench.bare_worker", *arguments]
    return [sys.executable, "-m", "ops.cli", "worker"]


def _environment(bootstrap: str, names: TopicNames, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOPSTREAM_KAFKA__BOOTSTRAP": bootstrap,
        "HOPSTREAM_KAFKA__PREFIX": names.prefix,
        "HOPSTREAM_KAFKA__PARTITIONS": str(PARTITIONS),
        "HOPSTREAM_WORKER__DATA_DIR": str(folder / "data"),
        "HOPSTREAM_WORKER__LINGER_MS": str(LINGER_MS),
        "HOPSTREAM_MODELS__DIR": str(folder / "models"),
    }
