"""`hopstream recommend USER`: the user's newest list, as it lies on the topic.

Knows: the verb's options and what it prints. Does not know: how a list is found (stream/newest.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ops import exit_codes, options
from ops.errors import OpsError

if TYPE_CHECKING:
    from stream.records import RecommendationList


class UserUnknown(OpsError):
    """There is no list for this user; lists appear after a user's first event."""

    exit_code = exit_codes.NOT_FOUND


def recommend(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    num: Annotated[int, typer.Option("-n", min=1, max=1000, help="Items to show.")] = 10,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Show a user's newest recommendation list: items, and what it was made from and by.

    Exit status: 0 shown; 2 usage; 3 no broker; 4 no list for this user.

    Example: hopstream recommend 42 -n 5
    """
    import msgspec

    from ops.broker import resolve_bootstrap
    from ops.titles import titles_of
    from stream.admin import existing
    from stream.newest import newest_lists
    from stream.partition import partition_of
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap)
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    num_partitions = existing(address, [names.recommendations]).get(names.recommendations)
    made = None
    if num_partitions is not None:
        partition = partition_of(user, num_partitions)
        made = newest_lists(address, names, [partition], user).get(user)
    if made is None:
        raise UserUnknown(f"(user {user!r}, topic {names.recommendations})")
    made = msgspec.structs.replace(made, items=made.items[:num])
    titles = titles_of(address, names, {place.item for place in made.items})
    if as_json:
        fields = msgspec.to_builtins(made)
        for place in fields["items"]:
            place["title"] = titles.get(place["item"])
        options.print_json(fields)
    else:
        _show(made, titles)


def _show(made: RecommendationList, titles: dict[str, str]) -> None:
    """The list for people."""
    by = f"version {made.model} (epoch {made.epoch})" if made.model else "no model"
    print(f"{made.user}: by {by}, knows {made.state.events} events up to offset {made.state.offset}")
    if made.degraded:
        print(f"degraded: {made.degraded}")
    for theme in made.themes:
        print(f"theme {theme.id} {theme.label} ({theme.weight:.0%})")
    if not made.items:
        print("(empty: the user was erased, or nothing is left to recommend)")
    for number, place in enumerate(made.items, 1):
        title = titles.get(place.item)
        print(f"{number:3}  {place.score:9.4f}  {place.item}" + (f"  {title}" if title else ""))
