"""`hopstream demo`: everything at once, on real events.

Knows: the verb's options, where the data come from, what is printed.
Does not know: the phases (ops/demo/run.py).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops import options

if TYPE_CHECKING:
    from ops.demo.run import Plan
    from stream.settings import Settings

#: Clicks per second where no pace is given: fast enough to watch, slow enough to read.
DEFAULT_RATE = 30.0
DEFAULT_DATASET = "ml-100k"


def demo(
    dataset: Annotated[str, typer.Option(help="A data set's name, or a file.")] = DEFAULT_DATASET,
    simulated: Annotated[bool, typer.Option("--simulate", help="A made-up data set instead.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulator and of training.")] = 0,
    events: Annotated[int | None, typer.Option(min=1, help="Replay at most so many events.")] = None,
    rate: Annotated[float | None, typer.Option(min=1e-3, help="Clicks per second; default 30.")] = None,
    speed: Annotated[
        float | None, typer.Option(min=1e-6, help="The events' own clock, so much faster.")
    ] = None,
    as_fast: Annotated[bool, typer.Option("--max", help="As fast as the broker acknowledges.")] = False,
    lockstep: Annotated[
        bool,
        typer.Option("--lockstep", help="Each event waits for the last one's list."),
    ] = False,
    warm_s: Annotated[int, typer.Option("--warm-start", min=1, help="Seconds to train version 1.")] = 45,
    folder: Annotated[Path, typer.Option(help="Run folder; a demo's is emptied.")] = Path(".hopstream/demo"),
    headless: Annotated[bool, typer.Option(help="No live display.")] = False,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Start broker, worker, scorer and server, train a first version, replay clicks, watch the lists change.

    Nothing has to run before; nothing is left running after. The last fifth of the data set is replayed.

    Exit status: 0 all events and lists are explained; 1 something does not add up; 2 usage; 3 no broker;
    70 a role could not be kept up.

    Example: hopstream demo --headless --dataset ml-100k --events 5000 --json
    """
    from dataclasses import replace

    from ops import exit_codes
    from ops.demo.report import summary
    from ops.demo.run import fresh_folder, run
    from ops.demo.told import Told
    from ops.errors import StopAsked
    from ops.processes import StopRequest
    from ops.rate_line import RateLine
    from ops.status import Status
    from ops.supervisor import Supervisor

    if (speed is not None) + (rate is not None) + as_fast + lockstep > 1:
        raise typer.BadParameter("choose one of --speed, --rate, --max and --lockstep")
    settings = options.settings_from(None, bootstrap)
    folder = folder.resolve()
    fresh_folder(folder)
    with StopRequest() as stop, RateLine() as line:
        show = (lambda _: None) if headless else line.show
        say = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
        plan = _plan(dataset, simulated, seed, settings, folder, say, (rate, speed, as_fast), events, warm_s)
        plan = replace(plan, lockstep=lockstep)
        about = Status(
            dataset=plan.dataset.name,
            licence=plan.dataset.licence,
            pace=_pace_text(rate, speed, as_fast, lockstep),
        )
        told = Told(say=say, show=show, file=folder / "status.json", status=about)
        try:
            with Supervisor(folder, stop_asked=lambda: stop.asked) as supervisor:
                told.say(f"[demo] everything the roles say: {folder / 'roles.log'}")
                found = run(plan, supervisor, told)
        except StopAsked:
            told.say("[demo] stopped; no process is left running")
            raise typer.Exit(exit_codes.OK) from None
    typer.echo(summary(found), err=as_json)
    if as_json:
        options.print_json(found)
    raise typer.Exit(exit_codes.CHECK_FAILED if found["unexplained"] else exit_codes.OK)


def _plan(
    name: str,
    simulated: bool,
    seed: int,
    settings: Settings,
    folder: Path,
    say: Any,
    pace: tuple[float | None, float | None, bool],
    events: int | None,
    warm_s: int,
) -> Plan:
    from ops.datasets import open_dataset
    from ops.datasets.errors import DatasetMissing
    from ops.demo.run import Plan
    from ops.download import DownloadFailed
    from ops.pacing import OwnClock, Steady, Unpaced

    found = None
    if not simulated:
        try:
            found = open_dataset(name, data_dir=settings.data.dir, cache_dir=settings.data.cache, say=say)
        except (DatasetMissing, DownloadFailed) as error:
            if name != DEFAULT_DATASET:
                raise
            say(f"[data] {error}\n[data] so the clicks of this demo are SIMULATED")
    if found is None:
        from ops.demo.simulated import written

        found, name = written(seed, folder)
    say(f"[data] {found.name}: {len(found.events):,} events. {found.licence}")
    rate, speed, as_fast = pace

    def pacing(table: Any) -> Any:
        if as_fast:
            return Unpaced(len(table))
        if speed is not None:
            return OwnClock(table.time_ms, speed)
        return Steady(rate or DEFAULT_RATE)

    return Plan(
        dataset=found,
        train_source=name,
        pacing=pacing,
        limit=events,
        warm_s=warm_s,
        seed=seed,
        folder=folder,
        bootstrap=settings.kafka.bootstrap,
    )


def _pace_text(rate: float | None, speed: float | None, as_fast: bool, lockstep: bool) -> str:
    if lockstep:
        return "each click waits for the last one's list"
    if as_fast:
        return "as fast as the broker acknowledges"
    return f"{speed:g} times the data's own clock" if speed else f"{rate or DEFAULT_RATE:g} clicks/s"
