"""How many positions a request costs when a real data set is replayed: users return, windows move.

Knows: a data set's first four fifths make state and themes, what follows asks, in order, through the worker's
state and the scorer's cache, in memory. The network is untrained (spectral item rows, so that themes mean
something): which positions are computed does not depend on its other weights.
Does not know: Kafka, time, how good the lists are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.mme import FuxiMME
from model.sequences import WARM_SHARE, catalogue_of, histories
from model.spectral import spectral_rows
from model.themes import Labels, fit_themes
from model.version import Version
from ops.datasets import Dataset
from stream.asking import Asking
from stream.history import Outcome, Rules, User
from stream.requests import Cause, build
from stream.serving import Serving
from stream.themes import Router

SEED = 0
THEMES = 8
#: Requests per data set, at most, and per turn of the scorer.
REQUESTS = 10_000
TURN = 64
#: The default of `scorer.cache_mb`.
CACHE_BYTES = 256 << 20
TOPIC_ID = "memory"


@dataclass(slots=True, kw_only=True)
class Costs:
    """Sums over requests of one kind."""

    requests: int = 0
    positions: int = 0  # computed
    without_cache: int = 0  # that a scorer without a cache would have computed

    @property
    def each(self) -> float:
        return self.positions / max(1, self.requests)

    @property
    def saved(self) -> float:
        return 1 - self.positions / max(1, self.without_cache)


@dataclass(slots=True, kw_only=True)
class Returning:
    """What a replay cost."""

    first: Costs = field(
        default_factory=Costs
    )  # a user's first request of the replay, with nothing in the cache
    later: Costs = field(default_factory=Costs)

    @property
    def all(self) -> Costs:
        return Costs(
            requests=self.first.requests + self.later.requests,
            positions=self.first.positions + self.later.positions,
            without_cache=self.first.without_cache + self.later.without_cache,
        )


def replayed(
    dataset: Dataset, config: ModelConfig, *, num_requests: int = REQUESTS, cache_bytes: int = CACHE_BYTES
) -> Returning:
    """Replay what follows the warm part, up to ``num_requests`` requests for positive events."""
    rules = Rules(gap_ms=dataset.gap_ms)
    events = dataset.events
    warm = events.slice(0, round(len(events) * WARM_SHARE))
    version = _version(warm.positives(rules.negative, rules.neutral), config)
    serving = Serving(
        version, 0, device="cpu", cache_bytes=cache_bytes, threads=1, filter_seen=dataset.filter_seen
    )
    made = Returning()
    seen: set[str] = set()
    turn: list[Asking] = []
    for asking in _requests(dataset, len(warm), rules, Router(version.themes, version.name)):
        turn.append(asking)
        if len(turn) == TURN:
            _answer(turn, serving, seen, made)
            turn = []
            if made.all.requests + TURN > num_requests:
                break
    if turn:
        _answer(turn, serving, seen, made)
    return made


def _answer(turn: list[Asking], serving: Serving, seen: set[str], made: Returning) -> None:
    first: list[Asking] = []
    later: list[Asking] = []
    for asking in turn:
        (later if asking.user in seen else first).append(asking)
        seen.add(asking.user)
    for costs, members in ((made.first, first), (made.later, later)):
        if members:
            ranking = serving.rank(members, 0)
            costs.requests += len(members)
            costs.positions += ranking.positions
            costs.without_cache += ranking.tokens


def _requests(dataset: Dataset, num_warm: int, rules: Rules, router: Router) -> Iterator[Asking]:
    """What the worker asks after each positive event behind the warm part."""
    users: dict[str, User] = {}
    for offset, event in enumerate(dataset.events):
        user = users.get(event.user)
        if user is None:
            user = users[event.user] = User.new(TOPIC_ID)
        outcome = user.apply(event, TOPIC_ID, offset, rules, router)
        if offset >= num_warm and outcome in (Outcome.POSITIVE, Outcome.LATE):
            cause = Cause(user=event.user, partition=0, type=event.type, produced_ms=event.ts)
            yield Asking(build(user, router, cause, sample_share=0.0), 0, offset, event.ts)


def _version(columns: EventColumns, config: ModelConfig) -> Version:
    """Untrained but for spectral item rows, with the themes of these."""
    torch.manual_seed(SEED)
    catalogue = catalogue_of(columns)
    model = FuxiMME(config, catalogue.num_rows).eval().requires_grad_(False)
    rows = spectral_rows(histories(columns, catalogue), len(catalogue), config, SEED)
    model.items[FIRST_ITEM_ROW:] = torch.from_numpy(rows)
    index = model.item_index().numpy()
    return Version(
        name="untrained",
        epoch=0,
        manifest={"parent": None},
        config=config,
        catalogue=catalogue,
        weights={name: tensor.numpy() for name, tensor in model.state_dict().items()},
        index=index,
        themes=fit_themes(index, catalogue, Labels(), THEMES, SEED),
        popularity=np.zeros(len(catalogue), dtype=np.int64),
    )
