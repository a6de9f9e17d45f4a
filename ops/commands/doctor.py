"""`hopstream doctor`: is this machine ready, and if not, what to do.

Knows: how findings are shown. Does not know: what is looked at (ops/doctor.py).
"""

from __future__ import annotations

import typer

from ops import exit_codes, options

#: Colours of the levels, by their value.
COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def doctor(
    config: options.Config = None, bootstrap: options.Bootstrap = None, as_json: options.Json = False
) -> None:
    """Look at everything a run needs; exit status 1 if something does not work.

    Example: hopstream doctor --json
    """
    from ops.doctor import Level, examine

    findings = examine(options.settings_from(config, bootstrap))
    failed = [finding for finding in findings if finding.level is Level.FAIL]
    if as_json:
        rows = [
            {"name": each.name, "level": each.level.value, "found": each.found, "advice": each.advice}
            for each in findings
        ]
        options.print_json({"ok": not failed, "findings": rows})
    else:
        for each in findings:
            typer.secho(f"{each.level.value:4} ", fg=COLOURS[each.level.value], nl=False)
            typer.echo(f"{each.name:9} {each.found}" + (f" → {each.advice}" if each.advice else ""))
    if failed:
        raise typer.Exit(exit_codes.CHECK_FAILED)
