"""The served sum of one request against every item scored by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.blend import EPSILON, NO_LINE, OUTSIDE, Modelled, Rows, alone, blend
from model.memory import Recalled
from model.sums import WEIGHTS

TEMPERATURE = 0.05


def whole(
    cosines: np.ndarray,
    memory: np.ndarray,
    open_J: np.ndarray,
    known: np.ndarray,
    rows: dict[int, float],
    weight: float,
) -> list[int]:
    """Items 0..J-1 scored one by one: unknown ones by their provisional row, else by what the memory's known
    proposals have on average."""
    cosines, known = cosines.copy(), known.copy()
    for item, cosine in rows.items():
        cosines[item], known[item] = cosine, True
    told = [item for item in range(len(memory)) if open_J[item] and known[item] and memory[item] > 0]
    total = sum(memory[item] for item in told)
    mean = sum(memory[item] * cosines[item] for item in told) / total if told else 0.0
    scored = []
    for item in np.flatnonzero(open_J).tolist():
        cosine = cosines[item] if known[item] else mean
        if known[item] or memory[item] > 0:
            score = weight / TEMPERATURE * cosine + (1 - weight) * np.log(memory[item] + EPSILON)
            scored.append((-round(score, 9), -round(cosine, 9), item))
    return [item for _, _, item in sorted(scored)]


@given(seed=st.integers(0, 10_000), num_known=st.integers(1, 30), num_new=st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_the_top_is_that_of_the_whole_catalogue(seed: int, num_known: int, num_new: int) -> None:
    """Whatever the model, memory and provisional rows know, and whatever is barred, under every weight."""
    random = np.random.default_rng(seed)
    num, n = num_known + num_new, 5
    # binary fractions: sums are exact, so that ties are ties in whatever order they are added up
    known = np.arange(num) < num_known  # codes of the memory are items, and lines are known items
    cosines = np.where(known, random.integers(-16, 17, num) / 16, 0.0)
    memory = np.where(random.random(num) < 0.4, 2.0 ** random.integers(-3, 2, num), 0.0)
    open_J = random.random(num) < 0.8
    rows = {
        item: float(random.integers(-16, 17)) / 16 for item in range(num_known, num) if random.random() < 0.5
    }
    shown = np.flatnonzero(open_J & known)
    best = sorted(shown.tolist(), key=lambda line: (-cosines[line], line))[:n]
    codes = np.flatnonzero(memory)
    modelled = Modelled(
        np.array(best, np.int64),
        cosines[best],
        np.where(codes < num_known, codes, NO_LINE),
        cosines[codes],
        np.flatnonzero(known & ~open_J),
        TEMPERATURE,
    )
    given_rows = Rows(np.array(sorted(rows), np.int64), np.array([rows[item] for item in sorted(rows)]))

    made = blend(modelled, Recalled(codes, memory[codes]), np.flatnonzero(~open_J), given_rows)

    for place, weight in enumerate(WEIGHTS):
        top = made.places_C[made.best(n, place)]
        items = [int(one) - OUTSIDE if one >= OUTSIDE else int(one) for one in top]
        assert items == whole(cosines, memory, open_J, known, rows, weight)[:n]


def test_every_weight_has_a_list_to_be_judged_by() -> None:
    """Eleven lists; the first is the memory's order, the last the model's."""
    modelled = Modelled(
        np.array([2, 0]),
        np.array([0.9, 0.5]),
        np.array([0, 1]),
        np.array([0.5, 0.1]),
        np.zeros(0, np.int64),
        TEMPERATURE,
    )

    lists = blend(modelled, Recalled(np.array([4, 7]), np.array([1.0, 2.0])), np.zeros(0, np.int64)).lists()

    assert len(lists) == len(WEIGHTS)
    assert (lists[0], lists[-1]) == ([1, 0, 2], [2, 0, 1])


def test_the_memory_alone_needs_no_model() -> None:
    """Its items in its order, without what must not be shown."""
    made = alone(Recalled(np.array([1, 4, 6]), np.array([1.0, 3.0, 2.0])), np.array([4]))

    assert (made.places_C[made.best(10, 0)] - OUTSIDE).tolist() == [6, 1]
