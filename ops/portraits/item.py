"""One item of a version: its row, how well it is known, its themes, what lies nearest to it.

Knows: what is told and how it reads. Does not know: how vectors came about.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from model import anatomy
from model.version import Version
from ops import exit_codes
from ops.errors import OpsError

#: Neighbours of one stream alone, and ids that are suggested for an unknown one.
FEW = 3


class ItemMissing(OpsError):
    """The version does not know this item: it had no event in the training; a version trained later may."""

    exit_code = exit_codes.NOT_FOUND


def fields(version: Version, item: str, num: int) -> dict[str, Any]:
    """The item and its ``num`` nearest, as plain values; the item must be in the catalogue."""
    place = version.catalogue.items.index(item)
    overall_I, by_stream_IM = anatomy.cosines(version, place)
    logits_K = version.themes.logits_IK[place]
    items = version.catalogue.items
    return {
        "item": item,
        "version": version.name,
        "items": len(items),
        "row": version.catalogue.row(item),
        "events": int(version.popularity[place]),
        "rank": anatomy.rank_of(version.popularity, place),
        "themes": [
            {"theme": int(k), "label": version.themes.labels[k], "logit": float(logits_K[k])}
            for k in np.argsort(-logits_K, kind="stable")
        ],
        "nearest": [
            {
                "item": items[other],
                "cosine": float(overall_I[other]),
                "by_stream": [float(cosine) for cosine in by_stream_IM[other]],
                "events": int(version.popularity[other]),
            }
            for other in anatomy.nearest(overall_I, place, num)
        ],
        "nearest_by_stream": [
            [
                {"item": items[other], "cosine": float(cosine_I[other])}
                for other in anatomy.nearest(cosine_I, place, FEW)
            ]
            for cosine_I in by_stream_IM.T
        ],
    }


def items_of(told: dict[str, Any]) -> set[str]:
    """Every item that is shown, to be called by its title."""
    streams = [place["item"] for stream in told["nearest_by_stream"] for place in stream]
    return {told["item"], *streams, *(place["item"] for place in told["nearest"])}


def missing(version: Version, item: str, titles: Mapping[str, str]) -> ItemMissing:
    """The error for an unknown item, with ids like it, or whose title has these words."""
    words = item.casefold()
    meant = [known for known in version.catalogue.items if words in titles.get(known, "").casefold()]
    meant = meant or difflib.get_close_matches(item, version.catalogue.items, n=FEW)
    named = [f"{known} ({titles[known]})" if known in titles else known for known in meant[:FEW]]
    hint = f"; did you mean {', '.join(named)}?" if named else ""
    return ItemMissing(f"(item {item!r}, version {version.name} of {len(version.catalogue):,} items{hint})")


def show(told: dict[str, Any], titles: Mapping[str, str]) -> None:
    """For people."""

    def called(item: str) -> str:
        return f"{item}  {titles[item]}" if item in titles else item

    print(
        f"{called(told['item'])}\n"
        f"version {told['version']}, row {told['row']}, {told['events']:,} events: "
        f"rank {told['rank']:,} of {told['items']:,} items"
    )
    print("\nthemes by logit: the first is the item's own")
    for theme in told["themes"]:
        print(f"{theme['logit']:9.3f}  theme {theme['theme']} {theme['label']}")
    streams = len(told["nearest_by_stream"])
    print("\nnearest items by cosine: overall, then in each stream")
    print("     overall" + "".join(f"{f's{stream}':>8}" for stream in range(streams)) + "  events  item")
    for number, place in enumerate(told["nearest"], 1):
        cosines = "".join(f"{cosine:8.3f}" for cosine in place["by_stream"])
        print(f"{number:3}  {place['cosine']:7.3f}{cosines} {place['events']:7,}  {called(place['item'])}")
    if streams == 1:
        return
    for stream, places in enumerate(told["nearest_by_stream"]):
        print(f"\nnearest in stream {stream} alone")
        for place in places:
            print(f"     {place['cosine']:7.3f}  {called(place['item'])}")
