"""How fast networks train, side by side: one full step of each, and what fresh negatives would cost.

Knows: the measured recipes, made-up histories that fill every window, steps exactly as training takes them.
Does not know: data, how well anything ranks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from model.allocator import keep_freed_memory
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.families import RECIPES, build
from model.run import Run
from model.sequences import Histories, Windows, batches
from ops.bench.harness import Bar, Case, Report, row, side_by_side

SEED = 0
SEQUENCES = 64  # per step
EVENTS = 50  # per sequence, all of them full
ITEMS = 20_000
REPEATS = 9
WARMUPS = 2
FAMILIES = ("sasrec", "fuxi", "fuxi-mme")
PRECISIONS = ("fp32", "bf16")
FRESH = "fuxi-mme, fresh negatives per position"
#: Promised in one run: of the rival's speed, and of the speed with fresh negatives.
OF_SASREC = 0.6
TIMES_FRESH = 8


def run() -> Report:
    """Measure on one core; a minute or two. The bars are for fp32, the recipe's default."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    keep_freed_memory()
    events = _histories()
    cases: dict[str, Case] = {}
    for family, precision in itertools.product(FAMILIES, PRECISIONS):
        cases[f"{family} {precision}"] = _steps(family, events, precision=precision)
    cases[FRESH] = _steps("fuxi-mme", events, negatives_per="position")
    samples = side_by_side(cases, warmups=WARMUPS, repeats=REPEATS)
    rows = {name: row(name, measured, SEQUENCES) for name, measured in samples.items()}
    of_sasrec = {
        f"{family} {precision}": rows[f"sasrec {precision}"].cpu_ms / rows[f"{family} {precision}"].cpu_ms
        for family, precision in itertools.product(FAMILIES[1:], PRECISIONS)
    }
    times_fresh = rows[FRESH].cpu_ms / rows["fuxi-mme fp32"].cpu_ms
    return Report(
        bench="train",
        seed=SEED,
        rows=list(rows.values()),
        bars=[
            Bar(name="fuxi-mme, of sasrec's speed", value=of_sasrec["fuxi-mme fp32"], at_least=OF_SASREC),
            Bar(name="fuxi-mme, times fresh negatives", value=times_fresh, at_least=TIMES_FRESH),
        ],
        notes={
            "sequences": SEQUENCES,
            "events": EVENTS,
            "items": ITEMS,
            "dim": RECIPES["sasrec"].model.dim,
            "negatives": TrainConfig().negatives,
            "threads": 1,
            "of_sasrec": of_sasrec,
        },
    )


def _histories() -> Histories:
    """Users of one window each, with one event more: the last target."""
    random = np.random.default_rng(SEED)
    users, events = 4 * SEQUENCES, EVENTS + 1
    gaps_ms = random.integers(1000, 10**8, (users, events))
    return Histories(
        rows=random.integers(FIRST_ITEM_ROW, FIRST_ITEM_ROW + ITEMS, users * events),
        times_ms=(1_600_000_000_000 + gaps_ms.cumsum(1)).flatten(),
        starts=np.arange(users + 1) * events,
        users=np.arange(users),
        order=np.arange(users * events),
    )


def _steps(family: str, events: Histories, *, precision: str = "fp32", negatives_per: str = "batch") -> Case:
    """One step of training; its batch is made unmeasured."""
    shape, recipe = RECIPES[family]
    recipe = replace(
        recipe,
        window=EVENTS,
        batch=SEQUENCES,
        positions=SEQUENCES * EVENTS,
        precision=precision,
        negatives_per=negatives_per,
    )
    training = Run(build(shape, FIRST_ITEM_ROW + ITEMS).train(), events, recipe)
    windows = _for_ever(training, events)

    def turn() -> Callable[[], object]:
        batch = next(windows)
        return lambda: training.step(batch)

    return turn


def _for_ever(training: Run, events: Histories) -> Iterator[Windows]:
    recipe = training.config
    while True:
        yield from batches(
            events,
            window=recipe.window,
            batch=recipe.batch,
            positions=recipe.positions,
            new_item_share=recipe.new_item_share,
            random=training.random,
        )
