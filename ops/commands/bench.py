"""`hopstream bench`: measure this machine.

Knows: the names of benchmarks. Does not know: what they measure (ops/bench/, one file each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ops import exit_codes, options

if TYPE_CHECKING:  # torch is slow to import, and --help needs none of it
    from ops.bench.harness import Report


def _encode() -> Report:
    from ops.bench import encode

    return encode.run()


def _replay() -> Report:
    from ops.bench import replay

    return replay.run()


def _train() -> Report:
    from ops.bench import train

    return train.run()


def _worker() -> Report:
    from ops.bench import worker

    return worker.run()


#: Name → how to run it; the import is inside.
BENCHES: dict[str, Callable[[], Report]] = {
    "encode": _encode,
    "replay": _replay,
    "train": _train,
    "worker": _worker,
}


def bench(
    name: Annotated[str, typer.Argument(help=f"What to measure: {', '.join(BENCHES)}.")],
    as_json: options.Json = False,
) -> None:
    """Run one benchmark: a table, and with --json one line that names machine, versions and seed.

    Example: hopstream bench encode --json
    """
    if name not in BENCHES:
        typer.echo(f"hopstream: no benchmark is called {name!r}; choose from {', '.join(BENCHES)}", err=True)
        raise typer.Exit(exit_codes.USAGE)
    report = BENCHES[name]()
    print(report.table())
    if as_json:
        options.print_json(report.to_json())
