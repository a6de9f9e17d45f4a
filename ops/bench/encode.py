"""What the prefix cache saves: full encoding beside one position against cached keys and values, and ranking.

Knows: made-up users whose sequences grow by pure appends, the best case; an untrained network of the default
shape, whose speed is that of a trained one. What returning users of real data sets cost is counted beside it.
Does not know: Kafka, decoding, how the replay makes its requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch

from model.backbone import last, unit, user_vector
from model.batch import Batch, padded
from model.cache import PrefixCache
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, KINDS, ModelConfig, MoSConfig
from model.mme import FuxiMME
from model.mos import MoS
from model.ranking import Ranker
from model.scorer import Scorer
from model.slots import New
from model.version import MoSWeights
from ops.bench.appending import Users
from ops.bench.harness import Bar, Case, Report, Row, row, side_by_side
from ops.bench.parity import Untrained
from ops.bench.returning import Costs, replayed
from ops.datasets import open_dataset
from ops.datasets.errors import DatasetMissing
from stream.sessions import extend
from stream.settings import load

SEED = 0
NAME = "untrained"
USERS = 64
ITEMS = 60_000
TOP = 50
REPEATS = 15
WARMUPS = 2
#: Events per kind when measuring starts; one sequence, then the four of a user with themes.
ONE = {"global": 200}
FOUR = {"global": 200, "local": 48, "theme:0": 64, "theme:1": 64}
#: What a click leaves as it is: it is in the sequence of its own session's theme, not in the second theme's.
STILL = "theme:1"
CACHE_BYTES = 512 << 20
#: Promised for one sequence on one core of a laptop.
REQUESTS_PER_S = 2500
TIMES_FULL = 25
#: Promised for four: the step alone against the encoding alone, neither with what a scorer does around it.
TIMES_FULL_STEP = 40
#: Promised: the best of the catalogue within twice the time of the product.
PRODUCT_PERCENT = 50
#: Replayed for their users, who leave and come back; left out where they are not on this machine.
REPLAYED = ("yelp2020-ticoserec", "kuairand-pure-part")


def run() -> Report:
    """Measure on one core; about three minutes, two of them for the replays."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    rng = random.Random(SEED)
    catalogue = Catalogue([f"item-{number}" for number in range(ITEMS)])
    cases: dict[str, Case] = {}
    for lengths, themed in ((ONE, False), (FOUR, True)):
        version = _untrained(catalogue, ModelConfig(), themed=themed)
        users = Users(catalogue.items, lengths, rng, num=USERS, routed_by=NAME)
        label = "one sequence" if len(lengths) == 1 else "four sequences"
        cases[f"{label}: full encoding"] = _full(version, users)
        cases[f"{label}: the cached step alone"] = _step(version, lengths, rng)
        cases[f"{label}: one new position each"] = _cached(version, users)
        if themed:
            grown = {kind: length for kind, length in lengths.items() if kind != STILL}
            clicked = Users(catalogue.items, lengths, rng, num=USERS, routed_by=NAME, still=STILL)
            cases[f"{label}: the step of a click alone"] = _step(version, grown, rng)
            cases[f"{label}: a click"] = _cached(version, clicked)
    product, top = "its bare matrix product", f"top {TOP} of {ITEMS:,} items"
    cases[top], cases[product] = _ranking(version, rng)
    samples = side_by_side(cases, warmups=WARMUPS, repeats=REPEATS)
    rows = {name: row(name, measured, USERS) for name, measured in samples.items()}
    one = rows["one sequence: one new position each"]
    replays = {name: _replay(name) for name in REPLAYED}
    return Report(
        bench="encode",
        seed=SEED,
        rows=list(rows.values()),
        bars=[
            Bar(
                name="one sequence, requests per second and core",
                value=one.per_core_s or 0.0,
                at_least=REQUESTS_PER_S,
            ),
            Bar(
                name="one sequence, times full encoding",
                value=_times(rows, "one sequence")["one new position each"],
                at_least=TIMES_FULL,
            ),
            Bar(
                name="four sequences, the step alone, times full encoding",
                value=_times(rows, "four sequences")["the cached step alone"],
                at_least=TIMES_FULL_STEP,
            ),
            Bar(
                name="four sequences, the step of a click alone, times full encoding",
                value=_times(rows, "four sequences")["the step of a click alone"],
                at_least=TIMES_FULL_STEP,
            ),
            Bar(
                name=f"matrix product, % of the time of the top {TOP}",
                value=100 * rows[product].cpu_ms / rows[top].cpu_ms,
                at_least=PRODUCT_PERCENT,
            ),
        ],
        notes={
            "users": USERS,
            "items": ITEMS,
            "top": TOP,
            "one": ONE,
            "four": FOUR,
            "threads": 1,
            "times_full": {label: _times(rows, label) for label in ("one sequence", "four sequences")},
            "positions_per_request": replays,
        },
        findings=[_finding(name, costs) for name, costs in replays.items()],
    )


def _times(rows: dict[str, Row], label: str) -> dict[str, float]:
    """How many times faster than the full encoding, by the rest of a case's name."""
    full = rows[f"{label}: full encoding"]
    rests = ("the cached step alone", "one new position each", "the step of a click alone", "a click")
    found = {rest: rows.get(f"{label}: {rest}") for rest in rests}
    return {rest: full.cpu_ms / made.cpu_ms for rest, made in found.items() if made is not None}


