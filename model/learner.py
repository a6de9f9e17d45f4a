"""What learns from the stream, event by event and cycle by cycle, and all of it as arrays.

Knows: network, optimisers, items, trails of users, replay, generators; how a cycle makes lessons of events.
Does not know: topics, offsets, files, who serves, when a cycle is due, whether its result may serve.

The same events, configuration and snapshot give the same weights on a CPU with one number of threads,
interrupted or not: a snapshot is everything.
"""

# A = catalogue items, D = M * d

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.families import FAMILIES
from model.finetune import (
    Lesson,
    LiveNegatives,
    TuneConfig,
    one_pass,
    optimiser_arrays,
    optimisers_of,
    restore_optimisers,
)
from model.growth import Items, first_rows, grow
from model.names import Arrays, inside, pack_record, under, unpack_record
from model.reservoir import Reservoir, owner_of
from model.trails import Trails
from model.version import Weights

IntArray = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What one cycle did."""

    events: int  # learned
    targets: int  # of them, with a row and something before them
    replayed: int  # windows
    admitted: int  # items that got a row
    archived: int  # items with a row that are not live now
    loss: float  # mean ranking loss; NaN without a step
    finite: bool  # whether every weight is a number


class Learner:
    """Begins as a version; ``observe`` tells it events, ``cycle`` makes the weights of the next version."""

    def __init__(
        self, model: Backbone, catalogue: Catalogue, config: TuneConfig, train_config: TrainConfig
    ) -> None:
        """``model`` is copied; ``train_config``: the version's, whose weights of the experts' losses stay."""
        self.model = copy.deepcopy(model).requires_grad_(True).eval()
        self.config = config
        self.train_config = replace(
            train_config,
            negatives=config.negatives,
            negatives_per="batch",
            popularity_power=0.0,
            log_q=False,
            full_softmax_items=0,
        )
        self.items = Items()
        self.items.admit(catalogue.items)
        self.trails = Trails(max(config.window, config.replay_events))
        self.reservoir = Reservoir(config.replay_events + 1, config.capacity)
        self.now_ms = 0  # of the newest event
        self.num_events = 0
        self._optimisers = optimisers_of(self.model, config)
        self._random = np.random.default_rng(config.seed)
        self._negatives = torch.Generator().manual_seed(config.seed)
        self._dropout = torch.Generator().manual_seed(config.seed + 1).get_state()

    @classmethod
    def from_weights(
        cls,
        model_config: ModelConfig,
        weights: Weights,
        catalogue: Catalogue,
        config: TuneConfig,
        train_config: TrainConfig,
    ) -> Learner:
        """Of a published version."""
        model = FAMILIES[model_config.family].from_weights(model_config, weights)
        return cls(model, catalogue, config, train_config)

    @property
    def num_waiting(self) -> int:
        """Events that the next cycle will learn."""
        return sum(trail.new for _, trail in self.trails.waiting())

    def remember(self, columns: EventColumns, counted: bool = False) -> None:
        """Events that the weights have learned already: they count, and may be replayed.

        ``counted``: their items were counted before (``Items.count``). Nothing may wait to be learned.
        """
        users, items = columns.users, columns.items
        for user, item, ts_ms in zip(
            columns.user.tolist(), columns.item.tolist(), columns.time_ms.tolist(), strict=True
        ):
            self.observe(users[user], items[item], ts_ms, num=0 if counted else 1)
        self._keep()

    def observe(self, user: str, item: str, ts_ms: int, num: int = 1) -> None:
        """One positive event, to be learned in the next cycle; ``num`` as in ``Items.observe``."""
        self.trails.observe(user, self.items.observe(item, ts_ms, num), ts_ms)
        self.now_ms = max(self.now_ms, ts_ms)
        self.num_events += 1

    def forget(self, user: str) -> None:
        """Nothing of a user is learned or replayed from now on; what was learned stays in the weights."""
        self.trails.forget(user)
        self.reservoir.forget(owner_of(user))

    def live(self) -> npt.NDArray[np.bool_]:
        """(A,) by catalogue line: which items are candidates now; the others are archived."""
        return self.items.live(self.now_ms, self.config.silence_ms)

    def cycle(self, lines: Mapping[str, Vectors]) -> Cycle:
        """Admit what is due, learn what waits in one pass beside replay, and remember it.

        ``lines``: provisional lines (D,) by id, from which new rows begin.
        """
        room = max(0, self.config.max_items - self.items.num_admitted)
        due = self.items.due(self.config.min_events)[:room]
        num_before = self.items.num_admitted
        grow(self.model, self._optimisers, first_rows(self.model, due, lines, self._random))
        self.items.admit(due)
        waiting = self.num_waiting
        new, old = self._lessons()
        live_A = self.live()
        loss = self._train(new, old, num_before, np.flatnonzero(live_A) + FIRST_ITEM_ROW)
        self._keep()
        return Cycle(
            events=waiting,
            targets=sum(int((one.targets_N >= FIRST_ITEM_ROW).sum()) for one in new),
            replayed=len(old),
            admitted=len(due),
            archived=int((~live_A).sum()),
            loss=loss,
            finite=all(bool(torch.isfinite(weights).all()) for weights in self.model.state_dict().values()),
        )

    def weights(self) -> Weights:
        """The network's state dict, copied."""
        return {
            name: weights.detach().cpu().numpy().copy() for name, weights in self.model.state_dict().items()
        }

    def digest(self) -> str:
        """sha256 over names, shapes and bytes of the weights and over the catalogue."""
        digest = hashlib.sha256(self.items.catalogue().digest().encode())
        for name, array in sorted(self.weights().items()):
            digest.update(f"{name}{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    def to_arrays(self) -> Arrays:
        """Everything that from_arrays needs beside the configurations, as copies."""
        state = {
            "random": self._random.bit_generator.state,
            "now_ms": self.now_ms,
            "num_events": self.num_events,
        }
        return {
            **under("weights", self.weights()),  # type: ignore[arg-type]
            **under("optimiser", optimiser_arrays(self.model, self._optimisers)),
            **under("items", self.items.to_arrays()),
            **under("trails", self.trails.to_arrays()),
            **under("reservoir", self.reservoir.to_arrays()),
            "state": pack_record(state),
            "negatives": self._negatives.get_state().numpy().copy(),
            "dropout": self._dropout.numpy().copy(),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, model_config: ModelConfig, config: TuneConfig, train_config: TrainConfig
    ) -> Learner:
        """The learner that to_arrays was asked of. Raises KeyError when an array is missing."""
        items = Items.from_arrays(inside("items", arrays))
        weights: Weights = {
            name: np.asarray(array, np.float32) for name, array in inside("weights", arrays).items()
        }
        made = cls.from_weights(model_config, weights, items.catalogue(), config, train_config)
        made.items = items
        made.trails = Trails.from_arrays(inside("trails", arrays))
        made.reservoir = Reservoir.from_arrays(inside("reservoir", arrays))
        restore_optimisers(made.model, made._optimisers, inside("optimiser", arrays))
        state = unpack_record(arrays["state"])
        made.now_ms, made.num_events = state["now_ms"], state["num_events"]
        made._random.bit_generator.state = state["random"]
        made._negatives.set_state(torch.from_numpy(np.array(arrays["negatives"], np.uint8)))
        made._dropout = torch.from_numpy(np.array(arrays["dropout"], np.uint8))
        return made

    def _lessons(self) -> tuple[list[Lesson], list[Lesson]]:
        """(what is new, what is replayed)."""
        rows_I = self.items.rows
        wanted_I = rows_I.copy()  # as targets: an archived item is none
        admitted_I = rows_I >= FIRST_ITEM_ROW
        wanted_I[admitted_I] *= self.live()[rows_I[admitted_I] - FIRST_ITEM_ROW]
        new = []
        for cut in self.trails.cuts(self.config.window):
            targets = wanted_I[cut.codes[1:]]
            targets[: cut.first_target - 1] = 0  # learned before
            new.append(
                Lesson(rows_I[cut.codes[:-1]], cut.times_ms[:-1], targets, cut.times_ms[1:], old=False)
            )
        drawn = self.reservoir.draw(round(self.config.replay * len(new)), self._random)
        old = [
            Lesson(rows_I[codes[:-1]], times_ms[:-1], wanted_I[codes[1:]], times_ms[1:], old=True)
            for codes, times_ms in drawn
        ]
        return new, old

    def _train(self, new: list[Lesson], old: list[Lesson], num_before: int, live_rows: IntArray) -> float:
        teacher, weight = None, 0.0
        if self.config.distil > 0 and old and new:
            teacher = copy.deepcopy(self.model).requires_grad_(False).eval()
            grown = num_before / max(1, self.items.num_admitted)
            weight = self.config.distil * float(np.sqrt(grown * len(old) / len(new)))
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._dropout)
            loss = one_pass(
                self.model,
                self._optimisers,
                [*new, *old],
                self.config,
                self.train_config,
                LiveNegatives(self.train_config, live_rows, self._negatives),
                self._random,
                teacher,
                weight,
            )
            self._dropout = torch.get_rng_state()
        return loss

    def _keep(self) -> None:
        """What waited becomes the past."""
        width = self.reservoir.width
        for user, trail in self.trails.waiting():
            owner = owner_of(user)
            for end in range(len(trail.codes) - trail.new + 1, len(trail.codes) + 1):
                cut = slice(max(0, end - width), end)
                self.reservoir.offer(owner, trail.codes[cut], trail.times_ms[cut], self._random)
        self.trails.learned()
