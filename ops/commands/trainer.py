"""`hopstream trainer`: versions that learn from the stream, published through the gate.

Knows: how the role's process starts and stops, what it prints. Does not know: how a version is made
(stream/trainer.py) or decided on (model/gate.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ops import options


def trainer(
    every: Annotated[
        str | None, typer.Option(metavar="N|TIME", help="A cycle: so many events (2000), or time (10m).")
    ] = None,
    clock: Annotated[
        str | None, typer.Option(metavar="event|wall", help="Which time that is: the events' own, or ours.")
    ] = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    models: Annotated[Path | None, typer.Option(help="Directory of published versions.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Snapshot, plan and report.json.")
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Carry out the cycles that are due of what is judged by now, and end."),
    ] = False,
    ready_file: options.ReadyFile = None,
    as_json: options.Json = False,
) -> None:
    """Fine-tune what serves on the newest judged events, cycle by cycle; publish what the gate lets pass, and
    go back to the version before if a published one turns out worse.

    Runs until SIGTERM or Ctrl-C, and waits while there is no version (`hopstream train` publishes one). It
    reads no further than the evaluator has judged, or the worker has applied where no evaluator ever ran. One
    line a cycle on the error stream; with --json also one object a cycle on standard output. What is learned
    survives kill -9 in DIR/snapshot.

    Exit status: 0 stopped, or all done with --once; 1 another trainer has DIR; 2 configuration; 3 no broker;
    70 gave up on the broker or the disk (start it again).

    Example: hopstream trainer --every 2000 --json
    """
    import logging  # imports here keep `--help` fast
    import os
    import signal

    settings = options.settings_from(
        config,
        bootstrap,
        {"models": {"dir": models}, "trainer": {"data_dir": data_dir, "every": every, "clock": clock}},
    )
    # read when torch is imported; threads that spin while they wait would take the cores from the scorer
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.trainer.threads))
    from ops.broker import resolve_bootstrap
    from ops.exit_codes import INFRASTRUCTURE
    from stream.run_trainer import TrainerGaveUp
    from stream.trainer_app import build

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("hopstream").setLevel(logging.INFO)

    def tell(told: Any) -> None:
        if as_json:
            options.print_json(told.to_json())

    role = build(settings, resolve_bootstrap(settings), ready_file, tell)
    signal.signal(signal.SIGTERM, role.stop)
    signal.signal(signal.SIGINT, role.stop)
    status = 0
    try:
        found = role.run(until_end=once)
        typer.echo(summary(found), err=True)
    except TrainerGaveUp as error:
        logging.getLogger("hopstream.trainer").error("%s", error)
        status = INFRASTRUCTURE
    except Exception:  # else threads of a client would keep the process
        logging.getLogger("hopstream.trainer").exception("ended by an error of its own")
        status = INFRASTRUCTURE
    logging.shutdown()
    os._exit(status)  # leave no thread of a client behind


def summary(found: dict[str, Any]) -> str:
    """What all cycles came to, for people."""
    counts = ", ".join(
        f"{found[name]} {told}"
        for name, told in (
            ("published", "published"),
            ("rejected", "rejected"),
            ("kept", "undecided"),
            ("waited", "with too little to decide"),
            ("rolled_back", "rolled back"),
        )
    )
    serves = found["serving"] or "nothing"
    return f"{found['cycles']:,} cycles over {found['events']:,} events: {counts}; {serves} serves."