def _replay(name: str) -> dict[str, dict[str, float]] | None:
    """Positions per request of a data set's users; None where it is not on this machine."""
    data = load().data
    try:
        dataset = open_dataset(name, data_dir=data.dir, cache_dir=data.cache, download=False)
    except DatasetMissing:
        return None
    made = replayed(dataset, ModelConfig(sequences=KINDS))

    def told(costs: Costs) -> dict[str, float]:
        return {
            "requests": costs.requests,
            "positions": round(costs.each, 2),
            "without_cache": round(costs.without_cache / max(1, costs.requests), 2),
        }

    return {"all": told(made.all), "first": told(made.first), "later": told(made.later)}


def _finding(name: str, costs: dict[str, dict[str, float]] | None) -> str:
    if costs is None:
        return f"{name}: not on this machine, not replayed"
    parts = [
        f"{kind} {each['positions']:.1f} (without cache {each['without_cache']:.1f})"
        for kind, each in costs.items()
    ]
    return f"{name}, positions per request: {', '.join(parts)}"


def _untrained(catalogue: Catalogue, config: ModelConfig, *, themed: bool = False) -> Untrained:
    """``themed``: with MoS over it."""
    model = FuxiMME(config, catalogue.num_rows).eval().requires_grad_(False)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    mos = None
    if themed:
        shape = MoSConfig()
        made = MoS(shape, model, torch.randn(shape.num_themes, config.dim))
        torch.nn.init.normal_(made.adapters.up_SLrF, std=0.02)
        mos = MoSWeights(config=shape, weights=made.weights())
    return Untrained(NAME, config, catalogue, weights, model.item_index().numpy(), mos)


def _networks(version: Untrained) -> tuple[FuxiMME, MoS | None]:
    model, told = FuxiMME.from_weights(version.config, version.weights), version.mos
    return model, None if told is None else MoS.from_weights(told.config, model, told.weights)


def _full(version: Untrained, users: Users) -> Case:
    """Every sequence of every user from its first event on, as they stand now."""
    model, mos = _networks(version)
    views = [None if mos is None else mos.adapters.view(kind.split(":")[0]) for kind in users.kinds[1:]]
    rows_of = version.catalogue.rows
    batches: list[Batch] = [
        padded(
            [
                (rows_of(item for item, _ in own[kind]), [ts_ms for _, ts_ms in own[kind]])
                for own in users.sequences
            ],
            version.config.max_events,
        )
        for kind in range(1, len(users.kinds))
    ]

    @torch.inference_mode()
    def encode() -> torch.Tensor:
        states = [
            last(
                model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, adapters=view).states_BNMd,
                batch.lengths_B,
            )
            for batch, view in zip(batches, views, strict=True)
        ]
        return user_vector(unit(torch.stack(states).sum(0)))

    return lambda: encode


def _step(version: Untrained, lengths: dict[str, int], rng: random.Random) -> Case:
    """One new position in every slot of everyone, and nothing of what a scorer does before and after."""
    model, mos = _networks(version)
    slots = [
        (length, KINDS.index(kind.split(":")[0])) for kind, length in lengths.items() for _ in range(USERS)
    ]
    rng.shuffle(slots)  # slots are handed out in no order
    ends, kinds = [length for length, _ in slots], [kind for _, kind in slots]
    cache = PrefixCache(model, CACHE_BYTES, None if mos is None else mos.adapters)
    now_ms = 1_700_000_000_000

    def new(slot: int, start: int, stop: int) -> New:
        rows = np.array([rng.randrange(FIRST_ITEM_ROW, FIRST_ITEM_ROW + ITEMS) for _ in range(start, stop)])
        times_ms = now_ms + 60_000 * np.arange(start, stop)
        return New(slot=slot, start=start, rows=rows, times_ms=times_ms)

    def turn() -> Callable[[], object]:
        news = [new(slot, end, end + 1) for slot, end in enumerate(ends)]
        ends[:] = [end + 1 for end in ends]
        return lambda: cache.extend(news, kinds)

    cache.extend([new(slot, 0, end) for slot, end in enumerate(ends)], kinds)
    return turn


def _cached(version: Untrained, users: Users) -> Case:
    """One new event for everyone, answered by a warm scorer with empty lists: encoding and upkeep only."""
    scorer = Scorer(version, device="cpu", cache_bytes=CACHE_BYTES, threads=1, extend=extend)

    def turn() -> Callable[[], object]:
        users.grow()
        asked = users.ask()
        return lambda: scorer.rank(asked, 0)

    scorer.rank(users.ask(), 0)  # fills the cache
    return turn


def _ranking(version: Untrained, rng: random.Random) -> tuple[Case, Case]:
    """The best of the catalogue without 200 seen items, and the product that it cannot do without."""
    index_ID = torch.from_numpy(version.index)
    vectors_BD = user_vector(unit(torch.randn(USERS, version.config.streams, version.config.stream_dim)))
    barred = [np.array(rng.sample(range(ITEMS), 200)) for _ in range(USERS)]
    ranker = Ranker(index_ID)
    return lambda: lambda: ranker.top(vectors_BD, barred, TOP), lambda: lambda: vectors_BD @ index_ID.T
