"""User vectors along histories against encoding each prefix alone."""

import numpy as np
import pytest
import torch

from model import states as module
from model.backbone import last
from model.batch import padded
from model.config import ModelConfig
from model.families import build
from model.sequences import Histories
from model.states import states, states_before

CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=2, experts=2, max_events=24)


def log(lengths: list[int]) -> Histories:
    """Users with so many events each, a minute apart."""
    random = np.random.default_rng(0)
    total = sum(lengths)
    return Histories(
        rows=random.integers(65, 85, total),
        times_ms=60_000 * np.arange(total, dtype=np.int64),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        users=np.arange(len(lengths)),
        order=np.arange(total),
    )


@pytest.mark.parametrize("query_time", ["own", "next"])
def test_vectors_are_those_of_each_prefix_alone(query_time: str) -> None:
    """Each needed state is that of the user's events up to it, asked at the next event's time where a network
    wants to know it; a newest event is asked at its own."""
    torch.manual_seed(0)
    model = build(ModelConfig.from_json({**CONFIG.to_json(), "query_time": query_time}), 95).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10)
    events = log([3, 1, 20])
    needed = np.zeros(24, bool)
    needed[[0, 2, 3, 10, 23]] = True
    found = {
        place: vector
        for one in states(model, events, needed)
        for place, vector in zip(one.after_T.tolist(), one.vectors_TD, strict=True)
    }

    assert sorted(found) == [0, 2, 3, 10, 23]
    for place, vector in found.items():
        start = max(start for start in events.starts.tolist() if start <= place)
        newest = place + 1 in events.starts.tolist()
        cut = slice(start, place + 1)
        ahead = np.append(
            events.times_ms[start + 1 : place + 1], events.times_ms[place if newest else place + 1]
        )
        batch = padded([(events.rows[cut], events.times_ms[cut])], 24)
        asked = padded([(events.rows[cut], ahead)], 24).times_BN
        with torch.inference_mode():
            alone = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, asked).states_BNMd
            expected = model.vectors(last(alone, batch.lengths_B))[0]
        torch.testing.assert_close(vector, expected, atol=1e-5, rtol=1e-4)


def test_the_time_of_the_question_reaches_a_network_that_asks_for_it() -> None:
    """Moving the next event in time changes the state of "next" and leaves that of "own"."""
    for query_time, same in (("own", True), ("next", False)):
        torch.manual_seed(0)
        model = build(ModelConfig.from_json({**CONFIG.to_json(), "query_time": query_time}), 95).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(10)
        events = log([3])
        later = Histories(
            rows=events.rows,
            times_ms=events.times_ms + np.array([0, 0, 10**9]),
            starts=events.starts,
            users=events.users,
            order=events.order,
        )
        needed = states_before(events, np.array([False, False, True]))
        one, other = (next(states(model, each, needed)).vectors_TD for each in (events, later))

        assert torch.equal(one, other) is same


def test_a_state_is_needed_before_each_question_but_a_users_first() -> None:
    """Asked for everything, a user of three events needs two states and a user of one none."""
    events = log([3, 1, 2])

    assert states_before(events, np.ones(6, bool)).tolist() == [True, True, False, False, True, False]


def test_batches_hold_few_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many windows there are, a batch pads to no more than the bound, and loses none."""
    monkeypatch.setattr(module, "MAX_POSITIONS", 50)
    events = log([20, 3, 17, 9, 1, 24])
    windows = list(module.windows(events, np.ones(74, bool), 24))
    batches = list(module.batched(windows))

    assert sorted(window.start for batch in batches for window in batch) == sorted(
        window.start for window in windows
    )
    assert all(len(batch) * max(one.stop - one.start for one in batch) <= 50 for batch in batches)
