"""Themes of sessions from a published table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stream.codec import NO_THEME
from stream.themes import Router, choose, leading


class TwoThemes:
    """Items that start with "a" lean to theme 0, "b" to theme 1; anything else is unknown."""

    def logits_of(self, item: str) -> npt.NDArray[np.float32] | None:
        known = {"a": [4.0, 0.0], "b": [0.0, 4.0]}
        return np.array(known[item[0]], np.float32) if item[0] in known else None


def test_a_session_goes_to_the_theme_of_its_items() -> None:
    """The mean of the items' logits decides."""
    router = Router(TwoThemes(), "000001")

    assert leading(choose(*router.session_logits(["a1", "a2", "b1"]))) == 0
    assert leading(choose(*router.session_logits(["b1", "b2", "a1"]))) == 1


def test_unknown_items_say_nothing() -> None:
    """A session of unknown items has no theme; one known item gives it one."""
    router = Router(TwoThemes(), "000001")

    assert leading(choose(*router.session_logits(["x", "y"]))) == NO_THEME
    assert choose(*router.session_logits(["x", "b1"])) == choose(*router.session_logits(["b1"]))


def test_two_themes_are_named_when_they_are_close() -> None:
    """Equal evidence names both, the lower theme first."""
    router = Router(TwoThemes(), "000001")
    themes = choose(*router.session_logits(["a1", "b1"]))

    assert [theme for theme, _ in themes] == [0, 1]
    assert [weight for _, weight in themes] == pytest.approx([0.5, 0.5])


def test_without_a_version_nothing_is_routed() -> None:
    """Before the first version every session is themeless."""
    assert choose(*Router().session_logits(["a1"])) == ()
