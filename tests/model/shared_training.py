"""A training that several processes share, for test_distributed.py: python shared_training.py FILE.

Under torchrun all of them take part and rank 0 writes the weights to FILE; a thread that is left fails it.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from model.config import ModelConfig
from model.distributed import joined, rank
from model.fit import fit
from model.sequences import catalogue_of, histories, hold_out
from tests.model.circles import RECIPE, Turned, rounds

CONFIG = ModelConfig(dim=16, streams=2, heads=2, max_events=32, dropout=0.0, input_dropout=0.0)


def weights() -> dict[str, torch.Tensor]:
    """After two epochs over windows of 5, in batches of 3: shares of two processes are never even."""
    torch.set_num_threads(1)
    torch.manual_seed(1000 + rank())  # what rank 0 draws counts
    columns = rounds(num_users=10)
    catalogue = catalogue_of(columns)
    model = Turned(CONFIG, catalogue.num_rows)
    events, questions = hold_out(histories(columns, catalogue), 10, 64, seed=0)
    recipe = replace(RECIPE, max_epochs=2, window=5, batch=3)
    fit(model, events, questions, recipe, time.monotonic(), None)
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


if __name__ == "__main__":
    with joined(int(os.environ["WORLD_SIZE"])):
        found = weights()
        if rank() == 0:
            torch.save(found, Path(sys.argv[1]))
    threads = [thread.read_text() for thread in Path("/proc/self/task").glob("*/comm")]  # none but on Linux
    assert not [name for name in threads if "gloo" in name], threads  # they may abort its end
