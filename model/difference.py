"""What changed from one version to another: settings, metrics, items, how far rows moved, themes.

Knows: two versions' arrays and manifests. Imports no torch.
Does not know: which one is better (model/gate.py), titles, who asks.
"""

# I = items of both, D = width, K = themes

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model.config import FIRST_ITEM_ROW
from model.health import movement
from model.version import Version

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def difference(before: Version, now: Version, num: int = 10) -> dict[str, Any]:
    """Plain values; ``num`` items at most are named in each list."""
    then_I, now_I = _places(before, now)
    return {
        "before": before.name,
        "now": now.name,
        "config": _changed(before.manifest["config"], now.manifest["config"]),
        "train_config": _changed(before.manifest["train_config"], now.manifest["train_config"]),
        "metrics": _changed(before.manifest["metrics"], now.manifest["metrics"]),
        "events": [before.manifest["events"], now.manifest["events"]],
        "catalogue": _catalogue(before, now, num),
        "rows": _rows(before, now, then_I, now_I, num),
        "themes": _themes(before, now, then_I, now_I),
    }


def _places(before: Version, now: Version) -> tuple[IntArray, IntArray]:
    """Places (I,) of the items that both have, in each one's catalogue, in the order of the first."""
    place_of = {item: place for place, item in enumerate(now.catalogue.items)}
    both = [(place, place_of[item]) for place, item in enumerate(before.catalogue.items) if item in place_of]
    pairs = np.array(both, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Fields that differ, each with both values; None where there was none."""
    names = [*before, *(name for name in now if name not in before)]
    return {name: [before.get(name), now.get(name)] for name in names if before.get(name) != now.get(name)}


def _catalogue(before: Version, now: Version, num: int) -> dict[str, Any]:
    added = [item for item in now.catalogue.items if item not in before.catalogue]
    removed = [item for item in before.catalogue.items if item not in now.catalogue]
    return {
        "items": [len(before.catalogue), len(now.catalogue)],
        "appended": now.catalogue.items[: len(before.catalogue)] == before.catalogue.items,
        "added": len(added),
        "added_items": added[:num],
        "removed": len(removed),
        "removed_items": removed[:num],
    }


def _rows(
    before: Version, now: Version, then_I: IntArray, now_I: IntArray, num: int
) -> dict[str, Any] | None:
    """1 - cosine of each item's line in both; None where no line can be compared.

    Says something of versions that were trained on from one another; two trainings from nothing live in two
    spaces, and nearly every row is about 1 away.
    """
    if before.config.dim != now.config.dim or not len(then_I):
        return None
    moved_I = _distance(np.asarray(before.index)[then_I], np.asarray(now.index)[now_I])
    same_I = np.zeros(len(then_I), bool)
    old, new = before.weights["items"][FIRST_ITEM_ROW:], now.weights["items"][FIRST_ITEM_ROW:]
    if old.shape[1:] == new.shape[1:]:
        same_I = (old[then_I] == new[now_I]).all(axis=(1, 2))
    most = np.argsort(-moved_I, kind="stable")[:num]
    return {
        "compared": len(then_I),
        "untouched": int(same_I.sum()),  # bit for bit
        "mean": float(moved_I.mean()),
        "median": float(np.median(moved_I)),
        "p95": float(np.quantile(moved_I, 0.95)),
        "max": float(moved_I.max()),
        "most": [
            {
                "item": now.catalogue.items[int(now_I[place])],
                "moved": float(moved_I[place]),
                "events": int(now.popularity[now_I[place]]),
            }
            for place in most.tolist()
            if moved_I[place] > 0
        ],
    }


def theme_drift(before: Version, now: Version) -> list[float | None]:
    """By theme of ``now``: how far its centre turned, 1 - cosine: 0 stayed, 1 a right angle, 2 round.

    A centre is the mean of the unit lines of the items whose largest logit is the theme's, in each version's
    own catalogue. None for a theme that one of them has no item for, and for all where widths differ. Like
    `rows` it says something of versions that were trained on from one another.
    """
    if before.config.dim != now.config.dim:
        return [None] * len(now.themes.labels)
    then_KD, now_KD = _centres(before), _centres(now)
    drift: list[float | None] = []
    for theme, centre_D in enumerate(now_KD):
        known = theme < len(then_KD) and then_KD[theme].any() and centre_D.any()
        drift.append(float(_distance(then_KD[theme][None], centre_D[None])[0]) if known else None)
    return drift


def _centres(version: Version) -> npt.NDArray[np.float32]:
    """(K, D); a line of zeros for a theme without items."""
    index_ID = np.asarray(version.index, np.float32)
    unit_ID = index_ID / np.maximum(np.linalg.norm(index_ID, axis=1, keepdims=True), 1e-12)
    theme_I = version.themes.logits_IK.argmax(axis=1)
    centres_KD = np.zeros((len(version.themes.labels), index_ID.shape[1]), np.float32)
    for theme in range(len(centres_KD)):
        of_theme = theme_I == theme
        if of_theme.any():
            centres_KD[theme] = unit_ID[of_theme].mean(axis=0)
    return centres_KD


def _distance(then_ID: npt.NDArray[np.float32], now_ID: npt.NDArray[np.float32]) -> FloatArray:
    lengths_I = np.linalg.norm(then_ID, axis=1) * np.linalg.norm(now_ID, axis=1)
    products_I = (then_ID.astype(np.float64) * now_ID).sum(axis=1)
    distance_I: FloatArray = np.maximum(0.0, 1.0 - products_I / np.maximum(lengths_I, 1e-12))
    distance_I[(then_ID == now_ID).all(axis=1)] = 0.0
    return distance_I


def _themes(before: Version, now: Version, then_I: IntArray, now_I: IntArray) -> dict[str, Any]:
    labels = [before.themes.labels, now.themes.labels]
    moved = None
    if len(labels[0]) == len(labels[1]) and len(then_I):
        moved = movement(before.themes.logits_IK[then_I], now.themes.logits_IK[now_I])
    pairs = zip(labels[0], labels[1], strict=False)
    return {
        "num": [len(labels[0]), len(labels[1])],
        "relabelled": [
            {"theme": number, "before": old, "now": new}
            for number, (old, new) in enumerate(pairs)
            if old != new
        ],
        "moved": moved,  # by theme: share of its items that stand under another number now
    }
