"""`hopstream inspect user`: what the worker remembers of one user.

Knows: what is read and printed. Does not know: how a state is stored (stream/codec.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops import exit_codes, options
from ops.errors import OpsError

if TYPE_CHECKING:
    from stream.history import User

inspect = typer.Typer(no_args_is_help=True, help="Look at what is stored.")


class NoSuchUser(OpsError):
    """The worker holds no state of this user; it appears with the user's first event."""

    exit_code = exit_codes.NOT_FOUND


@inspect.command()
def user(
    name: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """A user's sessions with their themes, rejected items and counts, from the worker's changelog.

    Exit status: 0 shown; 2 usage; 3 no broker; 4 no such user.

    Example: hopstream inspect user 42
    """
    from ops.broker import resolve_bootstrap
    from ops.titles import titles_of
    from stream.admin import existing
    from stream.clients import read_all
    from stream.history import User
    from stream.partition import partition_of
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap)
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    num_partitions = existing(address, [names.changelog]).get(names.changelog)
    value = None
    if num_partitions is not None:
        key = name.encode()
        for record in read_all(address, names.changelog, [partition_of(name, num_partitions)]):
            value = record.value if record.key == key else value
    if value is None:
        raise NoSuchUser(f"(user {name!r}, topic {names.changelog})")
    fields = _fields(name, User.from_bytes(value))
    titles = titles_of(
        address, names, {event["item"] for part in fields["sessions"] for event in part["events"]}
    )
    if as_json:
        options.print_json(fields)
    else:
        _show(fields, titles)


def _fields(name: str, found: User) -> dict[str, Any]:
    value = found.value
    closed = [
        {
            "number": one.number,
            "theme": one.theme,
            "routed_by": one.routed_by,
            "open": False,
            "events": _events(one.triples()),
        }
        for one in found.closed
    ]
    opened = list(zip(value.open_items, value.open_times_ms, value.open_types, strict=True))
    if opened:
        closed.append(
            {
                "number": value.next_session,
                "theme": None,
                "routed_by": None,
                "open": True,
                "events": _events(opened),
            }
        )
    counters = value.counters
    return {
        "user": name,
        "applied_offset": value.applied,
        "counts": {name: getattr(counters, name) for name in counters.__struct_fields__},
        "sessions": closed,
        "rejected": _events(value.rejected),
        "bytes": len(found.to_bytes()),
    }


def _events(triples: list[tuple[str, int, str]]) -> list[dict[str, Any]]:
    return [{"item": item, "ts": ts_ms, "type": type_} for item, ts_ms, type_ in triples]


def _show(fields: dict[str, Any], titles: dict[str, str]) -> None:
    counts = ", ".join(f"{num} {name.replace('_', ' ')}" for name, num in fields["counts"].items() if num)
    print(f"{fields['user']}: {counts}; up to offset {fields['applied_offset']}, {fields['bytes']:,} bytes")
    for session in fields["sessions"]:
        events = session["events"]
        began = datetime.fromtimestamp(events[0]["ts"] / 1000, UTC)
        theme = "open" if session["open"] else f"theme {session['theme']}"
        print(f"session {session['number']} ({theme}), {began:%Y-%m-%d %H:%M} UTC, {len(events)} events")
        for event in events:
            title = titles.get(event["item"])
            print(f"    {event['item']}" + (f"  {title}" if title else "") + f"  {event['type']}")
    for event in fields["rejected"]:
        print(f"rejected {event['item']} ({event['type']})")
