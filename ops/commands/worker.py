"""`hopstream worker`: events in, state kept, requests out.

Knows: how the role's process starts and stops. Does not know: what it does with an event (stream/app.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops import options


def worker(
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    data_dir: Annotated[Path | None, typer.Option(help="State; every worker needs its own.")] = None,
    models: Annotated[Path | None, typer.Option(help="Directory of published versions.")] = None,
    ready_file: options.ReadyFile = None,
) -> None:
    """Cut each user's events into sessions, keep them in RocksDB and ask the scorer for lists.

    Runs until SIGTERM or Ctrl-C. Several workers share the partitions.

    Exit status: 0 stopped; 2 usage; 3 no broker; 70 gave up on the broker or after a pause (start it again).

    Example: hopstream worker --bootstrap 127.0.0.1:9092 --data-dir .hopstream/worker-1
    """
    from ops.broker import resolve_bootstrap  # imports here keep `--help` fast
    from stream.run_worker import run

    overrides = {"worker": {"data_dir": data_dir}, "models": {"dir": models}}
    settings = options.settings_from(config, bootstrap, overrides)
    run(settings, resolve_bootstrap(settings), ready_file)
