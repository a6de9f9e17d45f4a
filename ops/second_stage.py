"""The second stage of `hopstream train`: themes over the trained network, and what is said of them.

Knows: the worker's rules of sessions and windows, how long the stage may take.
Does not know: how themes are learned (model/themed.py), what is published where.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.columns import EventColumns
    from model.metrics import FloatArray
    from model.mos_sequences import Rules
    from model.themed import Themed
    from model.version import Trained, Version
    from ops.datasets import Dataset
    from stream.settings import Settings

#: Of a budget, what the network may take; the rest is for themes.
FIRST_SHARE = 0.6


def rules_of(settings: Settings, gap_ms: int) -> Rules:
    """What a worker with these settings does, at this gap."""
    from model.mos_sequences import Rules
    from stream.sessions import closes
    from stream.windows import moved_global, moved_history, moved_theme

    max_events, keep_events = settings.sessions.max_events, settings.history.keep_events
    return Rules(
        closes=lambda num, last_ms, ts_ms: closes(num, last_ms, ts_ms, gap_ms, max_events),
        moved_global=moved_global,
        moved_theme=moved_theme,
        moved_history=lambda lengths: moved_history(lengths, keep_events),
    )


def learned(
    found: Dataset, warm: EventColumns, first: Trained, settings: Settings, budget_s: float | None
) -> Themed | None:
    """Themes over the first stage; None, and why on the error stream, where the events are too few."""
    from rich.console import Console

    from model.errors import NotEnoughData
    from model.themed import learn_themes

    items = list(found.items())
    console = Console(stderr=True)
    with console.status(f"{found.name}: themes over the network, at most 5 epochs"):
        try:
            return learn_themes(
                first,
                warm,
                rules_of(settings, found.gap_ms),
                titles={item.item: item.title for item in items if item.title},
                categories={item.item: item.categories for item in items if item.categories},
                budget_s=budget_s,
            )
        except NotEnoughData as error:
            print(error, file=sys.stderr)
            return None


def ranks(
    version: Version, columns: EventColumns, num_warm: int, found: Dataset, settings: Settings
) -> FloatArray:
    """(E,) ranks of the judged events by a version with themes."""
    from model.themed import themed_ranks

    return themed_ranks(version, columns, num_warm, rules_of(settings, found.gap_ms), found.filter_seen)


def verdict(themed: Themed) -> str:
    """One line for people."""
    became = "published as a version of their own" if themed.kept else "not published: worse"
    return (
        f"themes: validation nDCG over all ranks {themed.ndcg:.4f}, the network alone "
        f"{themed.plain_ndcg:.4f}, {themed.events:,} held-out events, {themed.seconds:.0f} s; {became}"
    )
