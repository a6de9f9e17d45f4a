"""Two processes take the steps of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from model.distributed import add_up, agreed, collected, processes, rank, told
from model.sequences import Windows
from tests.model import shared_training
from tests.model.circles import Turned

ROOT = Path(__file__).parents[2]


def test_two_processes_train_the_weights_of_one(tmp_path: Path) -> None:
    """Under torchrun, each with its share of every batch, to 1e-5 of one process with whole batches."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2"),
            *("--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"),
            *("-m", "tests.model.shared_training", str(tmp_path / "weights.pt")),
        ],
        cwd=ROOT,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=110,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shared = torch.load(tmp_path / "weights.pt", weights_only=True)
    alone = shared_training.weights()

    assert shared.keys() == alone.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor, atol=1e-5, rtol=0)


def test_shares_of_a_batch_are_the_batch() -> None:
    """Every window goes to one process; with more processes than windows some get none."""
    rows = [np.array([number]) for number in range(3)]
    windows = Windows(sequences=[(row, row) for row in rows], targets=rows, asked_ms=rows)
    shares = [[int(row[0]) for row in windows.share(place, 4).targets] for place in range(4)]

    assert shares == [[0], [1], [2], []]
    assert windows.num_positions() == 3


def test_alone_nothing_is_exchanged() -> None:
    """One process is rank 0 of one, and hears what it says."""
    torch.manual_seed(0)
    model = Turned(shared_training.CONFIG, 70)
    model.turn.bias.grad = torch.ones(8)

    assert (rank(), processes()) == (0, 1)
    assert add_up(model, 1.5, 0.5) == 1.5
    assert model.turn.bias.grad.tolist() == [1.0] * 8
    assert agreed([True, False]) == [True, False]
    assert told({"ndcg": 0.5}) == {"ndcg": 0.5}
    assert [part.tolist() for part in collected(torch.tensor([3]))] == [[3]]
