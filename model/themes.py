"""Themes: spherical k-means over item vectors, a table item → theme logits, and a name for each theme.

Knows: item vectors, categories and titles if there are any. Imports no torch: a worker reads the table.
Does not know: sessions, users, files.

Prototypes as themes are our construction (MoS, arXiv 2604.20858, is known to us by its abstract only).
"""

# I = items, D = width, K = themes, C = categories

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model.catalogue import Catalogue

FloatArray = npt.NDArray[np.float32]

#: A logit is the cosine of item and prototype over this (models.md section 7, router temperature).
THEME_TEMPERATURE = 0.1
#: Rounds of k-means; assignments hardly move after ten.
MAX_ROUNDS = 25
#: A category names a theme only if this share of the theme's items carry it.
MIN_SHARE = 0.08


class ThemeTable:
    """What one version says of items' themes."""

    def __init__(self, catalogue: Catalogue, logits_IK: FloatArray, labels: Sequence[str]) -> None:
        """``logits_IK``: one line per item of the catalogue. Raises ValueError on other shapes."""
        if logits_IK.shape != (len(catalogue), len(labels)):
            raise ValueError(f"{logits_IK.shape} logits for {len(catalogue)} items and {len(labels)} themes")
        self.labels = list(labels)
        self.logits_IK = logits_IK
        self._places = {item: place for place, item in enumerate(catalogue.items)}

    def logits_of(self, item: str) -> FloatArray | None:
        """(K,) float32, or None for an item outside the version."""
        place = self._places.get(item)
        return None if place is None else self.logits_IK[place]


def fit_themes(
    index_ID: FloatArray, catalogue: Catalogue, labels_of: Labels, num_themes: int, seed: int
) -> ThemeTable:
    """Cluster item vectors (any length) and name the clusters; deterministic by seed."""
    unit_ID = _unit(index_ID)
    prototypes_KD = prototypes(unit_ID, min(num_themes, len(unit_ID)), seed)
    logits_IK = (unit_ID @ prototypes_KD.T / THEME_TEMPERATURE).astype(np.float32)
    theme_I = logits_IK.argmax(axis=1)
    return ThemeTable(catalogue, logits_IK, labels_of.names(catalogue, theme_I, prototypes_KD.shape[0]))


def prototypes(unit_ID: FloatArray, num_themes: int, seed: int) -> FloatArray:
    """(K, D) unit prototypes by spherical k-means, seeded like k-means++; ties go to the lowest theme.

    An empty theme takes the item that its own prototype represents worst.
    """
    random = np.random.default_rng(seed)
    prototypes_KD = _seeded(unit_ID, num_themes, random)
    theme_I = np.full(len(unit_ID), -1)
    for _ in range(MAX_ROUNDS):
        scores_IK = unit_ID @ prototypes_KD.T
        nearest_I = scores_IK.argmax(axis=1)
        if (nearest_I == theme_I).all():
            break
        theme_I = nearest_I
        sums_KD = np.zeros_like(prototypes_KD)
        np.add.at(sums_KD, theme_I, unit_ID)
        worst = iter(np.argsort(scores_IK.max(axis=1), kind="stable"))
        for theme in np.flatnonzero(np.bincount(theme_I, minlength=num_themes) == 0):
            sums_KD[theme] = unit_ID[next(worst)]
        prototypes_KD = _unit(sums_KD)
    return prototypes_KD


def _seeded(unit_ID: FloatArray, num_themes: int, random: np.random.Generator) -> FloatArray:
    """Items far from each other: each next one drawn by its squared distance to the nearest one so far."""
    chosen = [int(random.integers(len(unit_ID)))]
    nearest_I = unit_ID @ unit_ID[chosen[0]]
    while len(chosen) < num_themes:
        far_I = np.maximum(0.0, 1.0 - nearest_I).astype(np.float64)
        share_I = far_I / far_I.sum() if far_I.sum() > 0 else np.full(len(far_I), 1 / len(far_I))
        chosen.append(int(random.choice(len(unit_ID), p=share_I)))
        nearest_I = np.maximum(nearest_I, unit_ID @ unit_ID[chosen[-1]])
    return unit_ID[chosen].copy()


def _unit(x: FloatArray) -> FloatArray:
    norms = np.linalg.norm(x, axis=-1, keepdims=True)
    unit: FloatArray = (x / np.maximum(norms, 1e-6)).astype(np.float32)
    return unit


class Labels:
    """Names for themes out of what is known of their items."""

    def __init__(
        self,
        titles: Mapping[str, str] | None = None,
        categories: Mapping[str, Sequence[str]] | None = None,
        popularity_I: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """``titles`` and ``categories`` by item id; ``popularity_I`` in the order of the catalogue."""
        self._titles = titles or {}
        self._categories = categories or {}
        self._popularity_I = popularity_I

    def names(self, catalogue: Catalogue, theme_I: npt.NDArray[np.int64], num_themes: int) -> list[str]:
        """One name per theme, no two alike: two categories, else two well-known titles, else "theme 3"."""
        everywhere = self._shares(catalogue.items)
        names: list[str] = []
        for theme in range(num_themes):
            places = np.flatnonzero(theme_I == theme)
            found = self._by_category([catalogue.items[place] for place in places], everywhere)
            found = found or self._by_title(catalogue, places)
            name = " · ".join(found[:2])
            if name in names and len(found) > 2:
                name = " · ".join((found[0], found[2]))
            names.append(name if name and name not in names else f"{name} theme {theme}".strip())
        return names

    def _shares(self, items: Sequence[str]) -> dict[str, float]:
        """Category → share of the items that carry it."""
        counts = Counter(name for item in items for name in set(self._categories.get(item, ())))
        return {name: count / len(items) for name, count in counts.items()}

    def _by_category(self, items: Sequence[str], everywhere: Mapping[str, float]) -> list[str]:
        """Categories by lift, how much oftener they stand here than everywhere; rare ones name nothing."""
        here = {name: share for name, share in self._shares(items).items() if share >= MIN_SHARE}
        lift = {name: share / everywhere[name] for name, share in here.items()}
        return sorted((name for name in lift if lift[name] > 1), key=lambda name: (-lift[name], name))

    def _by_title(self, catalogue: Catalogue, places: npt.NDArray[np.int64]) -> list[str]:
        if self._popularity_I is not None:
            places = places[np.argsort(-self._popularity_I[places], kind="stable")]
        items = (catalogue.items[place] for place in places)
        return [self._titles[item] for item in items if item in self._titles][:3]
