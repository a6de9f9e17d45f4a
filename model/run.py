"""Everything that changes while training goes on: one step, the end of an epoch, and all of it as a state.

Knows: optimiser, random generators, the learning curve, the best epoch so far.
Does not know: when training ends, files, clocks, any one network.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.backbone import Backbone
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.distributed import add_up, collected, processes, rank
from model.negatives import Sampler
from model.sequences import HeldOut, Histories, Windows
from model.step import losses_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the learning curve."""

    epoch: int  # from 1
    loss: float
    ndcg: float  # validation nDCG@10
    full_ndcg: float  # validation nDCG over all ranks: decides which epoch is kept
    recall: float  # validation recall@10
    seconds: float  # since training began


@dataclass(slots=True)
class Best:
    """The best epoch so far, by full-rank nDCG: over a few hundred users nDCG@10 is mostly chance."""

    epoch: int = 0
    full_ndcg: float = -1.0
    weights: dict[str, Tensor] | None = None


class Run:
    """Everything that changes while training goes on."""

    def __init__(self, model: Backbone, events: Histories, config: TrainConfig) -> None:
        self.model = model
        self.config = config
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
        )
        self.random = np.random.default_rng(config.seed)  # windows and their order
        self.epoch_random = self.random.bit_generator.state  # as the epoch under way began
        self.sampler = Sampler(config, np.bincount(events.rows, minlength=len(model.items))[FIRST_ITEM_ROW:])
        self.losses: list[float] = []  # one per step of the epoch under way
        self.curve: list[Epoch] = []
        self.best = Best()

    def step(self, windows: Windows) -> None:
        """One update, by all processes that share the batch."""
        mine = windows.share(rank(), processes())
        self.optimiser.zero_grad(set_to_none=True)
        loss = 0.0
        if mine.targets:
            found = losses_of(self.model, mine, self.config, self.sampler)
            found.total.backward()  # type: ignore[no-untyped-call]
            loss = float(found.ranking.detach())
        else:
            self.sampler.draw(0)  # the others draw, and must go on drawing the same
        self.losses.append(add_up(self.model, loss, mine.num_positions() / windows.num_positions()))
        self.optimiser.step()

    def end_epoch(self, means: dict[str, float], seconds: float, questions: HeldOut) -> Epoch:
        """Write the curve on, and keep the weights if they are the best; without questions the newest are."""
        epoch = Epoch(
            epoch=len(self.curve) + 1,
            loss=float(np.mean(self.losses)),
            ndcg=means["ndcg@10"],
            full_ndcg=means["ndcg"],
            recall=means["recall@10"],
            seconds=seconds,
        )
        self.curve.append(epoch)
        self.losses = []
        self.epoch_random = self.random.bit_generator.state
        if epoch.full_ndcg > self.best.full_ndcg or not len(questions.targets):
            copied = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.best = Best(epoch.epoch, epoch.full_ndcg, copied)
        return epoch

    def state(self) -> dict[str, Any]:
        return {
            "weights": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch_random": self.epoch_random,
            "negatives": collected(self.sampler.generator.get_state()),
            "dropout": collected(torch.get_rng_state()),
            "losses": self.losses,
            "curve": [asdict(epoch) for epoch in self.curve],
            "best": asdict(self.best),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.random.bit_generator.state = self.epoch_random = state["epoch_random"]
        self.sampler.generator.set_state(state["negatives"][rank()])
        torch.set_rng_state(state["dropout"][rank()])
        self.losses = state["losses"]
        self.curve = [Epoch(**fields) for fields in state["curve"]]
        self.best = Best(**state["best"])
