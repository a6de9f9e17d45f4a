"""One training on several processes: each takes a share of every batch, all take the same step.

Knows: who we are among how many, sums over processes. Does not know: losses, epochs, files.

Data parallel training with gloo, as DistributedDataParallel does it, but by hand: that wraps one forward
call, and a network here has several. A batch is one batch however many share it, so with dropout and router
noise off, shared negatives and no mixture the result is that of one process; negatives per position are drawn
anew by each, and balance is added up by shares. Alone, every function here does nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from model.backbone import Backbone


@contextmanager
def joined(processes: int) -> Iterator[None]:
    """One of so many processes while it lasts; the environment that torchrun makes says which."""
    if processes < 2:
        yield
        return
    # Default arguments there are the group of the moment: imported later, as an optimiser does, they would
    # keep it, and with it gloo's threads, which then may abort the process as Python ends.
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """0 for the process that writes, tells and decides."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def begin(model: Backbone, seed: int) -> None:
    """Everybody starts from the weights of rank 0, and draws dropout of their own."""
    if processes() == 1:
        return
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)
    if rank():
        torch.manual_seed(seed + rank())


def add_up(model: Backbone, loss: float, share: float) -> float:
    """Gradients, and the loss that is returned, become sums over processes, each weighted by its share."""
    if processes() == 1:
        return loss
    weights = list(model.parameters())
    grads = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([torch.tensor([loss]), *(grad.flatten().cpu() for grad in grads)]) * share
    dist.all_reduce(flat)
    summed = torch.split(flat[1:], [weight.numel() for weight in weights])
    for weight, grad in zip(weights, summed, strict=True):
        weight.grad = grad.view_as(weight).to(weight.device)
    return float(flat[0])


def agreed(said: list[bool]) -> list[bool]:
    """What rank 0 said: clocks differ, decisions must not."""
    if processes() == 1:
        return said
    answers = torch.tensor(said, dtype=torch.uint8)
    dist.broadcast(answers, src=0)
    return [bool(answer) for answer in answers]


def told(found: dict[str, float] | None) -> dict[str, float]:
    """What rank 0 found; the others give None."""
    box: list[Any] = [found]
    if processes() > 1:
        dist.broadcast_object_list(box, src=0)
    result: dict[str, float] = box[0]
    return result


def collected(mine: Tensor) -> list[Tensor]:
    """Everybody's tensor (of one shape), by rank."""
    parts = [torch.empty_like(mine) for _ in range(processes())]
    if processes() == 1:
        return [mine]
    dist.all_gather(parts, mine)
    return parts
