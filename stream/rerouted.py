"""Closed sessions as the version that routes now sees them: their themes, and whom a theme's window holds.

Knows: that another version's numbers mean other themes.
Does not know: how state is stored, when a session closes.

A session keeps the theme that the version of its day chose (it stands in the state and never changes). Under
another version its theme is chosen anew from its items, so that a published version speaks for whole
histories at once and not only for what is clicked after it (our construction).
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.codec import Closed
from stream.themes import Router, choose, leading
from stream.windows import moved_theme


def themes_of(closed: Sequence[Closed], router: Router) -> list[int]:
    """Per session the theme that this router's version gives it."""
    return [
        session.theme
        if session.routed_by == router.version
        else leading(choose(*router.session_logits(session.items)))
        for session in closed
    ]


def window(closed: Sequence[Closed], themes: Sequence[int], theme: int, first: int) -> list[int]:
    """Positions of the sessions in the theme's window; ``first``: number of its first session so far."""
    alike = [
        at
        for at, (session, found) in enumerate(zip(closed, themes, strict=True))
        if found == theme and session.number >= first
    ]
    return alike[moved_theme([len(closed[at].items) for at in alike]) :]
