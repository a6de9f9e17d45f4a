"""One pass over what is new, mixed with what is old: the weights of a cycle.

Knows: windows of rows with some targets, batches, the losses, the optimisers and their state as arrays.
Does not know: users, item ids, where windows come from (model/learner.py), slices, versions.

The recipe: each new event a target once behind its user's history, as many replayed windows, one pass, AdamW
whose state stays, 512 shared negatives among live items, clipped gradients. Beside
it stand distillation against the weights at the start of the cycle (Mi et al., ADER, RecSys 2020, section 3:
weight lambda * sqrt(items before / items now * replayed / new)) and an optimiser that moves only item rows a
step has touched (torch's SparseAdam).
"""

# B = windows of a batch, N = positions, T = supervised positions, R = negatives, D = M * d

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from model.backbone import Backbone
from model.batch import padded, valid_mask
from model.config import FIRST_ITEM_ROW, NEW_ITEM_ROWS, TrainConfig
from model.names import Arrays
from model.negatives import Sampler
from model.step import ranking_loss

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """How a version is made of the one before; fixed on the end of a warm part, never on the stream."""

    lr: float = 3e-4  # a third of the warm start's: at 1e-3 known items lost (docs/LOG.md)
    batch: int = 64  # windows of a step, new and replayed together
    window: int = 50  # events of a new window, as in the warm start
    replay: float = 1.0  # replayed windows per new one
    replay_events: int = 16  # inputs of a replayed window
    capacity: int = 50_000  # of the reservoir, in windows
    negatives: int = 512
    clip: float = 1.0  # longest gradient
    distil: float = 0.0  # lambda of ADER; 0 = none
    item_rows: str = "dense"  # or touched: untouched rows stay as they are
    new_item_share: float = 0.02
    min_events: int = 1  # of an item before it has a row
    max_items: int = 1_000_000  # with a row; items beyond share the rows of new items
    silence_ms: int | None = None  # after which an item is archived; None = never
    seed: int = 0

    def __post_init__(self) -> None:
        if self.item_rows not in ("dense", "touched"):
            raise ValueError(f"item_rows {self.item_rows!r} must be dense or touched")
        if self.lr <= 0 or self.batch < 1 or self.window < 2 or self.replay_events < 1:
            raise ValueError("lr, batch, window and replay_events must be positive, the window at least 2")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One window: inputs, and the row to be predicted at each; rows below FIRST_ITEM_ROW are no target."""

    rows_N: IntArray
    times_ms_N: IntArray
    targets_N: IntArray
    asked_ms_N: IntArray  # Unix ms of the targets
    old: bool  # replayed


class LiveNegatives(Sampler):
    """Rows of live items, uniform, distinct, shared by a step."""

    def __init__(self, config: TrainConfig, live_rows: IntArray, generator: torch.Generator) -> None:
        super().__init__(config, np.ones(len(live_rows), np.int64))
        self.generator = generator
        self._live_rows = torch.from_numpy(np.asarray(live_rows, np.int64))

    def draw(self, num_positions: int) -> Tensor:
        return self._live_rows[super().draw(num_positions) - FIRST_ITEM_ROW]


def optimisers_of(model: Backbone, config: TuneConfig) -> list[torch.optim.Optimizer]:
    """Fresh ones over all parameters but the facet gate's; betas of the warm start, no weight decay.

    The gate gets no gradient from here on: trained along with a network it overfits (docs/LOG.md).
    """
    shared: dict[str, Any] = {"lr": config.lr, "betas": (0.9, 0.98)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("facets_"))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.item_rows == "dense":
        return [torch.optim.AdamW(learning, weight_decay=0.0, fused=True, **shared)]
    others = [parameter for parameter in learning if parameter is not model.items]
    return [
        torch.optim.AdamW(others, weight_decay=0.0, fused=True, **shared),
        torch.optim.SparseAdam([model.items], **shared),
    ]


def one_pass(
    model: Backbone,
    optimisers: Sequence[torch.optim.Optimizer],
    lessons: Sequence[Lesson],
    config: TuneConfig,
    train_config: TrainConfig,
    negatives: LiveNegatives,
    random: np.random.Generator,
    teacher: Backbone | None = None,
    distil: float = 0.0,
) -> float:
    """Train in place, each lesson once; the mean ranking loss of the steps, NaN without one.

    ``random`` orders batches and masks inputs, torch's global generator draws dropout, ``negatives`` their
    own. ``teacher`` (in evaluation mode, the same rows) is imitated on replayed windows with weight
    ``distil``.
    """
    device = model.items.device
    model.train()
    losses = []
    for batch in batches(lessons, config, random):
        inputs = padded(
            [(_masked(one, config, random), one.times_ms_N) for one in batch], model.config.max_events
        )
        inputs = inputs.to(device)
        asked_BN = None
        if model.config.query_time == "next":
            timed = [(one.rows_N, one.asked_ms_N) for one in batch]
            asked_BN = padded(timed, model.config.max_events).times_BN.to(device)
        valid_BN = valid_mask(inputs.lengths_B, inputs.rows_BN.shape[1])
        targets_V = torch.from_numpy(np.concatenate([one.targets_N for one in batch]))
        chosen_V = targets_V >= FIRST_ITEM_ROW
        if not bool(chosen_V.any()):
            continue
        encoded = model.encode(inputs.rows_BN, inputs.times_BN, inputs.lengths_B, asked_BN)
        states_TD = model.vectors(encoded.states_BNMd[valid_BN][chosen_V].float())
        ranking = ranking_loss(model, states_TD, targets_V[chosen_V], train_config, negatives)
        total = ranking + train_config.balance * encoded.balance + train_config.z_loss * encoded.z
        if teacher is not None and distil > 0:
            with torch.inference_mode():
                taught = teacher.encode(inputs.rows_BN, inputs.times_BN, inputs.lengths_B, asked_BN)
                taught_TD = teacher.vectors(taught.states_BNMd[valid_BN][chosen_V].float())
            old_V = torch.from_numpy(np.concatenate([np.full(len(one.rows_N), one.old) for one in batch]))
            old_T = old_V[chosen_V].to(device)
            if bool(old_T.any()):
                rows_R = negatives.draw(int(old_T.sum())).to(device)
                total = total + distil * distillation(
                    model, teacher, states_TD[old_T], taught_TD[old_T], rows_R
                )
        _step(model, optimisers, total, config)
        losses.append(float(ranking.detach()))
    model.eval()
    return float(np.mean(losses)) if losses else float("nan")


def batches(
    lessons: Sequence[Lesson], config: TuneConfig, random: np.random.Generator
) -> Iterator[list[Lesson]]:
    """Every lesson once, those of similar length together, batches in random order."""
    lengths = np.array([len(one.rows_N) for one in lessons], np.int64)
    order = np.lexsort((random.random(len(lessons)), lengths))
    groups = [order[start : start + config.batch] for start in range(0, len(order), config.batch)]
    for group in random.permutation(len(groups)).tolist():
        yield [lessons[place] for place in groups[group].tolist()]


def optimiser_arrays(model: Backbone, optimisers: Sequence[torch.optim.Optimizer]) -> Arrays:
    """Every moment and step by "number of the optimiser, parameter, name"."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{number}|{names[id(parameter)]}|{key}": np.asarray(
            value.detach().cpu().numpy().copy() if isinstance(value, Tensor) else value
        )
        for number, optimiser in enumerate(optimisers)
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
    }


