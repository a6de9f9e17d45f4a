"""Learned themes as arrays: the published table, the themes of any session, how prototypes could follow.

Knows: item lines, the router's two matrices, closed sessions' vectors. Imports no torch: a worker may ask.
Does not know: how the matrices are learned (model/router.py), sequences, files.

All of it is our construction (of MoS, arXiv 2604.20858, only the abstract is known to us). An item's logits
are <W_r e_i, c_k> / 0.1 with |e_i| = |c_k| = 1, a session's logits the mean over its items. So the worker's
running mean over the published table and the trainer's routing are one number. Prototypes of a running system
stand still: Following and still_alive are built and tested, and no role calls them.
"""

# I = items, D = width, K = themes, S = sessions, T = moments (cuts) of sessions

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import Catalogue
from model.themes import THEME_TEMPERATURE, Labels, ThemeTable

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
AnyFloats = npt.NDArray[Any]

#: Theme of a session without one.
NO_THEME = -1
#: Below this difference of the two best probabilities both themes are read; the worker's own figure.
TOP2_MARGIN = 0.1
#: Online a prototype keeps this much of itself ...
KEEP = 0.999
#: ... once in so many closed sessions.
EVERY = 1000
#: A theme with a smaller share of a day's sessions is dead.
DEAD_SHARE = 0.005
#: Fewer sessions prove no death: one in twenty times a share of 0.5 % would not be seen (0.995^600 = 5 %).
ENOUGH = 600
#: Closed sessions of a day that are remembered for it: 2 MB of width 128.
REMEMBERED = 4096
DAY_MS = 24 * 3600 * 1000


class Chosen(NamedTuple):
    """The themes that are read at T moments, heaviest first."""

    themes_T2: IntArray  # NO_THEME where there is no first or no second one
    weights_T2: AnyFloats  # their probabilities among all themes; 0 where there is none


def item_logits(index_ID: AnyFloats, w_r_DD: AnyFloats, c_KD: AnyFloats) -> FloatArray:
    """(I, K) theme logits of item lines of any length; sums in double precision."""
    turned_ID = _unit(index_ID.astype(np.float64)) @ w_r_DD.astype(np.float64).T
    logits_IK: FloatArray = (turned_ID @ c_KD.astype(np.float64).T / THEME_TEMPERATURE).astype(np.float32)
    return logits_IK


def learned_table(
    index_ID: AnyFloats, w_r_DD: AnyFloats, c_KD: AnyFloats, catalogue: Catalogue, labels_of: Labels
) -> ThemeTable:
    """What a version publishes: item → K logits, named by the lift of its items' categories."""
    logits_IK = item_logits(index_ID, w_r_DD, c_KD)
    return ThemeTable(catalogue, logits_IK, labels_of.names(catalogue, logits_IK.argmax(axis=1), len(c_KD)))


def session_logits(logits_IK: AnyFloats, places: Sequence[int] | IntArray) -> AnyFloats | None:
    """(K,) mean logits of the items at these places; None for a session without a known item."""
    if not len(places):
        return None
    mean_K: AnyFloats = logits_IK[np.asarray(places)].astype(np.float64).mean(axis=0)
    return mean_K


def probabilities(logits_TK: AnyFloats) -> AnyFloats:
    """Softmax over the last axis."""
    odds = np.exp(logits_TK - logits_TK.max(axis=-1, keepdims=True))
    p: AnyFloats = odds / odds.sum(axis=-1, keepdims=True)
    return p


def choose(p_TK: AnyFloats, known_T: npt.NDArray[np.bool_]) -> Chosen:
    """Candidate-free selection: the likeliest theme, and the next one where it is close; ties to the lowest.

    ``known_T``: whether the session has an item with logits. What stream.themes.choose says of one session.
    """
    p_TK = np.asarray(p_TK, np.float64)
    order_TK = np.argsort(-p_TK, axis=1, kind="stable")[:, :2]
    if order_TK.shape[1] < 2:
        order_TK = np.concatenate([order_TK, np.full_like(order_TK, NO_THEME)], axis=1)
    weights_T2 = np.where(order_TK >= 0, np.take_along_axis(p_TK, np.maximum(order_TK, 0), axis=1), 0.0)
    alone_T = weights_T2[:, 0] - weights_T2[:, 1] >= TOP2_MARGIN
    order_TK[:, 1][alone_T] = NO_THEME
    order_TK[~known_T] = NO_THEME
    return Chosen(order_TK, np.where(order_TK >= 0, weights_T2, 0.0))


