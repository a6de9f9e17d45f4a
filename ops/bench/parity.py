"""Whether two devices give the same lists, and what "the same" means where rounding may differ.

Knows: made-up users whose histories grow, untrained weights with decided routers, the tolerance.
Does not know: speed, Kafka, what a difference comes from.
"""

# I = lines of the index

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from model.batch import padded
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.encoding import HISTORY, Asked
from model.experts import margins
from model.mme import FuxiMME
from model.scorer import Ranked, Scorer
from model.version import MoSWeights
from stream.sessions import extend, fingerprint_of

#: fp32 without TF32: devices differ in the order of sums only. Of scores, and of vectors' numbers.
TOLERANCE = 1e-4
#: A router that prefers its expert by less may choose another one elsewhere: counted, not compared.
LEAST_MARGIN = 1e-4
#: Promised share of lists that are compared.
COMPARED_PERCENT = 99
SEED = 0
CACHE_BYTES = 256 << 20
#: Gates are multiplied by this: routers as decided as trained ones, or every history had a close call.
DECIDED = 50

Events = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Untrained:
    """A version in memory."""

    name: str
    config: ModelConfig
    catalogue: Catalogue
    weights: dict[str, npt.NDArray[np.float32]]
    index: npt.NDArray[np.float32]
    mos: MoSWeights | None = None


@dataclass(slots=True)
class Lists:
    """Lists of two devices, counted."""

    asked: int = 0
    compared: int = 0  # those without a close call of a router
    alike: int = 0  # of these
    largest: float = 0.0  # difference of two scores or of two numbers of a vector, of those compared


def decided(model: FuxiMME) -> FuxiMME:
    """The network, its routers with large logits and its facet gate, where it has one, not even."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gate_dE"):
                parameter.mul_(DECIDED)
            elif name in ("facets_DM", "facets_M"):
                parameter.normal_()
    return model.eval().requires_grad_(False)


def untrained(config: ModelConfig, num_items: int) -> Untrained:
    """Drawn from torch's generator."""
    catalogue = Catalogue([f"item-{number}" for number in range(num_items)])
    model = decided(FuxiMME(config, catalogue.num_rows))
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return Untrained("untrained", config, catalogue, weights, model.item_index().numpy())


def compared(
    device: str, config: ModelConfig, *, users: int = 40, turns: int = 6, num_items: int = 5000, top: int = 20
) -> Lists:
    """Lists of ``device`` beside those of the CPU: histories cold, then growing by 0 to 3 events a turn."""
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    version = untrained(config, num_items)
    model = FuxiMME.from_weights(config, version.weights)
    scorers = [
        Scorer(version, device=where, cache_bytes=CACHE_BYTES, threads=1, extend=extend)
        for where in ("cpu", device)
    ]

    def event(after_ms: int) -> tuple[str, int]:
        return f"item-{rng.randrange(num_items)}", after_ms + rng.randrange(100, 100_000)

    histories: list[Events] = [[event(10**12)] for _ in range(users)]
    for events in histories:
        for _ in range(rng.randrange(60)):
            events.append(event(events[-1][1]))
    found = Lists()
    for _ in range(turns):
        questions = [_asked(f"user-{number}", events) for number, events in enumerate(histories)]
        expected, actual = (scorer.rank(questions, top).lists for scorer in scorers)
        leads = _leads(model, version.catalogue, histories)
        for lead, one, other in zip(leads, expected, actual, strict=True):
            found.asked += 1
            if lead > LEAST_MARGIN:
                _count(found, version, one, other)
        for events in histories:
            for _ in range(rng.choice([0, 1, 1, 3])):
                events.append(event(events[-1][1]))
    return found


def _asked(user: str, events: Events) -> Asked:
    fingerprint = fingerprint_of(events)
    decoded = ([item for item, _ in events], [ts_ms for _, ts_ms in events])
    return Asked(
        user=user,
        kinds=(HISTORY, "global"),
        lengths=(len(events),) * 2,
        fingerprints=(fingerprint,) * 2,
        item=events[-1][0],
        ts_ms=events[-1][1],
        hidden=(),
        sequences=lambda: {HISTORY: decoded, "global": decoded},
    )


def _leads(model: FuxiMME, catalogue: Catalogue, histories: Sequence[Events]) -> list[float]:
    """By how little a router chose, anywhere in each history."""
    sequences = [
        (catalogue.rows(item for item, _ in events), [ts_ms for _, ts_ms in events]) for events in histories
    ]
    batch = padded(sequences, model.config.max_events)
    with torch.inference_mode():
        logits_LBNME = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B).logits_LBNME
    lead_LBNM = margins(logits_LBNME, model.config.kept)
    padding_BN = torch.arange(batch.rows_BN.shape[1]) >= batch.lengths_B[:, None]
    lead_LBNM = lead_LBNM.masked_fill(padding_BN[None, :, :, None], torch.inf)
    found: list[float] = lead_LBNM.amin(dim=(0, 2, 3)).tolist()
    return found


def _count(found: Lists, version: Untrained, expected: Ranked, actual: Ranked) -> None:
    scores_I = version.index @ expected.vector
    lines = [version.catalogue.row(item) - FIRST_ITEM_ROW for item in actual.items]
    apart = np.abs(actual.vector - expected.vector).max()
    if len(lines) == len(expected.items):
        apart = max(apart, np.abs(np.subtract(actual.scores, expected.scores)).max(initial=0.0))
    wanted = [version.catalogue.row(item) - FIRST_ITEM_ROW for item in expected.items]
    found.compared += 1
    found.alike += bool(apart <= TOLERANCE and same(scores_I, wanted, lines, actual.scores))
    found.largest = max(found.largest, float(apart))


def same(
    scores_I: npt.NDArray[np.float32], expected: Sequence[int], actual: Sequence[int], told: Sequence[float]
) -> bool:
    """Whether index lines ``actual`` with scores ``told`` are the list ``expected``, whose scores are
    ``scores_I``.

    They are when as many distinct lines have their scores within TOLERANCE, and when lines only stand in
    another order, or for one another at the end, whose scores differ by no more than that.
    """
    if len(actual) != len(expected) or len(set(actual)) != len(actual):
        return False
    if not actual:
        return True
    own_n = scores_I[list(actual)]
    if np.abs(own_n - np.asarray(told)).max() > TOLERANCE:
        return False
    best_behind_n = np.maximum.accumulate(own_n[::-1])[::-1]
    missing = sorted(set(expected) - set(actual))
    best_missing = scores_I[missing].max(initial=-np.inf)
    return bool((best_behind_n - own_n).max() <= TOLERANCE and best_missing - own_n.min() <= TOLERANCE)