def restore_optimisers(model: Backbone, optimisers: Sequence[torch.optim.Optimizer], arrays: Arrays) -> None:
    """Fresh optimisers of the same configuration go on where the arrays were taken."""
    parameters = dict(model.named_parameters())
    for place, array in arrays.items():
        number, name, key = place.split("|")
        state = optimisers[int(number)].state[parameters[name]]
        whole = array.ndim == 0 and np.issubdtype(array.dtype, np.integer)
        state[key] = int(array) if whole else torch.from_numpy(np.array(array))


def distillation(
    model: Backbone, teacher: Backbone, states_TD: Tensor, taught_TD: Tensor, rows_R: Tensor
) -> Tensor:
    """Cross-entropy between what teacher and network make of the same items, mean over positions."""
    temperature = model.config.temperature
    with torch.inference_mode():
        wanted_TR = (taught_TD @ teacher.lines(rows_R).T / temperature).softmax(dim=1)
    logits_TR = states_TD @ model.lines(rows_R).T / temperature
    return F.cross_entropy(logits_TR, wanted_TR.clone())


def _step(
    model: Backbone, optimisers: Sequence[torch.optim.Optimizer], total: Tensor, config: TuneConfig
) -> None:
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    if config.item_rows == "touched" and model.items.grad is not None:
        model.items.grad = model.items.grad.to_sparse(1)  # rows whose gradient is all zero drop out
    for optimiser in optimisers:
        optimiser.step()


def _masked(lesson: Lesson, config: TuneConfig, random: np.random.Generator) -> IntArray:
    """Inputs, some of them as one of the new-item rows: that keeps those rows trained."""
    rows_N = lesson.rows_N.copy()
    masked_N = random.random(len(rows_N)) < config.new_item_share
    rows_N[masked_N] = random.integers(1, 1 + NEW_ITEM_ROWS, int(masked_N.sum()))
    return rows_N
