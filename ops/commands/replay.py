"""`hopstream replay`: a data set onto the events topic, at a chosen pace.

Knows: the verb's options and what it prints. Does not know: how events are sent (ops/replay.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ops import options

if TYPE_CHECKING:
    from ops.datasets.table import Dataset, EventTable
    from ops.pacing import Pacing
    from ops.replay import Progress
    from stream.settings import Settings


def replay(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="A data set's name, or a file, or a directory."),
    ] = None,
    simulated: Annotated[bool, typer.Option("--simulate", help="A made-up data set instead.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of --simulate.")] = 0,
    speed: Annotated[
        float | None, typer.Option(min=1e-6, help="The events' own clock, this many times faster.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=1e-3, help="So many events per second.")] = None,
    as_fast: Annotated[bool, typer.Option("--max", help="As fast as the broker acknowledges.")] = False,
    lockstep: Annotated[
        bool,
        typer.Option("--lockstep", help="Each event waits for the last one's list."),
    ] = False,
    start: Annotated[
        str, typer.Option("--from", metavar="POSITION", help="Row (5000), share (0.8) or ts=UNIX_MS.")
    ] = "0",
    end: Annotated[str | None, typer.Option("--to", metavar="POSITION", help="First row left out.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many events.")] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Load history: only each user's last event asks for a list.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out what already lies on the topic.")
    ] = False,
    clock: Annotated[
        str | None, typer.Option("--time-unit", metavar="s|ms", help="Unit of times in a CSV or TSV file.")
    ] = None,
    download: options.Download = True,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Send a data set's events to the events topic, in time order, never faster than acknowledged.

    Without --speed, --rate or --max the events go at 100 per second. Item records go first. Waits while the
    scorer is far behind. With --lockstep the lists are the same in every run; set worker.linger_ms and
    scorer.max_wait_ms to 0 for it. Ctrl-C stops cleanly; --resume goes on from there.

    Exit status: 0 sent, or stopped by Ctrl-C; 2 usage; 3 no broker; 4 no such data set.

    Example: hopstream replay ml-latest-small --from 0.8 --rate 200
    """
    from functools import partial

    from ops.broker import resolve_bootstrap
    from ops.lockstep import lockstep as in_lockstep
    from ops.processes import StopRequest
    from ops.rate_line import RateLine
    from ops.replay import replay as send
    from ops.replay import send_items
    from stream.admin import ensure_topics
    from stream.metrics.exposition import serve
    from stream.metrics.replay import ReplayMetrics
    from stream.topics import TopicNames

    _check(name, simulated, speed, rate, as_fast, clock)
    if lockstep and (backfill or as_fast or speed is not None or rate is not None):
        raise typer.BadParameter("--lockstep has no pace, and a backfill makes no lists to wait for")
    settings = options.settings_from(config, bootstrap)
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    metrics = ReplayMetrics()
    serve(metrics.registry, settings.metrics.host, settings.metrics.replay_port)

    def show(at: Progress) -> None:
        metrics.progress(at.acknowledged, at.total, at.seconds, at.event_ms / 1000, at.waiting)
        line.show(_told(at))

    with StopRequest() as stop, RateLine() as line:
        dataset = _dataset(name, simulated, seed, settings, clock, download, line.show)
        ensure_topics(address, names, settings.kafka.partitions)
        events, resumed = _chosen(dataset, start, end, limit, address if resume else None, names.events)
        num_items = 0 if resumed else send_items(dataset.items(), address, names)
        at_pace = partial(send, pacing=_pacing(events, speed, rate, as_fast), backfill=backfill)
        summary = (in_lockstep if lockstep else at_pace)(
            events,
            address,
            names,
            progress=show,
            stop=lambda: stop.asked,
        )
    typer.echo(
        f"{summary.events:,} events of {dataset.name} and {num_items:,} items in {summary.seconds:.1f} s: "
        f"{summary.per_s:,.0f} events/s" + (", stopped on request" if summary.stopped else ""),
        err=as_json,
    )
    if as_json:
        found = {"dataset": dataset.name, "items": num_items, "resumed": resumed, "dropped": dataset.dropped}
        options.print_json(found | summary.to_json())


def _check(
    name: str | None,
    simulated: bool,
    speed: float | None,
    rate: float | None,
    as_fast: bool,
    clock: str | None,
) -> None:
    if (name is None) != simulated:
        raise typer.BadParameter("name a data set or a file, or say --simulate")
    if (speed is not None) + (rate is not None) + as_fast > 1:
        raise typer.BadParameter("choose one of --speed, --rate and --max")
    if clock not in (None, "s", "ms"):
        raise typer.BadParameter(f"--time-unit is s or ms, not {clock}")


def _dataset(
    name: str | None,
    simulated: bool,
    seed: int,
    settings: Settings,
    clock: str | None,
    download: bool,
    show: Callable[[str], None],
) -> Dataset:
    from ops.datasets import open_dataset
    from ops.simulate import simulate

    if simulated or name is None:
        return simulate(seed).dataset
    return open_dataset(
        name,
        data_dir=settings.data.dir,
        cache_dir=settings.data.cache,
        download=download,
        progress=lambda done, total: show(_fetched(done, total)),
        report=lambda where, rows: show(f"{where}: {rows:,} rows read"),
        say=lambda text: print(text, file=sys.stderr),
        clock=clock,
    )


def _fetched(done: int, total: int | None) -> str:
    return f"{done / 1e6:.1f} MB" + (f" of {total / 1e6:.1f} MB" if total else "") + " fetched"


def _chosen(
    dataset: Dataset, start: str, end: str | None, limit: int | None, resume_at: str | None, topic: str
) -> tuple[EventTable, int]:
    """The events to send, and how many of the range already lie on the topic."""
    from ops.positions import row_at
    from ops.resume import newest_rows, remaining
    from stream.admin import existing

    times = dataset.events.time_ms
    first = row_at(start, times)
    last = len(times) if end is None else row_at(end, times)
    if limit is not None:
        last = min(last, first + limit)
    events = dataset.events.slice(first, max(first, last))
    if resume_at is None:
        return events, 0
    newest = newest_rows(events, resume_at, topic)
    missing = remaining(events, newest, existing(resume_at, [topic])[topic])
    return events.take(missing), len(events) - int(missing.sum())


def _pacing(events: EventTable, speed: float | None, rate: float | None, as_fast: bool) -> Pacing:
    from ops.pacing import OwnClock, Steady, Unpaced

    if as_fast:
        return Unpaced(len(events))
    return Steady(rate or 100.0) if speed is None else OwnClock(events.time_ms, speed)


def _told(at: Progress) -> str:
    from datetime import UTC, datetime

    day = datetime.fromtimestamp(at.event_ms / 1000, UTC)
    per_s = at.acknowledged / at.seconds if at.seconds else 0.0
    waiting = " · waiting for the scorer" if at.waiting else ""
    return (
        f"{at.acknowledged:,} of {at.total:,} events · {per_s:,.0f}/s · "
        f"at {day:%Y-%m-%d %H:%M} of their time{waiting}"
    )
