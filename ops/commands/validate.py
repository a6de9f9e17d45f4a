"""`hopstream validate`: is a data set fit for the stream?

Knows: the verb's options and exit status. Does not know: what is checked (ops/validate.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops import exit_codes, options


def validate(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A file, a directory or a data set's name.")
    ],
    clock: Annotated[
        str | None, typer.Option("--time-unit", metavar="s|ms", help="Unit of times in a CSV or TSV file.")
    ] = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Check order, types, duplicates, unknown items and malformed lines; describe sessions, suggest a gap.

    Sessions are cut by the data set's own gap if it has a name, else by the configured one.

    Exit status: 0 every check passed, 1 one failed, 2 not readable, 4 not found.

    Example: hopstream validate clicks.jsonl --json
    """
    from ops.datasets import open_dataset
    from ops.datasets.shelf import RECORDS
    from ops.rate_line import RateLine
    from ops.validate import json_lines_of, text
    from ops.validate import validate as check

    if clock not in (None, "s", "ms"):
        raise typer.BadParameter(f"--time-unit is s or ms, not {clock}")
    settings = options.settings_from(config)
    with RateLine() as line:
        dataset = open_dataset(
            name,
            data_dir=settings.data.dir,
            cache_dir=settings.data.cache,
            download=False,
            report=lambda where, rows: line.show(f"{where}: {rows:,} rows read"),
            clock=clock,
        )
    report = check(
        dataset,
        negative=frozenset(settings.events.negative),
        neutral=frozenset(settings.events.neutral),
        gap_ms=dataset.gap_ms if name in RECORDS else settings.sessions.gap_ms,
        max_events=settings.sessions.max_events,
        lines=None if name in RECORDS else json_lines_of(Path(name).expanduser()),
    )
    typer.echo(text(report), err=as_json)
    if as_json:
        options.print_json(report.to_json())
    if not report.passed:
        raise typer.Exit(exit_codes.CHECK_FAILED)
