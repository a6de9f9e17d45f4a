"""`hopstream digest`: one line that says what the state and the lists are.

Knows: what is read and printed. Does not know: what a digest leaves out (stream/digest.py).
"""

from __future__ import annotations

import typer

from ops import exit_codes, options


def digest(
    config: options.Config = None, bootstrap: options.Bootstrap = None, as_json: options.Json = False
) -> None:
    """Digests of all users' states and of their newest lists, to compare two runs.

    The state is read from the worker's changelog and, beside it, added up anew from the events topic: the
    two must agree once the worker has caught up. Offsets, versions and themes leave no trace in it.

    Exit status: 0 stored and added up agree; 1 they differ (or the worker is still behind); 3 no broker.

    Example: hopstream digest --json
    """
    from ops.broker import resolve_bootstrap
    from ops.demo.ledger import balance
    from stream.digest import list_digest
    from stream.newest import newest_lists
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap)
    address = resolve_bootstrap(settings)
    ledger = balance(address, settings)
    lists = list_digest(newest_lists(address, TopicNames(settings.kafka.prefix)))
    if as_json:
        fields = {"state": ledger.stored, "expected": ledger.expected, "lists": lists}
        options.print_json(fields | {"users": ledger.users, "state_bytes": ledger.state_bytes})
    else:
        typer.echo(f"state {ledger.stored} ({ledger.users:,} users, {ledger.state_bytes:,} bytes)")
        typer.echo(f"lists {lists}")
        if not ledger.balanced:
            typer.echo(f"The events topic adds up to {ledger.expected}: the worker is behind, or damaged.")
    raise typer.Exit(exit_codes.OK if ledger.balanced else exit_codes.CHECK_FAILED)
