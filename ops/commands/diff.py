"""`hopstream diff USER --at A --at B`: what changed for a user between two moments, and why.

Knows: the verb's options. Does not know: how moments are rebuilt and compared (ops/portraits/).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ops import options


def diff(
    name: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    at: Annotated[
        list[str],
        typer.Option(
            metavar="MOMENT", help="Twice: an offset of events, ts=UNIX_MS, last=DURATION or latest."
        ),
    ],
    models: Annotated[
        Path | None, typer.Option("--models", metavar="DIR", help="Published versions; default: models.dir.")
    ] = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """What changed for a user between two moments, and why: events, theme, version; items that left the list
    and items that entered it.

    Exit status: 0 shown; 2 usage; 3 no broker; 4 no such user by one of the moments.

    Example: hopstream diff 42 --at last=1h --at latest
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: waiting threads must not spin
    if len(at) != 2:
        raise typer.BadParameter("say --at twice: before and after")
    from ops.broker import resolve_bootstrap
    from ops.portraits.change import changes, show
    from ops.portraits.then import rebuilt
    from ops.titles import titles_of
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap, {"models": {"dir": models}})
    address = resolve_bootstrap(settings)
    before, after = (rebuilt(settings, address, name, moment) for moment in at)
    found = {"user": name, **changes(before, after)}
    if as_json:
        options.print_json(found)
        return
    items = {entry["item"] for part in ("events", "left", "entered") for entry in found[part]}
    show(found, titles_of(address, TopicNames(settings.kafka.prefix), items))
