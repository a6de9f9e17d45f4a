"""Which sequences of a question a version reads, and which of its themes it believes.

Knows: kinds, lengths and themes as a request states them. Does not know: items, times, states, weights.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from model.config import KINDS, ModelConfig, MoSConfig
from model.mos_sequences import themes_apply

#: The kind whose items count as seen; it is never encoded.
HISTORY = "history"
#: Where the first theme's state stands, after global and local.
FIRST_THEME = 2


class Question(Protocol):
    """What is needed of a request."""

    @property
    def kinds(self) -> tuple[str, ...]: ...  # "history", then e.g. "global", "local", "theme:3"
    @property
    def lengths(self) -> tuple[int, ...]: ...  # events per kind
    @property
    def themes(self) -> tuple[tuple[int, float], ...]: ...  # (theme, weight), heaviest first
    @property
    def routed_by(self) -> str | None: ...  # version whose table chose the themes


class Part(NamedTuple):
    """One sequence that is read."""

    kind: int  # which of the question's kinds
    view: int  # of KINDS: whose view of the network reads it
    place: int  # where its state stands among the question's


class Reads(NamedTuple):
    """What one question reads."""

    parts: list[Part]  # none of them empty
    themes: tuple[tuple[int, float], ...]  # (theme, weight) that count, in the order of their places


class Kinds:
    """What one version reads."""

    def __init__(self, version: str, config: ModelConfig, mos: MoSConfig | None) -> None:
        """``mos``: None for a version without themes of its own; it reads ``config.sequences``."""
        self.families = config.sequences if mos is None else mos.kinds
        self._version = version
        self._mos = mos

    def reads(self, question: Question) -> Reads:
        """Without MoS states stand side by side; with it global, local, then a place for every theme."""
        kept = [
            (index, kind)
            for index, kind in enumerate(question.kinds)
            if question.lengths[index] > 0 and kind.partition(":")[0] in self.families
        ]
        if self._mos is None:
            views = [KINDS.index(kind.partition(":")[0]) for _, kind in kept]
            return Reads([Part(kept[place][0], view, place) for place, view in enumerate(views)], ())
        themes = self._themes(question, self._mos)
        places = {"global": 0, "local": 1}
        places |= {f"theme:{theme}": place for place, (theme, _) in enumerate(themes, FIRST_THEME)}
        parts = [
            Part(index, min(places[kind], FIRST_THEME), places[kind])
            for index, kind in kept
            if kind in places
        ]
        return Reads(parts, themes)

    def _themes(self, question: Question, mos: MoSConfig) -> tuple[tuple[int, float], ...]:
        """Themes that count: this version's own, where themes apply at all; () otherwise.

        A theme is a number that means something in one version only. Another version's are left out: the
        worker follows within seconds, and until then the user is themeless.
        """
        if "theme" not in mos.kinds or question.routed_by != self._version:
            return ()
        lengths = dict(zip(question.kinds, question.lengths, strict=True))
        if not themes_apply(lengths.get(HISTORY, 0), lengths.get("local", 0)):
            return ()
        return tuple((theme, weight) for theme, weight in question.themes if 0 <= theme < mos.num_themes)
