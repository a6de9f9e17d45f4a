"""Options that several verbs share, and the settings they lead to.

Knows: names and help of `--config`, `--bootstrap`, `--json`, `--ready-file`; how they override settings.
Does not know: verbs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # pydantic is slow to import, and --help needs none of it
    from stream.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Settings file; default: hopstream.toml here, if there is one."
    ),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Broker to speak to; default: the one `hopstream broker` started.",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Looked in first for the data set.")
]
Download = Annotated[
    bool,
    typer.Option(
        "--download/--no-download", help="Fetch a data set that is not on this machine from its publisher."
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="MOMENT",
        help="As of then: an offset of events, ts=UNIX_MS, last=DURATION or latest.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The last line of standard output is one JSON object.")]
ReadyFile = Annotated[
    Path | None,
    typer.Option("--ready-file", metavar="PATH", help="Written once this process is ready."),
]


def settings_from(
    config: Path | None,
    bootstrap: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Settings of file, environment and options, the later ones winning; a None in ``overrides`` is not one.

    Raises SettingsInvalid.
    """
    from stream.settings import load

    sections = {"kafka": {"bootstrap": bootstrap}}
    for section, keys in (overrides or {}).items():
        sections[section] = {**sections.get(section, {}), **keys}
    given = {
        section: {key: value for key, value in keys.items() if value is not None}
        for section, keys in sections.items()
    }
    return load(config, given)


def print_json(fields: Mapping[str, Any]) -> None:
    """One line for scripts: the last line of standard output."""
    print(json.dumps(fields, default=str), flush=True)


def mark_ready(ready_file: Path | None) -> None:
    """Tell whoever waits that this process is ready."""
    if ready_file is not None:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        ready_file.write_text("ready\n")
