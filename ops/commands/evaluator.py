"""`hopstream evaluator`: what the lists were worth, judged by what users did next.

Knows: how the role's process starts and stops, how its report is printed.
Does not know: how events are judged (stream/evaluator.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ops import options


def evaluator(
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    models: Annotated[Path | None, typer.Option(help="Directory of published versions.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Snapshot and report.json.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Read to the ends as they stand, report, and end.")
    ] = False,
    ready_file: options.ReadyFile = None,
    as_json: options.Json = False,
) -> None:
    """Judge every list by its user's next event: recall, nDCG and MRR at 10 of every line, all-time and over
    the newest events, with intervals over users.

    Runs until SIGTERM or Ctrl-C; one evaluator reads all partitions. Figures go to DIR/report.json and the
    `quality` topic every few seconds; what is known survives a crash in DIR/snapshot. It commits how far the
    stream is judged, and the trainer reads no further.

    Exit status: 0 stopped, or all read with --once; 1 another evaluator has DIR or, with --once, an event
    judged a version that had been trained through it; 2 configuration; 3 no broker; 70 gave up on the broker
    or the disk (start it again).

    Example: hopstream evaluator --once --json
    """
    import logging  # imports here keep `--help` fast
    import os
    import signal

    from ops.broker import resolve_bootstrap
    from ops.exit_codes import CHECK_FAILED, INFRASTRUCTURE
    from stream.evaluator_app import build
    from stream.run_evaluator import EvaluatorGaveUp

    settings = options.settings_from(
        config, bootstrap, {"models": {"dir": models}, "evaluator": {"data_dir": data_dir}}
    )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("hopstream").setLevel(logging.INFO)
    role = build(settings, resolve_bootstrap(settings), ready_file)
    signal.signal(signal.SIGTERM, role.stop)
    signal.signal(signal.SIGINT, role.stop)
    status = 0
    try:
        report = role.run(until_end=once)
        typer.echo(told(report), err=as_json)
        if as_json:
            options.print_json(report)
        if once and report["overlap"]["events"]:
            status = CHECK_FAILED
    except EvaluatorGaveUp as error:
        logging.getLogger("hopstream.evaluator").error("%s", error)
        status = INFRASTRUCTURE
    except Exception:  # else threads of a client would keep the process
        logging.getLogger("hopstream.evaluator").exception("ended by an error of its own")
        status = INFRASTRUCTURE
    logging.shutdown()
    os._exit(status)  # leave no thread of a client behind


def overlap(found: dict[str, Any]) -> list[str]:
    """What is wrong with the separation of training and judging, a line each; nothing where it holds."""
    lines = []
    if found["events"]:
        lines.append(
            f"ERROR: {found['events']:,} events judged a version that had been trained through them: "
            f"{'; '.join(found['examples'])}."
        )
    if found["unchecked"]:
        lines.append(f"{found['unchecked']:,} events judged a version whose manifest cannot be read.")
    return lines


def told(report: dict[str, Any]) -> str:
    """The report for people."""
    judged = report["judged"]
    lines = [
        f"{judged['events']:,} events judged, {judged['without_list']:,} without a list, "
        f"{judged['late']:,} by a late one, {judged['waiting']:,} waiting.",
        *overlap(report["overlap"]),
    ]
    for scope, title in (("lines", "all time"), ("window", "window")):
        lines.append(f"{title}:")
        for name, figures in report[scope].items():
            low, high = figures["low"], figures["high"]
            band = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
            lines.append(
                f"  {name:14} recall@10 {figures['recall@10']:.4f}{band}  nDCG@10 {figures['ndcg@10']:.4f}  "
                f"MRR@10 {figures['mrr']:.4f}  ({figures['events']:,} events)"
            )
    return "\n".join(lines)
