"""How fast networks train, side by side: one full step of each, and what fresh negatives cost.

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
from model.batch import padded
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.families import RECIPES, build
from model.losses import sampled_softmax
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
#: Fresh negatives per position: by our own option, and as the papers' code has them, every line gathered at
#: once and normalised for itself; gigabytes for a whole step, so it gets a quarter of the sequences.
FRESH = "fuxi-mme, fresh negatives, our option"
PLAIN = "fuxi-mme, fresh negatives, gathered whole"
PLAIN_SEQUENCES = SEQUENCES // 4
#: Promised in one run: of the rival's speed, and of the speed with fresh negatives gathered whole.
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
    cases[PLAIN] = _plain_steps(events)
    samples = side_by_side(cases, warmups=WARMUPS, repeats=REPEATS)
    rows = {
        name: row(name, measured, PLAIN_SEQUENCES if name == PLAIN else SEQUENCES)
        for name, measured in samples.items()
    }
    shared = "fuxi-mme fp32"
    times = {name: (rows[shared].per_core_s or 0) / (rows[name].per_core_s or 1) for name in (FRESH, PLAIN)}
    of_sasrec = {
        f"{family} {precision}": rows[f"sasrec {precision}"].cpu_ms / rows[f"{family} {precision}"].cpu_ms
        for family, precision in itertools.product(FAMILIES[1:], PRECISIONS)
    }
    return Report(
        bench="train",
        seed=SEED,
        rows=list(rows.values()),
        bars=[
            Bar(name="fuxi-mme, of sasrec's speed", value=of_sasrec[shared], at_least=OF_SASREC),
            Bar(name="times fresh negatives, gathered whole", value=times[PLAIN], at_least=TIMES_FRESH),
        ],
        notes={
            "sequences": SEQUENCES,
            "events": EVENTS,
            "items": ITEMS,
            "dim": RECIPES["sasrec"].model.dim,
            "negatives": TrainConfig().negatives,
            "threads": 1,
            "of_sasrec": of_sasrec,
            "times_fresh": times,
            "sequences_gathered_whole": PLAIN_SEQUENCES,
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
    training = _training(family, events, SEQUENCES, precision, negatives_per)
    windows = _for_ever(training, events)

    def turn() -> Callable[[], object]:
        batch = next(windows)
        return lambda: training.step(batch)

    return turn


def _plain_steps(events: Histories) -> Case:
    """One step with fresh negatives, the plain way."""
    training = _training("fuxi-mme", events, PLAIN_SEQUENCES, "fp32", "position")
    windows = _for_ever(training, events)

    def turn() -> Callable[[], object]:
        batch = next(windows)
        return lambda: _plain_step(training, batch)

    return turn


def _plain_step(training: Run, windows: Windows) -> None:
    model, config = training.model, training.config
    batch = padded(windows.sequences, model.config.max_events)
    encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
    states_TD = model.vectors(encoded.states_BNMd.flatten(0, 1))  # every position is filled
    targets_T = torch.from_numpy(np.concatenate(windows.targets))
    negatives_TR = training.sampler.draw(len(targets_T))
    positive_T = (states_TD * model.lines(targets_T)).sum(1)
    negative_TR = torch.bmm(model.lines(negatives_TR), states_TD[:, :, None])[:, :, 0]
    loss = sampled_softmax(positive_T, negative_TR, targets_T, negatives_TR, model.config.temperature)
    training.optimiser.zero_grad(set_to_none=True)
    total = loss + config.balance * encoded.balance + config.z_loss * encoded.z
    total.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()


def _training(family: str, events: Histories, sequences: int, precision: str, negatives_per: str) -> Run:
    shape, recipe = RECIPES[family]
    recipe = replace(
        recipe,
        window=EVENTS,
        batch=sequences,
        positions=sequences * EVENTS,
        precision=precision,
        negatives_per=negatives_per,
    )
    return Run(build(shape, FIRST_ITEM_ROW + ITEMS).train(), events, recipe)


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
