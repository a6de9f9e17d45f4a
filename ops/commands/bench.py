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


def _gpu() -> Report:
    from ops.bench import gpu

    return gpu.run()


def _no_gpu() -> str | None:
    from ops.bench import gpu

    return gpu.why_not()


def _http() -> Report:
    from ops.bench import http

    return http.run()


def _replay() -> Report:
    from ops.bench import replay

    return replay.run()


def _swap() -> Report:
    from ops.bench import swap

    return swap.run()


def _train() -> Report:
    from ops.bench import train

    return train.run()


def _worker() -> Report:
    from ops.bench import worker

    return worker.run()


#: Name → how to run it; the import is inside.
BENCHES: dict[str, Callable[[], Report]] = {
    "encode": _encode,
    "gpu": _gpu,
    "http": _http,
    "replay": _replay,
    "swap": _swap,
    "train": _train,
    "worker": _worker,
}

#: Name → why it cannot run on this machine, or None.
NEEDS: dict[str, Callable[[], str | None]] = {"gpu": _no_gpu}
#: Benchmarks whose bars are about answers, not speed: missing one is a failed check.
CHECKS = frozenset({"gpu"})


def bench(
    name: Annotated[str, typer.Argument(help=f"What to measure: {', '.join(BENCHES)}.")],
    as_json: options.Json = False,
) -> None:
    """Run one benchmark: a table, and with --json one line that names machine, versions and seed.

    A benchmark that needs a device which is not here says so and measures nothing. Exit codes: 0 measured,
    1 gpu: the devices' answers differ, 2 no such benchmark, 4 gpu: no CUDA device.

    Example: hopstream bench encode --json
    """
    if name not in BENCHES:
        typer.echo(f"hopstream: no benchmark is called {name!r}; choose from {', '.join(BENCHES)}", err=True)
        raise typer.Exit(exit_codes.USAGE)
    reason = NEEDS[name]() if name in NEEDS else None
    if reason is not None:
        print(f"bench {name} was skipped: {reason}")
        if as_json:
            options.print_json({"bench": name, "skipped": True, "reason": reason})
        raise typer.Exit(exit_codes.NOT_FOUND)
    report = BENCHES[name]()
    print(report.table())
    if as_json:
        options.print_json(report.to_json())
    if name in CHECKS and not all(bar.met for bar in report.bars):
        raise typer.Exit(exit_codes.CHECK_FAILED)
