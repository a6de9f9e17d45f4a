"""Step 4 of a swap: a version that is ready becomes the one that serves, or what served goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stream import hotswap
from stream.adopting import Adopting
from stream.hotswap import HotSwap
from stream.recent import Kept, Recent
from tests.stream.test_rollback_adopted import AtOnce
from tests.stream.test_scoring import FixedRanker, World, desk, lists


class Failing(FixedRanker):
    """A version that proves itself and fails at one of the things that only an adoption asks."""

    def __init__(self, at: str) -> None:
        super().__init__("000002", 2)
        self._at = at
        self._ranking = False

    @property
    def shape(self) -> tuple[int, int]:
        if self._at == "shape":
            raise ValueError("no shape")
        return super().shape

    def lines(self, items: Sequence[str]) -> npt.NDArray[np.int64]:
        if self._at == "lines" and not self._ranking:
            raise KeyError("no line")
        return super().lines(items)

    def rank(self, *asked: Any) -> Any:
        self._ranking = True
        try:
            return super().rank(*asked)
        finally:
            self._ranking = False


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotswap, "CHECK_S", 0.0)


@pytest.mark.parametrize("at", ["shape", "lines"])
def test_a_version_that_fails_when_it_is_adopted_is_refused(
    at: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It proved itself; all the same lists go on as if it had never been, nobody waits for one of its, and
    the next version is welcome."""
    world, made, plain, recent = World(), desk(), desk(FixedRanker()), Recent(10)
    versions: list[FixedRanker] = [FixedRanker()]
    swap = HotSwap(lambda: versions[-1], lambda *_: versions[-1], AtOnce(), 8)
    adopting = Adopting(swap, made, recent)
    adopting.poll()
    first = [world.ask("ann", "i1"), world.ask("bob", "i2")]
    recent.remember(Kept("ann", 0, 0, first[0].raw))
    assert lists(made.answer(first)) == lists(plain.answer(first))

    versions.append(Failing(at))
    adopting.poll()
    more = [world.ask("ann", "i3"), world.ask("bob", "i4")]

    assert lists(made.answer(more)) == lists(plain.answer(more))
    assert (swap.refused, recent.waiting) == (1, 0)
    assert "version 000002 refused, the old one keeps serving" in caplog.text

    versions.append(FixedRanker("000003", 3))
    adopting.poll()
    [found] = lists(made.answer([world.ask("ann", "i5")]))
    assert (found.model, recent.waiting) == ("000003", 1)
