"""A GPU beside the CPU: the same lists, and what encoding, cached steps and training steps take there.

Knows: untrained networks of the measured recipes, made-up histories, two clocks of a device.
Does not know: how lists are compared (parity.py), what the CPU takes (encode.py, train.py).

A step as served makes its index tensors on the host; with fixed shapes nothing does, which is what a CUDA
graph needs. Both are measured, the second with and without a graph, which shows what graphs would save.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from model.backbone import last
from model.batch import padded
from model.cache import PrefixCache, slot_bytes
from model.config import FIRST_ITEM_ROW
from model.families import RECIPES, build
from model.mme import FuxiMME
from model.precision import products_in
from model.run import Run
from model.sequences import Histories, Windows
from model.slots import New
from ops.bench import parity
from ops.bench.fixed_step import FixedStep
from ops.bench.harness import Bar, Case, Report, Row, row, side_by_side

SEED = 0
ITEMS = 60_000
EVENTS = 200  # per history when measuring starts
ENCODED = (64, 512)  # histories at once
STEPS = (64, 256, 1024, 4096)  # users at once
TRAINED = (64, 512)  # windows per step
WINDOW = 50  # events per window, all of them full
FAMILIES = ("sasrec", "fuxi-mme")
PRECISIONS = ("fp32", "bf16")
REPEATS = 15
WARMUPS = 3
SERVED = RECIPES["served"].model
#: Whose lists are compared: streams weighted by context or evenly.
COMPARED = {"facet gate": replace(SERVED, facet_gate=True), "even streams": replace(SERVED, facet_gate=False)}


def why_not() -> str | None:
    """Why nothing can be measured on this machine, or None."""
    if torch.cuda.is_available():
        return None
    built = "" if torch.version.cuda else ", and this torch was built without CUDA"
    return f"no CUDA device is here{built}"


@dataclass(slots=True)
class _Measured:
    """What was measured so far."""

    device: torch.device
    rows: list[Row] = field(default_factory=list)
    per_second: dict[str, float] = field(default_factory=dict)  # by the clock on the wall, at the median
    device_ms: dict[str, float] = field(default_factory=dict)  # medians; empty on a CPU

    def add(self, cases: Mapping[str, tuple[Case, int]]) -> None:
        """Measure cases by turns; a case comes with how many histories, users or windows it does at once."""
        spent: dict[str, list[float]] = {name: [] for name in cases}
        timed = {name: _timed(case, self.device, spent[name]) for name, (case, _) in cases.items()}
        for name, samples in side_by_side(timed, warmups=WARMUPS, repeats=REPEATS).items():
            made = row(name, samples)
            self.rows.append(made)
            self.per_second[name] = cases[name][1] / made.wall_ms * 1e3
            if spent[name]:
                self.device_ms[name] = statistics.median(spent[name][WARMUPS:])

    def findings(self) -> list[str]:
        """A line per case."""
        return [
            f"{name}: {rate:,.0f} per second"
            + (f", {self.device_ms[name]:.3f} ms between two events" if name in self.device_ms else "")
            for name, rate in self.per_second.items()
        ]


def _timed(case: Case, device: torch.device, device_ms: list[float]) -> Case:
    """A case that ends when the device has: a call alone only says what is to be done.

    ``device_ms`` gets the time between events before and after, in which the device may have waited for us.
    """

    def turn() -> Callable[[], object]:
        call = case()
        if device.type != "cuda":
            return call
        torch.cuda.synchronize(device)

        def measured() -> None:
            before = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            after = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            before.record()
            call()
            after.record()
            torch.cuda.synchronize(device)
            device_ms.append(before.elapsed_time(after))

        return measured

    return turn


def run(device: str = "cuda") -> Report:
    """Compare, then measure; a few minutes. The bars are about answers: to miss one is an error.

    ``device``: "cpu" runs everything but the graphs, to test it.
    """
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")  # no TF32
    lists = {name: parity.compared(device, config) for name, config in COMPARED.items()}
    measured = _Measured(torch.device(device))
    random = np.random.default_rng(SEED)
    model = parity.decided(FuxiMME(SERVED, FIRST_ITEM_ROW + ITEMS)).to(measured.device)
    for num in ENCODED:
        measured.add(_encodings(model, num, random))
    for num in STEPS:
        measured.add(_steps(model, num, random))
    for num in TRAINED:
        measured.add(_trainings(measured.device, num, random))
    return Report(
        bench="gpu",
        seed=SEED,
        rows=measured.rows,
        bars=[bar for name, found in lists.items() for bar in _bars(name, found)],
        notes={
            **_about(measured.device),
            "tolerance": parity.TOLERANCE,
            "least_margin": parity.LEAST_MARGIN,
            "lists": {name: asdict(found) for name, found in lists.items()},
            "items": ITEMS,
            "events": EVENTS,
            "window": WINDOW,
            "per_second": measured.per_second,
            "device_ms": measured.device_ms,
        },
        findings=[
            *(_finding(name, found) for name, found in lists.items()),
            *measured.findings(),
        ],
    )


def _about(device: torch.device) -> dict[str, Any]:
    """The card's name: numbers mean nothing without it."""
    if device.type != "cuda":
        return {"device": device.type}
    about = torch.cuda.get_device_properties(device)
    return {
        "device": about.name,
        "capability": f"{about.major}.{about.minor}",
        "memory_mb": about.total_memory >> 20,
        "cuda": torch.version.cuda,
    }


