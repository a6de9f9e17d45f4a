"""Themes of a version: each one's share of items and events, what is typical of it, what is best known.

Knows: what is told and how it reads. Does not know: how themes are fitted (model/themes.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from model import anatomy
from model.version import Version
from ops import exit_codes
from ops.errors import OpsError

#: Items that stand for a theme in the list of all themes.
BRIEFLY = 2


class ThemeMissing(OpsError):
    """The version has no theme of this number; `hopstream inspect theme` lists those it has."""

    exit_code = exit_codes.NOT_FOUND


def every(version: Version) -> dict[str, Any]:
    """All themes with their best known items, as plain values."""
    return {
        "version": version.name,
        "items": len(version.catalogue),
        "themes": [_theme(version, theme, BRIEFLY) for theme in anatomy.themes(version)],
    }


def one(version: Version, number: int, num: int) -> dict[str, Any]:
    """One theme with ``num`` items of each kind, as plain values. Raises ThemeMissing."""
    found = anatomy.themes(version)
    if not 0 <= number < len(found):
        raise ThemeMissing(f"(theme {number}, version {version.name} has 0 to {len(found) - 1})")
    return {
        "version": version.name,
        "items": len(version.catalogue),
        **_theme(version, found[number], num),
    }


def _theme(version: Version, theme: anatomy.Theme, num: int) -> dict[str, Any]:
    logits_IK = version.themes.logits_IK[theme.items]
    margin_I = anatomy.margin(logits_IK)
    events_I = version.popularity[theme.items]

    def told(order: np.ndarray) -> list[dict[str, Any]]:
        return [
            {
                "item": version.catalogue.items[int(theme.items[place])],
                "events": int(events_I[place]),
                "logit": float(logits_IK[place, theme.number]),
                "margin": float(margin_I[place]),
            }
            for place in order[:num]
        ]

    return {
        "theme": theme.number,
        "label": theme.label,
        "num_items": len(theme.items),
        "share_of_items": theme.share_of_items,
        "share_of_events": theme.share_of_events,
        "typical": told(np.argsort(-margin_I, kind="stable")),
        "best_known": told(np.argsort(-events_I, kind="stable")),
    }


def items_of(told: dict[str, Any]) -> set[str]:
    """Every item that is shown, to be called by its title."""
    return {
        place["item"]
        for theme in told.get("themes", [told])
        for place in [*theme["typical"], *theme["best_known"]]
    }


def show_every(told: dict[str, Any], titles: dict[str, str]) -> None:
    """For people."""
    print(f"version {told['version']}: {len(told['themes'])} themes of {told['items']:,} items")
    wide = max(len(theme["label"]) for theme in told["themes"])
    print(f"theme   items  events  {'label':{wide}}  best known")
    for theme in told["themes"]:
        known = ", ".join(titles.get(place["item"], place["item"]) for place in theme["best_known"])
        print(
            f"{theme['theme']:5}  {theme['share_of_items']:6.1%}  {theme['share_of_events']:6.1%}  "
            f"{theme['label']:{wide}}  {known}"
        )


def show_one(told: dict[str, Any], titles: dict[str, str]) -> None:
    """For people."""
    print(
        f"theme {told['theme']} {told['label']}, version {told['version']}: "
        f"{told['num_items']:,} of {told['items']:,} items ({told['share_of_items']:.1%}), "
        f"{told['share_of_events']:.1%} of the events trained on"
    )
    for head, name in (
        ("most typical: the logit leads the next theme's by most", "typical"),
        ("best known: the most events", "best_known"),
    ):
        print(f"\n{head}\n        lead   logit  events  item")
        for number, place in enumerate(told[name], 1):
            title = titles.get(place["item"])
            print(
                f"{number:3}  {place['margin']:7.3f} {place['logit']:7.3f} {place['events']:7,}  "
                f"{place['item']}" + (f"  {title}" if title else "")
            )
    if not told["typical"]:
        print("no item has this theme")