def choose_for(theme: int, free: Chosen) -> Chosen:
    """Candidate-aware selection for candidates whose own theme (largest logit) is ``theme``.

    The session's leading theme and the candidate's, with half of the leading probability each; one theme
    where they are the same. A user thus has at most K vectors, however many candidates. Nothing where the
    session has no theme.
    """
    leading_T, weight_T = free.themes_T2[:, 0], free.weights_T2[:, 0]
    second_T = np.where((leading_T == theme) | (leading_T == NO_THEME), NO_THEME, theme)
    share_T = np.where(second_T == NO_THEME, weight_T, weight_T / 2)
    themes_T2 = np.stack([leading_T, second_T], axis=1)
    return Chosen(themes_T2, np.where(themes_T2 == NO_THEME, 0.0, share_T[:, None]))


def still_alive(theme_S: IntArray, generation_S: IntArray, generation_K: IntArray) -> IntArray:
    """Themes of stored sessions, NO_THEME where the theme was repaired after it was chosen.

    ``generation_S``: the theme's generation when the session was routed.
    """
    known_S = theme_S != NO_THEME
    alive_S = known_S & (generation_K[np.where(known_S, theme_S, 0)] == generation_S)
    return np.where(alive_S, theme_S, NO_THEME)


def repair(
    c_KD: FloatArray, generation_K: IntArray, turned_SD: AnyFloats, theme_S: IntArray
) -> tuple[FloatArray, IntArray]:
    """(prototypes, generations) after dead themes took the sessions that their prototypes show worst.

    ``turned_SD``: W_r z of sessions, of any length; ``theme_S`` their themes. With fewer than ENOUGH routed
    sessions nobody is dead.
    """
    routed_S = theme_S != NO_THEME
    counts_K = np.bincount(theme_S[routed_S], minlength=len(c_KD))
    if counts_K.sum() < ENOUGH:
        return c_KD, generation_K
    dead = np.flatnonzero(counts_K < DEAD_SHARE * counts_K.sum())
    c_KD, generation_K = c_KD.copy(), generation_K.copy()
    unit_SD = _unit(turned_SD[routed_S])
    own_S = (unit_SD * c_KD[theme_S[routed_S]]).sum(axis=1)
    for theme in dead.tolist():
        farthest = int(own_S.argmin())
        c_KD[theme] = unit_SD[farthest]
        generation_K[theme] += 1
        own_S = np.maximum(own_S, unit_SD @ c_KD[theme])  # the next one goes elsewhere
    return c_KD, generation_K


@dataclass(slots=True)
class _Day:
    """What a day of closed sessions has shown: its latest ones."""

    began_ms: int
    sessions: deque[tuple[FloatArray, int]]  # W_r z and theme


class Following:
    """Prototypes that follow closed sessions while W_r stays as it was trained; not thread-safe."""

    def __init__(self, w_r_DD: FloatArray, c_KD: FloatArray, generation_K: IntArray) -> None:
        """Arrays are copied; the rows of ``c_KD`` have length 1."""
        self._w_r_DD = w_r_DD.astype(np.float32)
        self.c_KD = c_KD.astype(np.float32)
        self.generation_K = generation_K.astype(np.int64)
        self._sums_KD = np.zeros_like(self.c_KD)
        self._counts_K = np.zeros(len(c_KD), np.int64)
        self._day: _Day | None = None

    def close(self, z_D: FloatArray, theme: int, end_ms: int) -> None:
        """Learn one closed session: mean of its items' unit lines, its theme, event time of its end.

        Once per EVERY routed sessions c_k ← norm(KEEP c_k + (1 - KEEP) · mean of W_r z), for the themes that
        had one. Once a day (event time) dead themes are repaired. A session without a theme teaches nothing.
        """
        if theme == NO_THEME:
            return
        turned_D = (self._w_r_DD @ z_D).astype(np.float32)
        self._sums_KD[theme] += turned_D
        self._counts_K[theme] += 1
        if self._counts_K.sum() >= EVERY:
            self._move()
        if self._day is None:
            self._day = _Day(end_ms, deque(maxlen=REMEMBERED))
        if end_ms - self._day.began_ms >= DAY_MS:
            self._repair(self._day)
            self._day = _Day(end_ms, deque(maxlen=REMEMBERED))
        self._day.sessions.append((turned_D, theme))

    def _move(self) -> None:
        had = np.flatnonzero(self._counts_K)
        means = self._sums_KD[had] / self._counts_K[had, None]
        self.c_KD[had] = _unit(KEEP * self.c_KD[had] + (1 - KEEP) * means)
        self._sums_KD[:] = 0
        self._counts_K[:] = 0

    def _repair(self, day: _Day) -> None:
        turned_SD = np.stack([turned_D for turned_D, _ in day.sessions])
        theme_S = np.array([theme for _, theme in day.sessions], np.int64)
        before = self.generation_K
        self.c_KD, self.generation_K = repair(self.c_KD, before, turned_SD, theme_S)
        moved = self.generation_K != before
        self._sums_KD[moved] = 0
        self._counts_K[moved] = 0


def _unit(x: AnyFloats) -> AnyFloats:
    unit: AnyFloats = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)
    return unit