def _bars(name: str, found: parity.Lists) -> list[Bar]:
    return [
        Bar(name=f"{name}, lists alike, %", value=100 * found.alike / max(1, found.compared), at_least=100),
        Bar(
            name=f"{name}, lists compared, %",
            value=100 * found.compared / max(1, found.asked),
            at_least=parity.COMPARED_PERCENT,
        ),
    ]


def _finding(name: str, found: parity.Lists) -> str:
    return (
        f"{name}: {found.alike} of {found.compared} lists alike within {parity.TOLERANCE:g}, largest "
        f"difference {found.largest:.1e}; {found.asked - found.compared} had a close call and were left out"
    )


def _rows(num: int, random: np.random.Generator) -> np.ndarray:
    return random.integers(FIRST_ITEM_ROW, FIRST_ITEM_ROW + ITEMS, num)


def _times_ms(num: int, random: np.random.Generator) -> np.ndarray:
    gaps_ms = random.integers(1000, 10**8, num)
    return 1_600_000_000_000 + gaps_ms.cumsum()


def _encodings(model: FuxiMME, num: int, random: np.random.Generator) -> dict[str, tuple[Case, int]]:
    """Full encoding of histories, from the first event on."""
    device = model.items.device
    sequences = [(_rows(EVENTS, random), _times_ms(EVENTS, random)) for _ in range(num)]
    batch = padded(sequences, model.config.max_events).to(device)

    def encode(precision: str) -> torch.Tensor:
        with torch.inference_mode(), products_in(precision, device):
            encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
            return model.vectors(last(encoded.states_BNMd, batch.lengths_B))

    def case(precision: str) -> Case:
        return lambda: lambda: encode(precision)

    return {f"encoding, {num} at once, {precision}": (case(precision), num) for precision in PRECISIONS}


def _steps(model: FuxiMME, num: int, random: np.random.Generator) -> dict[str, tuple[Case, int]]:
    """One new event for everyone; graphs only where there are any."""
    name = f"cached step, {num} at once"
    cases = {f"{name}, as served": _served(model, num, random), f"{name}, fixed": _fixed(model, num, random)}
    if model.items.device.type == "cuda":
        cases[f"{name}, CUDA graph"] = _fixed(model, num, random, graph=True)
    return {name: (case, num) for name, case in cases.items()}


def _served(model: FuxiMME, num: int, random: np.random.Generator) -> Case:
    """As a scorer's cache does it, slots in no order."""
    cache = PrefixCache(model, num * slot_bytes(model))
    slots = random.permutation(num).tolist()
    times_ms = [_times_ms(EVENTS + WARMUPS + REPEATS, random) for _ in slots]
    at = EVENTS

    def new(place: int, start: int, stop: int) -> New:
        rows = _rows(stop - start, random)
        return New(slot=slots[place], start=start, rows=rows, times_ms=times_ms[place][start:stop])

    def turn() -> Callable[[], object]:
        nonlocal at
        news = [new(place, at, at + 1) for place in range(num)]
        at += 1
        return lambda: cache.extend(news)

    cache.extend([new(place, 0, EVENTS) for place in range(num)])
    return turn


def _fixed(model: FuxiMME, num: int, random: np.random.Generator, *, graph: bool = False) -> Case:
    """With fixed shapes: keys padded to the longest sequence, since one graph is to serve all."""
    device = model.items.device
    slots_S = torch.from_numpy(random.permutation(num)).to(device)
    times_ms = [_times_ms(EVENTS + WARMUPS + REPEATS, random) for _ in range(num)]
    held = padded([(_rows(EVENTS, random), times[:EVENTS]) for times in times_ms], EVENTS).to(device)
    step = FixedStep(model, held, slots_S, model.config.max_events)
    if graph:
        step.capture()
    at = EVENTS

    def turn() -> Callable[[], object]:
        nonlocal at
        rows_S = torch.from_numpy(_rows(num, random))
        times_S = torch.tensor([times[at] for times in times_ms])
        at += 1
        return lambda: step(rows_S, times_S)

    return turn


def _trainings(device: torch.device, num: int, random: np.random.Generator) -> dict[str, tuple[Case, int]]:
    """One full step of each network."""
    events = [(_rows(WINDOW + 1, random), _times_ms(WINDOW + 1, random)) for _ in range(num)]
    windows = Windows(
        sequences=[(rows[:-1], times_ms[:-1]) for rows, times_ms in events],
        targets=[rows[1:] for rows, _ in events],
        asked_ms=[times_ms[1:] for _, times_ms in events],
    )
    histories = Histories(
        rows=np.concatenate([rows for rows, _ in events]),
        times_ms=np.concatenate([times_ms for _, times_ms in events]),
        starts=np.arange(num + 1) * (WINDOW + 1),
        users=np.arange(num),
        order=np.arange(num * (WINDOW + 1)),
    )

    def case(family: str, precision: str) -> Case:
        shape, recipe = RECIPES[family]
        model = build(shape, FIRST_ITEM_ROW + ITEMS).to(device).train()
        training = Run(model, histories, replace(recipe, precision=precision))
        return lambda: lambda: training.step(windows)

    return {
        f"training step, {num} windows, {family} {precision}": (case(family, precision), num)
        for family in FAMILIES
        for precision in PRECISIONS
    }
