"""A small version with MoS, and what the worker asks of it, event by event."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import ModelConfig, MoSConfig, TrainConfig
from model.encoding import Asked
from model.mme import FuxiMME
from model.mos import MoS
from model.mos_sequences import sessions_of
from model.prototypes import learned_table
from model.sequences import Histories, catalogue_of, histories
from model.themes import Labels
from model.train import weights_of
from model.version import MoSWeights, Trained
from stream.asking import Asking
from stream.events import Interaction
from stream.history import Rules, User
from stream.requests import Cause, build
from stream.themes import Router
from tests.model.hoppers import GAP_MS, MAX_OPEN, RULES, Past, hoppers

SHAPE = ModelConfig(dim=16, streams=2, blocks=2, heads=2, experts=3)
WORKER = Rules(gap_ms=GAP_MS, max_events=MAX_OPEN, keep_events=512)
#: Items that the catalogue does not hold.
UNKNOWN = 7


@dataclass(frozen=True, slots=True)
class World:
    """Clicks, and a network with MoS over most of their items; every weight far from where it starts."""

    columns: EventColumns
    catalogue: Catalogue
    network: FuxiMME
    mos: MoS

    def events(self) -> Histories:
        return histories(self.columns, self.catalogue)

    def past(self) -> Past:
        events = self.events()
        return Past(events, sessions_of(events, RULES), np.zeros(0, np.int64))


def world(users: int = 3, sessions: int = 14, shape: ModelConfig = SHAPE, **fields: object) -> World:
    torch.set_num_threads(1)
    columns = hoppers(3, users=users, sessions=sessions).columns
    everything = catalogue_of(columns)
    catalogue = Catalogue([item for number, item in enumerate(everything.items) if number % UNKNOWN])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(2)
        network = FuxiMME(shape, catalogue.num_rows).eval().requires_grad_(False)
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        config = MoSConfig(num_themes=4, **fields)  # type: ignore[arg-type]
        mos = MoS(config, network, torch.randn(4, shape.dim)).eval().requires_grad_(False)
        for parameter in mos.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        mos.router.renormalise()
    return World(columns, catalogue, network, mos)


def trained(made: World, mos: MoS | None = None) -> Trained:
    """What is published of it."""
    mos = made.mos if mos is None else mos
    index, weights = made.network.item_index().numpy(), mos.weights()
    return Trained(
        config=made.network.config,
        train_config=TrainConfig(),
        catalogue=made.catalogue,
        weights=weights_of(made.network),
        index=index,
        themes=learned_table(
            index,
            weights["router.w_r_DD"],
            weights["router.c_KD"],
            made.catalogue,
            Labels(None, None, np.ones(len(index), np.int64)),
        ),
        popularity=np.ones(len(index), np.int64),
        learning_curve=[],
        metrics={},
        num_events=len(made.columns),
        data_digest="0" * 64,
        mos=MoSWeights(config=mos.config, weights=weights),
    )


def questions(made: World, router: Router) -> list[Asked]:
    """The question after each event, in order of time."""
    users = [User.new("t") for _ in made.columns.users]
    found = []
    for number, (user, item, ts_ms) in enumerate(
        zip(made.columns.user, made.columns.item, made.columns.time_ms.tolist(), strict=True)
    ):
        name = made.columns.users[user]
        event = Interaction(user=name, item=made.columns.items[item], ts=ts_ms, type="click")
        users[user].apply(event, "t", number, WORKER, router)
        cause = Cause(user=name, partition=0, type="click", produced_ms=0)
        one = Asking(build(users[user], router, cause, sample_share=0.0), 0, number, 0)
        found.append(asked_of(one))
    return found


def asked_of(one: Asking) -> Asked:
    header = one.header
    return Asked(
        user=header.user,
        kinds=header.kinds,
        lengths=header.lengths,
        fingerprints=header.fingerprints,
        item=header.item,
        ts_ms=header.ts,
        hidden=header.hidden,
        sequences=one.sequences,
        themes=header.themes,
        routed_by=header.routed_by,
    )


def themeless(asked: Asked) -> Asked:
    return replace(asked, themes=(), routed_by=None)
