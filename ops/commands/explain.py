"""`hopstream explain USER ITEM`: why an item has its score for a user.

Knows: the verb's options and what it prints. Does not know: how a score is taken apart (model/explain.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops import options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def explain(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
    name: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Default: the one that serves.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option("--models", metavar="DIR", help="Published versions; default: models.dir.")
    ] = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Show what an item's score for a user is made of: facets, the history behind them, what the memory
    adds and who speaks for it, themes, experts.

    The score is the one of the user's newest list, where that was made from the user's newest state by the
    version that explains; else it is the model's alone, and this says so.

    Exit status: 0 shown; 2 usage; 3 no broker; 4 no such user or version.

    Example: hopstream explain 42 1196
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: waiting threads must not spin
    from model.explain import Explainer, Themes
    from model.mme import FuxiMME
    from model.mos import MoS
    from ops.broker import resolve_bootstrap
    from ops.portraits.opening import opened
    from ops.portraits.served import served
    from ops.states import stored_user
    from ops.titles import titles_of
    from stream import admin
    from stream.asking import Asking
    from stream.newest import newest_lists
    from stream.partition import partition_of
    from stream.requests import Cause, build
    from stream.statedir import place_of
    from stream.themes import Router
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap, {"models": {"dir": models}})
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    state = stored_user(address, names, user)
    version = opened(settings.models.dir, name)
    cause = Cause(user=user, partition=0, type="explain", produced_ms=0)
    asking = Asking(build(state, Router(version.themes, version.name), cause, sample_share=0.0), 0, 0, 0)
    network = FuxiMME.from_weights(version.config, version.weights)
    themes = None
    if version.mos is not None:
        themes = Themes(
            version=version.name,
            mos=MoS.from_weights(version.mos.config, network, version.mos.weights),
            weights=asking.header.themes,
            routed_by=asking.header.routed_by,
        )
    lists = names.recommendations
    number = partition_of(user, admin.existing(address, [lists]).get(lists, settings.kafka.partitions))
    newest = newest_lists(address, names, [number], user).get(user)
    place = admin.cluster_id(address), admin.topic_ids(address, [names.requests]).get(names.requests, "")
    sum_ = None
    if newest is not None and (newest.state.topic_id, newest.state.offset, newest.model) == (
        state.value.topic_id,
        state.value.applied,
        version.name,
    ):
        folder = place_of(settings.scorer.data_dir, *place)
        sum_ = served(newest, item, state.items, folder, settings.scorer.memory_items)
    found = Explainer(network, version.catalogue, asking.sequences(), themes=themes).explain(
        item, None if sum_ is None else sum_.memories
    )
    told: dict[str, Any] = {
        "user": user,
        "version": version.name,
        **found.to_json(),
        "themes": [
            {
                "id": theme,
                "weight": weight,
                "label": version.themes.labels[theme],
                "read": (theme, weight) in found.themes,
            }
            for theme, weight in asking.header.themes
        ],
        "list": None if sum_ is None or newest is None else newest.id,
        "notes": sum_.notes if sum_ else ["by the model alone: no list of this state and version is a sum"],
        "rules": _rules(item, found.seen, asking.header.hidden),
    }
    if as_json:
        options.print_json(told)
        return
    near = {near.item for facet in found.facets for near in facet.nearest}
    near |= set(found.memory.shares) if found.memory else set()
    _show(told, titles_of(address, names, {item, *near}))


def _rules(item: str, seen: bool, hidden: tuple[str, ...]) -> list[str]:
    """What keeps the item out of lists, whatever its score."""
    rules = []
    if seen:
        rules.append("already in the user's history: lists leave it out where seen items are filtered")
    if item in hidden:
        rules.append("rejected by the user within 30 days: no list shows it")
    return rules


def _show(told: dict[str, Any], titles: Mapping[str, str]) -> None:
    def called(item: str) -> str:
        return f"{item} {titles[item]}" if item in titles else item

    if told["score"] is None:
        print(
            f"{called(told['item'])} has no score for {told['user']}: version {told['version']} has no row "
            "of it. It gets one when a version is trained on events that hold it."
        )
        return
    print(f"{called(told['item'])} for {told['user']}: score {told['score']:.4f}, version {told['version']}")
    for theme in told["themes"]:
        print(f"  the user's session is about {theme['label']} (theme {theme['id']}, {theme['weight']:.0%})")
    read = ", ".join(f"{length} events of {kind}" for kind, length in told["sequences"].items())
    print(f"  read: {read or 'nothing, the user has no positive events'}")
    if len(told["shares"]) > 1:
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in told["shares"].items())
        print(f"  weighed: {shares}")
    for facet in sorted(told["facets"], key=lambda facet: -abs(facet["term"])):
        near = "; ".join(f"{called(one['item'])} ({one['cosine']:.2f})" for one in facet["nearest"])
        scale = "" if facet["scale"] == 1 else f"{facet['scale']:.2f} x "
        print(
            f"  facet {facet['facet']}: {facet['term']:+.4f} = {scale}weight {facet['weight']:.2f} x cosine "
            f"{facet['cosine']:+.2f}" + (f"; nearest in the history: {near}" if near else "")
        )
    _show_memory(told, called)
    for layer, shares in enumerate(told["experts"]):
        used = ", ".join(f"{expert} ({share:.0%})" for expert, share in enumerate(shares) if share)
        print(f"  layer {layer}: experts {used}")
    for rule in told["rules"]:
        print(f"  rule: {rule}")


def _show_memory(told: dict[str, Any], called: Callable[[str], str]) -> None:
    memory = told["memory"]
    if told["stand_in"] is not None:
        print(f"  no trained row: {told['stand_in']:+.4f} from a cosine that stands in for it")
    if memory is not None:
        spoken = sorted(memory["shares"].items(), key=lambda share: -share[1])
        by = "; ".join(f"{called(name)} ({share:.0%})" for name, share in spoken)
        print(
            f"  memory: {memory['term']:+.4f} = {memory['weight']:.2f} x log of {memory['memory']:.4f}"
            + (f"; taken along with {by}" if by else "")
        )
    for note in told["notes"]:
        print(f"  note: {note}")
