"""`hopstream inspect`: what the worker remembers of a user, what a published version knows.

Knows: the verbs' options, what is read and printed of a user.
Does not know: how a state is stored (stream/codec.py), what is told of a version (ops/portraits/).
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops import options

if TYPE_CHECKING:
    from model.batch import Events
    from model.version import Version
    from stream.history import User
    from stream.settings import Settings

inspect = typer.Typer(no_args_is_help=True, help="Look at what is stored.")

Models = Annotated[
    Path | None, typer.Option("--models", metavar="DIR", help="Published versions; default: models.dir.")
]
Named = Annotated[
    str | None, typer.Option("--version", metavar="VERSION", help="Default: the one that serves.")
]
TitlesFrom = Annotated[
    str | None,
    typer.Option("--dataset", metavar="DATASET", help="Titles from here; default: the items topic."),
]
Num = Annotated[int, typer.Option("-n", min=1, max=1000, help="Items to show.")]

#: How many histories are sent through a version's routers, and how long made-up ones are.
HISTORIES, MADE_UP_EVENTS = 256, 50


@inspect.command()
def user(
    name: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    at: options.At = None,
    models: Models = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """A user's sessions with their themes, rejected items and counts, from the worker's changelog.

    With --at the state is rebuilt from the events topic as of then, routed by that time's version, with the
    list of that moment: the one on the topic if it is still there, and the version's model on that state.

    Exit status: 0 shown; 2 usage; 3 no broker; 4 no such user (by then).

    Example: hopstream inspect user 42 --at ts=1700000000000
    """
    from ops.broker import resolve_bootstrap
    from ops.portraits import then as portrait
    from ops.states import stored_user
    from ops.titles import titles_of
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap, {"models": {"dir": models}})
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    if at is None:
        fields = _fields(name, stored_user(address, names, name))
    else:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: waiting threads must not spin
        then = portrait.rebuilt(settings, address, name, at)
        fields = {**_fields(name, then.state.user), **then.fields()}
    shown = {event["item"] for part in fields["sessions"] for event in part["events"]}
    titles = titles_of(address, names, shown | portrait.items_of(fields))
    if as_json:
        options.print_json(fields)
    else:
        _show(fields, titles)
        portrait.show(fields, titles)


@inspect.command()
def model(
    name: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="Like 000002 or 2; default: the one that serves."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", help="Ask the routers with its users; default: made-up ones, by popularity."
        ),
    ] = None,
    models: Models = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """What a version is made of, and whether its embeddings, experts and themes are alive.

    Needs no broker. Alarms: an expert or theme with less than 2% or more than 80%.

    Exit status: 0 shown, alarms or not; 1 damaged; 2 usage; 4 no such version or data set.

    Example: hopstream inspect model 000001 --dataset ml-100k
    """
    # OpenMP reads this when torch is imported: threads that spin while they wait take the cores from others.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ops.portraits import model as portrait

    settings, found = _opened(models, name, config)
    histories, what = _histories(settings, found, dataset)
    told = portrait.fields(settings.models.dir, found, histories, what)
    if as_json:
        options.print_json(told)
    else:
        portrait.show(told)


@inspect.command()
def theme(
    number: Annotated[int | None, typer.Argument(metavar="K", help="Default: all of them.")] = None,
    num: Num = 10,
    name: Named = None,
    dataset: TitlesFrom = None,
    models: Models = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """What a theme holds: its share of items and events, its most typical and its best known items.

    Without a broker items have no titles, unless --dataset gives them.

    Exit status: 0 shown; 1 damaged; 2 usage; 4 no such version, theme or data set.

    Example: hopstream inspect theme 4 -n 5 --dataset ml-100k
    """
    from ops.portraits import theme as portrait
    from ops.portraits.opening import titles

    settings, found = _opened(models, name, config, bootstrap)
    told = portrait.every(found) if number is None else portrait.one(found, number, num)
    called = titles(settings, dataset, portrait.items_of(told))
    _say(called.note)
    if as_json:
        options.print_json({**told, "titles": called.of})
    elif number is None:
        portrait.show_every(told, called.of)
    else:
        portrait.show_one(told, called.of)


@inspect.command()
def item(
    wanted: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
    num: Num = 10,
    name: Named = None,
    dataset: TitlesFrom = None,
    models: Models = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """How a version sees an item: row, events, themes, the nearest items overall and in each stream.

    Without a broker items have no titles, unless --dataset gives them.

    Exit status: 0 shown; 1 damaged; 2 usage; 4 no such version, item or data set.

    Example: hopstream inspect item 1 -n 5 --dataset ml-100k
    """
    from ops.portraits import item as portrait
    from ops.portraits.opening import titles

    settings, found = _opened(models, name, config, bootstrap)
    if wanted not in found.catalogue:
        raise portrait.missing(found, wanted, titles(settings, dataset, found.catalogue.items).of)
    told = portrait.fields(found, wanted, num)
    called = titles(settings, dataset, portrait.items_of(told))
    _say(called.note)
    if as_json:
        options.print_json({**told, "titles": called.of})
    else:
        portrait.show(told, called.of)


def _opened(
    models: Path | None, name: str | None, config: Path | None, bootstrap: str | None = None
) -> tuple[Settings, Version]:
    from ops.portraits.opening import opened

    settings = options.settings_from(config, bootstrap, {"models": {"dir": models}})
    return settings, opened(settings.models.dir, name)


def _histories(settings: Settings, version: Version, dataset: str | None) -> tuple[list[Events], str]:
    """Histories for the routers, and what they are in words."""
    from model.checkup import made_up, sampled
    from ops.portraits.opening import dataset_of

    if dataset is None:
        length = min(MADE_UP_EVENTS, version.config.max_events)
        made = made_up(version.popularity, HISTORIES, length, seed=0)
        return made, (
            f"{len(made)} made-up histories of {length} items each, drawn by popularity "
            "(--dataset asks with real ones)"
        )
    found = dataset_of(settings, dataset)
    columns = found.events.positives(settings.events.negative, settings.events.neutral)
    drawn = sampled(columns, version.catalogue, HISTORIES, seed=0)
    return drawn, f"the histories of {len(drawn)} users of {found.name}, drawn at random"


def _say(note: str) -> None:
    if note:
        print(note, file=sys.stderr)


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
