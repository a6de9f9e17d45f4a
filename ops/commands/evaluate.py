"""`hopstream evaluate`: networks and baselines by one protocol, one metric, one table.

Knows: the verb's options and what it prints. Does not know: how events are cut, how a network is trained.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops import options
from ops.evaluation.choices import Protocol, Seen

if TYPE_CHECKING:
    from model.stages import Stage
    from ops.evaluation.records import Run
    from ops.evaluation.running import Table
    from ops.simulate import World


def evaluate(
    dataset: Annotated[
        str | None, typer.Argument(metavar="[DATASET]", help="A data set's name, or a file.")
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="loo: each user's last event; time: all after one moment; prequential: the last fifth; "
            "mos: the same, variants of MoS over each model."
        ),
    ] = Protocol.LOO,
    models: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Like sasrec,fuxi-mme:streams=2,experts=1; the first is the reference. With members=4 (loo, "
            "time) four are trained apart, seeds 1000 apart, and their mean score ranks.",
        ),
    ] = "sasrec,fuxi-mme",
    simulated: Annotated[bool, typer.Option("--simulate", help="A made-up data set instead.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Each model is trained with seeds 0, 1, ...")] = 1,
    seen: Annotated[
        Seen | None,
        typer.Option(help="Items that the user had: left out or not; default: the data set's way."),
    ] = None,
    refit: Annotated[
        bool,
        typer.Option(help="loo and time: also variant B, again from nothing, with the validation events."),
    ] = True,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="prequential: networks stay as they are; the counters learn.")
    ] = False,
    learning: Annotated[
        str,
        typer.Option(
            metavar="WAYS", help="prequential: like 'reference;distil=0.8;item_rows=touched', each its lines."
        ),
    ] = "reference",
    gated: Annotated[
        bool,
        typer.Option("--gated", help="prequential: the reference also through the gate."),
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Each finished run becomes a line here; what is here is not repeated."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of each training run.")] = 1,
    data_dir: options.DataDir = None,
    download: options.Download = True,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Train models and judge them by one protocol: a table, and with --json one line. Needs no broker.

    Exit status: 0 done; 1 too few events; 2 usage; 4 no such data set.

    Example: hopstream evaluate amazon-beauty-5core --protocol loo --models sasrec,fuxi --results runs.jsonl
    """
    # OpenMP reads this when torch is imported: threads that spin while they wait take the cores from others
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ops.datasets import open_dataset
    from ops.evaluation.impressions import impressions_of
    from ops.evaluation.mos_printing import mos_table
    from ops.evaluation.mos_summary import mos_summary_of
    from ops.evaluation.naming import parse, refuse_members
    from ops.evaluation.printing import run_line, table
    from ops.evaluation.running import Table
    from ops.evaluation.summary import summary_of
    from ops.simulate import simulate

    if (dataset is None) != simulated:
        raise typer.BadParameter("name a data set or a file, or say --simulate")
    settings = options.settings_from(config, overrides={"data": {"dir": data_dir}})
    named = parse(models)
    if protocol in (Protocol.PREQUENTIAL, Protocol.MOS):
        refuse_members(named, protocol.value)
    world = simulate(0) if dataset is None else None
    found = (
        world.dataset
        if world is not None
        else open_dataset(
            str(dataset),
            data_dir=settings.data.dir,
            cache_dir=settings.data.cache,
            download=download,
            say=lambda text: print(text, file=sys.stderr),
        )
    )
    unwanted = settings.events.negative, settings.events.neutral
    asked = Table(
        dataset=found.name,
        columns=found.events.positives(*unwanted),
        gap_ms=found.gap_ms,
        protocol=protocol,
        models=named,
        seeds=seeds,
        filter_seen=found.filter_seen if seen is None else seen is Seen.FILTER,
        refit=refit,
        threads=threads,
        impressions=impressions_of(found.events, *unwanted),
        results=results,
        learning=[] if frozen else [(learning, False), *([("reference", True)] if gated else [])],
    )
    finished = []
    with _progress() as say:
        for run, stage in _made(asked, world, say):
            finished.append((run, stage))
            print(run_line(run), flush=True)
    if protocol is Protocol.MOS:
        compared = mos_summary_of(finished)
        print(f"\n{mos_table(compared)}")
        told = compared.to_json()
    else:
        summary = summary_of(finished, [str(one) for one in named])
        print(f"\n{table(summary)}")
        told = summary.to_json()
    if as_json:
        options.print_json(told)


def _made(asked: Table, world: World | None, say: Callable[[str], None]) -> Iterator[tuple[Run, Stage]]:
    """Runs of the table's protocol; themes are known in a made-up world."""
    from ops.evaluation.mos import mos_runs
    from ops.evaluation.running import runs
    from ops.evaluation.streaming import stream_runs

    if asked.protocol is Protocol.MOS:
        truth = None if world is None else world.session_theme[world.event_session]
        return mos_runs(asked, truth, say)
    return stream_runs(asked, say) if asked.protocol is Protocol.PREQUENTIAL else runs(asked, say)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error: rewritten on a terminal, one per epoch elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("cutting the events") as status:

        def say(line: str) -> None:
            status.update(line)
            if not console.is_terminal:
                console.print(line, highlight=False, soft_wrap=True)

        yield say
