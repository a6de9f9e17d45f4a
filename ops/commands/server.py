"""`hopstream server`: the HTTP API.

Knows: the verb's options, how the process ends. Does not know: what is served (ops/server/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops import options


def server(
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    models: Annotated[Path | None, typer.Option(help="Directory of published versions.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 8080; 0 takes a free one.")
    ] = None,
    ready_file: options.ReadyFile = None,
    status_file: Annotated[
        Path | None, typer.Option(help="Where a demo says how far it is; shown on the page.")
    ] = None,
) -> None:
    """Serve the live page and lists over HTTP from a local view of the topics: http://127.0.0.1:8080.

    Runs until SIGTERM or Ctrl-C. It starts without a broker too, and says at /health/ready what is missing.
    Exit codes: 0 stopped, 2 configuration or a busy port.

    Example: hopstream server --port 8080 --bootstrap 127.0.0.1:9092
    """
    import logging  # imports here keep `--help` fast
    import os

    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before numpy: a product of one list is not worth a second core

    from ops.broker import resolve_bootstrap
    from ops.server.run import run

    settings = options.settings_from(
        config, bootstrap, {"models": {"dir": models}, "server": {"host": host, "port": port}}
    )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("hopstream").setLevel(logging.INFO)
    run(settings, resolve_bootstrap(settings), ready_file, status_file)
    logging.shutdown()
    os._exit(0)  # leave no thread of a client behind
