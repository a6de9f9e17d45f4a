"""A small untrained network for tests of the model room, with weights large enough to matter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from model.config import ModelConfig
from model.mme import FuxiMME

SMALL = ModelConfig(
    dim=16, streams=2, blocks=2, heads=2, experts=3, max_events=24, sequences=("global", "local", "theme")
)


@pytest.fixture
def small() -> ModelConfig:
    return SMALL


@pytest.fixture
def network() -> Callable[..., FuxiMME]:
    def make(config: ModelConfig = SMALL, num_rows: int = 95, seed: int = 0) -> FuxiMME:
        """In evaluation mode; weights drawn from ``seed`` and enlarged, so that each channel counts."""
        torch.set_num_threads(1)  # two threads on a busy core wait for each other
        torch.manual_seed(seed)
        model = FuxiMME(config, num_rows).eval().requires_grad_(False)
        for name, parameter in model.named_parameters():
            if not name.endswith(("out_Fd", "down_Ehd", "gated_Edh", "linear_Edh")):
                parameter.mul_(20)
        return model

    return make
