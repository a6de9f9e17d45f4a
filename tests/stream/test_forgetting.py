"""What a scorer holds of a user who is forgotten in the turn of their last click: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from model.lineage import TWIN
from stream.asking import Asking, Ranking
from tests.stream.test_contending import Hall
from tests.stream.test_scoring import FixedRanker, World, desk


class Caching(FixedRanker):
    """Holds whom it ranked until it is told to forget them, and says what vectors its lists are made from."""

    def __init__(self, version: str = "000001") -> None:
        super().__init__(version)
        self.held: set[str] = set()

    def rank(
        self, asking: Sequence[Asking], n: int, others: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Ranking:
        self.held |= {one.user for one in asking}
        ranking = super().rank(asking, n, others)
        places = [replace(place, ungated=np.ones(4, np.float32)) for place in ranking.places]
        return replace(ranking, places=places)

    def forget(self, user: str) -> None:
        super().forget(user)
        self.held.discard(user)


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["not sampled", "sampled"])
def test_a_click_beside_its_forget_stays_in_no_cache(share: float) -> None:
    """One turn holds the click and the forget: neither the version that serves nor a contender keeps the
    user, and other users stay."""
    twin, ranker = Caching(TWIN), Caching("000002")
    hall = Hall(_000001=twin)
    hall.world.sample_share = share
    hall.serve(ranker)

    hall.desk.answer([hall.world.ask("ann", "i0"), hall.world.forget("ann"), hall.world.ask("bob", "i1")])

    assert ranker.held == {"bob"}
    assert twin.held == ({"bob"} if share else set())


def test_a_forget_that_is_not_the_newest_state_forgets_too() -> None:
    """A click after it in the same turn takes its list request: what waited of the time before is gone all
    the same, and judges nothing."""
    world, made = World(), desk(Caching())
    made.answer([world.ask("ann", "i0")])
    assert len(made.leading) == 1

    made.answer([world.forget("ann"), world.ask("ann", "new")])

    assert made.leading.weights()[0][1] + made.leading.weights()[1][1] == 0
    assert len(made.stand_ins) == 0  # the click on a new item met no vector of the user
