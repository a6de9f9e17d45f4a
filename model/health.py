"""How evenly experts and themes are used: shares, entropy, margins, drift, and when to worry.

Knows: router logits and counts per theme, as arrays. Imports no torch: whoever only counts may ask too.
Does not know: the network, sessions, who draws the numbers.

The bounds of 2 % and 80 %, drift and movement are our construction.
"""

# L = layers, T = tokens, E = experts, K = themes, I = items

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]

#: A share below or above is alarming. Among more than 25 the lower bound is half an even share.
LOW, HIGH = 0.02, 0.80
#: Fewer prove nothing: one in twenty times a share of 2 % would not be seen at all (0.98^150 = 5 %).
ENOUGH = 150
#: Below this lead rounding may choose another expert (experts.margins).
CLOSE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """How one layer's router spread its tokens."""

    tokens: int
    load: tuple[float, ...]  # share of the tokens by expert, sums to 1; 0 everywhere without a token
    entropy: float  # of the load, nats: log E when even, 0 when one expert has all
    dead: tuple[int, ...]  # experts that no token chose; nobody is dead where there was no token
    margin: float | None  # median lead of the chosen logit over the next; None with one expert or no token
    close: float  # share of the tokens whose lead is below CLOSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Themes:
    """How much each theme has of what was counted."""

    unit: str  # what was counted, in the plural: "events", "sessions"
    total: int
    names: tuple[str, ...]  # K labels
    share: tuple[float, ...]  # by theme, sums to 1; 0 everywhere when nothing was counted
    entropy: float  # of the shares, nats
    drift: float | None  # total variation distance of the shares before and now, 0 to 1; None without both
    moved: tuple[float | None, ...] | None  # movement() of each theme; None without two tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found; what it means in words follows from the numbers."""

    layers: tuple[Layer, ...] = ()
    themes: Themes | None = None

    @property
    def alarms(self) -> list[str]:
        """One sentence per share out of bounds: where, how much of how many, which bound."""
        return [alarm for part in self._parts() if part.total >= ENOUGH for alarm in _alarms(part)]

    @property
    def notes(self) -> list[str]:
        """One sentence per part that has too little to be judged."""
        return [_note(part) for part in self._parts() if len(part.share) > 1 and part.total < ENOUGH]

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the sentences."""
        return {**asdict(self), "alarms": self.alarms, "notes": self.notes}

    def _parts(self) -> Iterator[_Part]:
        for number, layer in enumerate(self.layers):
            names = [f"layer {number}, expert {expert}" for expert in range(len(layer.load))]
            yield _Part(f"layer {number}", names, layer.load, layer.tokens, "tokens")
        if self.themes is not None:
            themes = self.themes
            names = [_named(number, label) for number, label in enumerate(themes.names)]
            yield _Part("themes", names, themes.share, themes.total, themes.unit)


@dataclass(frozen=True, slots=True)
class _Part:
    """Shares of one whole, and what to call them."""

    where: str
    names: Sequence[str]
    share: Sequence[float]
    total: int
    unit: str


def router_health(logits_LTE: AnyArray, valid_T: AnyArray) -> tuple[Layer, ...]:
    """What each layer's router did with the tokens that ``valid_T`` (bool) marks.

    A token counts for its first choice, also where more are kept (as in experts.routing); ties go to the
    lowest.
    """
    return tuple(_layer(logits_TE[np.asarray(valid_T, bool)]) for logits_TE in np.asarray(logits_LTE))


def theme_health(
    counts_K: Sequence[int] | AnyArray,
    *,
    unit: str,
    names: Sequence[str] | None = None,
    before_K: Sequence[int] | AnyArray | None = None,
    moved: Sequence[float | None] | None = None,
) -> Themes:
    """Shares of the counts per theme and their distance to the counts ``before_K``.

    Raises ValueError when names, counts before or movements are of another number of themes.
    """
    counts = np.asarray(counts_K, np.float64)
    for other in (names, before_K, moved):
        if other is not None and len(other) != len(counts):
            raise ValueError(f"{len(other)} beside {len(counts)} themes")
    share_K = _shares(counts)
    drift = None
    if before_K is not None and counts.sum() > 0 and np.sum(before_K) > 0:
        drift = float(np.abs(share_K - _shares(np.asarray(before_K, np.float64))).sum() / 2)
    return Themes(
        unit=unit,
        total=int(counts.sum()),
        names=tuple(names) if names is not None else tuple(f"theme {k}" for k in range(len(counts))),
        share=tuple(share_K.tolist()),
        entropy=entropy(share_K),
        drift=drift,
        moved=None if moved is None else tuple(moved),
    )


def movement(before_IK: AnyArray, now_IK: AnyArray) -> list[float | None]:
    """Per theme: the share of its items before (largest logit) that stand under another number now.

    Both tables list the same items in the same order. Prototypes of two versions live in two spaces; seen by
    the items they can be compared, and themes that only changed numbers show as 1. None for a theme that had
    no item. Raises ValueError when the tables differ in shape.
    """
    if before_IK.shape != now_IK.shape:
        raise ValueError(f"tables of {before_IK.shape} and {now_IK.shape} cannot be compared")
    before_I, now_I = before_IK.argmax(axis=1), now_IK.argmax(axis=1)
    return [
        float((now_I[before_I == theme] != theme).mean()) if (before_I == theme).any() else None
        for theme in range(before_IK.shape[1])
    ]


def entropy(share: Sequence[float] | AnyArray) -> float:
    """-sum p log p in nats; 0 log 0 is 0."""
    p = np.asarray(share, np.float64)
    p = p[p > 0]
    return float(max(0.0, -(p * np.log(p)).sum()))


def lowest_share(num: int) -> float:
    """The bound below which one of ``num`` has too little."""
    return min(LOW, 0.5 / num)


def _layer(logits_TE: AnyArray) -> Layer:
    T, E = logits_TE.shape
    load_E = _shares(np.bincount(logits_TE.argmax(axis=1), minlength=E).astype(np.float64))
    lead_T = np.zeros(0)
    if T and E > 1:
        best_T2 = np.partition(logits_TE, E - 2, axis=1)[:, E - 2 :]
        lead_T = best_T2[:, 1] - best_T2[:, 0]
    return Layer(
        tokens=T,
        load=tuple(load_E.tolist()),
        entropy=entropy(load_E),
        dead=tuple(np.flatnonzero(load_E == 0).tolist()) if T else (),
        margin=float(np.median(lead_T)) if len(lead_T) else None,
        close=float((lead_T < CLOSE).mean()) if len(lead_T) else 0.0,
    )


def _shares(counts: AnyArray) -> AnyArray:
    total = counts.sum()
    return counts / total if total > 0 else np.zeros(len(counts))


def _alarms(part: _Part) -> Iterator[str]:
    num = len(part.share)
    if num == 1:
        return
    low = lowest_share(num)
    for name, share in zip(part.names, part.share, strict=True):
        has = f"{name} has {share:.1%} of {part.total:,} {part.unit}"
        if share < low:
            yield f"{has}, below {100 * low:.3g}%"
        elif share > HIGH:
            yield f"{has}, above {HIGH:.0%}"


def _note(part: _Part) -> str:
    if part.total == 0:
        return f"{part.where}: there were no {part.unit}, so nothing is judged"
    return f"{part.where}: {part.total} {part.unit} are too few to judge, {ENOUGH} are needed"


def _named(number: int, label: str) -> str:
    return label if label == f"theme {number}" else f"theme {number} ({label})"
