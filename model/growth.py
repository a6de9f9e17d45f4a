"""A catalogue that grows: which items have a row, which are live, and the arrays that grow with them.

Knows: ids, events and newest time per item, admission, archive, item rows, an optimiser's state of them.
Does not know: how a network learns, events of users, files.

Ids are append-only: an item admitted once keeps its row for good. One that was silent for long is archived:
its row stays where it is, but it is no candidate, no negative and no line of the index that is ranked; its
next event restores it (row admission and expiry: Monolith, arXiv 2209.07663, section 2.1).
"""

# I = items with a code, A = catalogue items, N = new rows, K = themes, D = M * d

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from model.backbone import Backbone
from model.catalogue import Catalogue, new_item_row
from model.config import FIRST_ITEM_ROW
from model.names import Arrays, pack_names, unpack_names
from model.recommender import Codes
from model.spectral import ROW_STD
from model.themes import THEME_TEMPERATURE, ThemeTable

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Items:
    """Every item ever seen, by code in order of the first event: how often, how lately, and its row."""

    def __init__(self) -> None:
        self.codes = Codes()
        self.num_admitted = 0
        self._counts = np.zeros(64, np.int64)
        self._last_ms = np.zeros(64, np.int64)
        self._rows = np.zeros(64, np.int64)  # in the catalogue, or the new-item row of the id

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def counts(self) -> IntArray:
        """(I,) events; not to be changed."""
        return self._counts[: len(self)]

    @property
    def last_ms(self) -> IntArray:
        """(I,) Unix ms of the newest event."""
        return self._last_ms[: len(self)]

    @property
    def rows(self) -> IntArray:
        """(I,) catalogue row, or one of the new-item rows for an item that is not admitted."""
        return self._rows[: len(self)]

    def observe(self, item: str, ts_ms: int, num: int = 1) -> int:
        """One event; the item's code. ``num`` 0: it was counted before, as in ``count``."""
        code = self.codes.admit(item)
        if code == len(self._counts):
            self._counts, self._last_ms, self._rows = (
                np.concatenate([part, np.zeros_like(part)])
                for part in (self._counts, self._last_ms, self._rows)
            )
        if not self._counts[code]:
            self._rows[code] = self._rows[code] or new_item_row(item)
            self._last_ms[code] = ts_ms
        self._counts[code] += num
        self._last_ms[code] = max(self._last_ms[code], ts_ms)
        return code

    def count(self, events_A: IntArray) -> None:
        """Events by catalogue line that made these items known, before any was observed here."""
        admitted = np.flatnonzero(self.rows >= FIRST_ITEM_ROW)
        self._counts[admitted] += events_A[self.rows[admitted] - FIRST_ITEM_ROW]

    def admit(self, items: Sequence[str]) -> None:
        """Give these ids, in this order, the next rows of the catalogue. Raises ValueError for one that has
        a row."""
        for item in items:
            code = self.codes.admit(item)
            if code == len(self._counts):
                self._counts, self._last_ms, self._rows = (
                    np.concatenate([part, np.zeros_like(part)])
                    for part in (self._counts, self._last_ms, self._rows)
                )
            if self._rows[code] >= FIRST_ITEM_ROW:
                raise ValueError(f"item {item!r} has a row")
            self._rows[code] = FIRST_ITEM_ROW + self.num_admitted
            self.num_admitted += 1

    def due(self, min_events: int) -> list[str]:
        """Ids without a row that have so many events, in order of their first."""
        found = np.flatnonzero((self.rows < FIRST_ITEM_ROW) & (self.counts >= min_events))
        return [self.codes.ids[code] for code in found.tolist()]

    def live(self, now_ms: int, silence_ms: int | None) -> Mask:
        """(A,) by catalogue line: whether the item had an event, within ``silence_ms`` if given."""
        admitted = np.flatnonzero(self.rows >= FIRST_ITEM_ROW)
        fresh = self.counts[admitted] > 0
        if silence_ms is not None:
            fresh &= self.last_ms[admitted] >= now_ms - silence_ms
        live_A = np.zeros(self.num_admitted, bool)
        live_A[self.rows[admitted] - FIRST_ITEM_ROW] = fresh
        return live_A

    def by_line(self, of_code_I: IntArray) -> IntArray:
        """(A,) a number per code, such as ``counts`` or ``last_ms``, in the order of the catalogue."""
        admitted = np.flatnonzero(self.rows >= FIRST_ITEM_ROW)
        by_line_A = np.zeros(self.num_admitted, np.int64)
        by_line_A[self.rows[admitted] - FIRST_ITEM_ROW] = of_code_I[admitted]
        return by_line_A

    def catalogue(self) -> Catalogue:
        """The admitted ids in row order."""
        admitted = np.flatnonzero(self.rows >= FIRST_ITEM_ROW)
        order = admitted[np.argsort(self.rows[admitted])]
        return Catalogue([self.codes.ids[code] for code in order.tolist()])

    def to_arrays(self) -> Arrays:
        return {
            **pack_names("ids", self.codes.ids),
            "counts": self.counts.copy(),
            "last_ms": self.last_ms.copy(),
            "rows": self.rows.copy(),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Items:
        made = cls()
        for item in unpack_names("ids", arrays):
            made.codes.admit(item)
        if len(made.codes):
            made._counts = np.array(arrays["counts"], np.int64)
            made._last_ms = np.array(arrays["last_ms"], np.int64)
            made._rows = np.array(arrays["rows"], np.int64)
        made.num_admitted = int((made.rows >= FIRST_ITEM_ROW).sum())
        return made


def first_rows(
    model: Backbone, items: Sequence[str], lines: Mapping[str, FloatArray], random: np.random.Generator
) -> FloatArray:
    """(N, M, d) rows to begin with: an item's line (D,) where there is one, else noise; each sub-row scaled
    to the median length of the stream's trained ones."""
    config = model.config
    rows_NMd = random.normal(0.0, ROW_STD, (len(items), config.streams, config.stream_dim))
    for place, item in enumerate(items):
        if item in lines:
            rows_NMd[place] = np.asarray(lines[item], np.float64).reshape(config.streams, config.stream_dim)
    lengths_NM1 = np.linalg.norm(rows_NMd, axis=2, keepdims=True)
    trained_AM = model.items.detach()[FIRST_ITEM_ROW:].norm(dim=2)
    usual_M1 = trained_AM.median(dim=0).values.cpu().numpy().astype(np.float64)[:, None]
    scaled: FloatArray = (rows_NMd / np.maximum(lengths_NM1, 1e-12) * usual_M1).astype(np.float32)
    return scaled


def grow(model: Backbone, optimisers: Sequence[torch.optim.Optimizer], rows_NMd: FloatArray) -> None:
    """Append item rows (N, M, d) to the network in place; what is there stays bit-identical.

    Each optimiser that holds the item rows goes on with the grown ones, zero moments for the new rows.
    """
    if not len(rows_NMd):
        return
    before = model.items
    more = torch.from_numpy(np.ascontiguousarray(rows_NMd)).to(before.device)
    model.items = nn.Parameter(torch.cat([before.detach(), more]), requires_grad=before.requires_grad)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["params"] = [model.items if one is before else one for one in group["params"]]
        if before in optimiser.state:
            state = optimiser.state.pop(before)
            optimiser.state[model.items] = {
                name: torch.cat([value, value.new_zeros((len(more), *value.shape[1:]))])
                if isinstance(value, torch.Tensor) and value.shape[:1] == before.shape[:1]
                else value
                for name, value in state.items()
            }


def refreshed_index(model: Backbone, index_AD: FloatArray, touched: IntArray) -> FloatArray:
    """(A', D) index of the grown network: only lines at ``touched`` places and new ones are made anew."""
    num_items = len(model.items) - FIRST_ITEM_ROW
    made = np.zeros((num_items, model.config.dim), np.float32)
    made[: len(index_AD)] = index_AD
    anew = np.union1d(touched, np.arange(len(index_AD), num_items))
    if len(anew):
        with torch.inference_mode():
            made[anew] = model.lines(torch.from_numpy(anew + FIRST_ITEM_ROW)).float().cpu().numpy()
    return made


def refreshed_themes(
    table: ThemeTable, before_AD: FloatArray, index_AD: FloatArray, catalogue: Catalogue, touched: IntArray
) -> ThemeTable:
    """The table for a grown index: prototypes and labels stay, touched and new items get their logits anew.

    Prototypes are what the table's logits say of its lines ``before_AD``, by least squares: exact where the
    lines span the space of the prototypes.
    """
    unit_AD = _unit(before_AD)
    prototypes_DK = np.linalg.lstsq(unit_AD, table.logits_IK.astype(np.float64), rcond=None)[0]
    logits_AK = np.zeros((len(index_AD), table.logits_IK.shape[1]), np.float32)
    logits_AK[: len(before_AD)] = table.logits_IK
    anew = np.union1d(touched, np.arange(len(before_AD), len(index_AD)))
    logits_AK[anew] = np.clip(
        _unit(index_AD[anew]) @ prototypes_DK, -1 / THEME_TEMPERATURE, 1 / THEME_TEMPERATURE
    )
    return ThemeTable(catalogue, logits_AK, table.labels)


def _unit(lines_AD: FloatArray) -> npt.NDArray[np.float64]:
    lines = lines_AD.astype(np.float64)
    return np.asarray(lines / np.maximum(np.linalg.norm(lines, axis=1, keepdims=True), 1e-6))
