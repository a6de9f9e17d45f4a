"""`hopstream scorer`: requests in, recommendation lists out.

Knows: how the role's process starts and stops. Does not know: how a list is made (stream/scoring.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops import options


def scorer(
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    models: Annotated[Path | None, typer.Option(help="Directory of published versions.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; empty: as configured.")] = "",
    ready_file: Annotated[Path | None, typer.Option(help="Written once requests are answered.")] = None,
) -> None:
    """Answer each user's newest request with a ranked list, by the newest version that proved itself.

    Runs until SIGTERM or Ctrl-C. Several scorers share the partitions. Without a published version lists hold
    what is popular, labelled. Exit codes: 0 stopped, 2 configuration, 3 no broker, 70 gave up on the broker
    or a pause (start it again).

    Example: hopstream scorer --bootstrap 127.0.0.1:9092 --models .hopstream/models
    """
    import logging  # imports here keep `--help` fast
    import os
    import signal

    from ops.broker import resolve_bootstrap
    from ops.exit_codes import INFRASTRUCTURE
    from stream.confirming import ScorerGaveUp
    from stream.errors import BrokerUnreachable
    from stream.scorer_app import build

    overrides: dict[str, dict[str, object]] = {
        "models": {"dir": models},
        "scorer": {"device": device or None},
    }
    settings = options.settings_from(config, bootstrap, overrides)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("hopstream").setLevel(logging.INFO)
    role = build(settings, resolve_bootstrap(settings), ready_file)
    signal.signal(signal.SIGTERM, role.stop)
    signal.signal(signal.SIGINT, role.stop)
    status = 0
    try:
        role.run()
    except (ScorerGaveUp, BrokerUnreachable) as error:
        logging.getLogger("hopstream.scorer").error("%s", error)
        status = INFRASTRUCTURE
    logging.shutdown()
    os._exit(status)  # leave no thread of a client behind
