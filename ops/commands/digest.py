"""`hopstream digest`: one line that says what the state and the lists are.

Knows: what is read and printed. Does not know: what a digest leaves out (stream/digest.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ops import exit_codes, options

if TYPE_CHECKING:
    from stream.settings import Settings


def digest(
    at: options.At = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Digests of all users' states and of their newest lists, to compare two runs.

    The state is read from the worker's changelog and, beside it, added up anew from the events topic: the
    two must agree once the worker has caught up. Offsets, versions and themes leave no trace in it.

    With --at the state is added up to that moment, and the lists are those that lay there then; lists are
    compacted after a day, so digests of older moments can be compared for the state only.

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
    if at is not None:
        _print_then(at, settings, address, as_json)
        return
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


def _print_then(at: str, settings: Settings, address: str, as_json: bool) -> None:
    import time

    from ops.past import lists_then, states_then
    from stream.digest import list_digest, state_digest
    from stream.history import Rules
    from stream.moment import moment
    from stream.topics import TopicNames

    then, names = moment(at, time.time_ns() // 10**6), TopicNames(settings.kafka.prefix)
    states = states_then(address, names, Rules.of(settings), then)
    fields = {
        "at": at,
        "state": state_digest({key: one.user.to_bytes() for key, one in states.items()}),
        "lists": list_digest(lists_then(address, names, then)),
        "users": len(states),
    }
    if as_json:
        options.print_json(fields)
    else:
        typer.echo(f"state {fields['state']} ({len(states):,} users)\nlists {fields['lists']}")
