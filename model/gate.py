"""May a new version serve? It must not rank worse than what serves, on events it was never trained on.

Knows: ranks of the same events under two or three versions, margins, when there is enough, pooling.
Does not know: versions, events, how a rank comes about (model/gate_ranks.py), what happens then.

Full-rank nDCG, paired, users redrawn, 90 %; twice: the model alone, and in the served sum. Worse for sure in
either → reject. Within the margins in both → publish. Else the candidate is kept, the next slice is pooled,
and after four slices without an answer it is rejected. The margin to the anchor, the best version so far,
keeps small losses from adding up. Our construction.
"""

# E = judged events

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from model.metrics import DRAWS, MIN_USERS, FloatArray, bootstrap, full_ndcg, summary

#: A slice with fewer judged events or users says too little.
MIN_EVENTS = 2000
MAX_SLICES = 4
#: Judged events after which a gate that has too few users is asked no more.
MAX_POOLED = 20_000
LEVEL = 0.9
#: What a published version may lose at most, as a share of the other's nDCG: to what serves, to the anchor.
MARGIN = 0.03
ANCHOR_MARGIN = 0.05


class Verdict(StrEnum):
    """What to do with the candidate."""

    WAIT = "wait"  # the slice is too small: let it grow
    KEEP = "keep"  # undecided: pool the next slice with this one
    PUBLISH = "publish"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Where one version ranked the item of each judged event; metrics.MISS where it could not."""

    alone_E: FloatArray  # by the model alone
    fused_E: FloatArray  # in the served sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The same judged events under each version. Raises ValueError on unequal lengths or NaN."""

    users_E: npt.NDArray[Any]  # who: names, so that slices can be pooled
    new: Ranks
    serving: Ranks
    anchor: Ranks | None = None  # None where the anchor is what serves
    slices: int = 1

    def __post_init__(self) -> None:
        for ranks in (self.new, self.serving, self.anchor):
            for ranks_E in () if ranks is None else (ranks.alone_E, ranks.fused_E):
                if ranks_E.shape != self.users_E.shape or np.isnan(ranks_E).any():
                    raise ValueError(f"{len(self.users_E)} events need as many ranks, none of them NaN")

    def pooled(self, more: Evidence) -> Evidence:
        """With the next slice, for the same versions. Raises ValueError if only one has an anchor."""
        if (self.anchor is None) != (more.anchor is None):
            raise ValueError("slices of different versions are not pooled")
        return Evidence(
            users_E=np.concatenate([self.users_E, more.users_E]),
            new=_joined(self.new, more.new),
            serving=_joined(self.serving, more.serving),
            anchor=_joined(self.anchor, more.anchor) if self.anchor and more.anchor else None,
            slices=self.slices + more.slices,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Difference of the mean full-rank nDCG, as a share of the other version's mean; 0.01 is 1 % better.

    Where the other ranks nothing at all the share has no meaning, and the plain difference stands here.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """The new version against another one."""

    version: str
    alone: Change
    fused: Change

    @property
    def worst_low(self) -> float:
        return min(self.alone.low, self.fused.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the gate says, with every number it stands on."""

    verdict: Verdict
    reason: str  # one sentence
    events: int
    users: int
    slices: int
    top_ten_share: float  # share of the events that the ten busiest users carry
    serving: Against | None  # None while there is too little
    anchor: Against | None  # None too where the anchor serves
    anchor_version: str  # what it was compared with
    best: bool  # published, it becomes the anchor
    lines: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # role → statistic → means
    level: float = LEVEL
    margin: float = MARGIN
    anchor_margin: float = ANCHOR_MARGIN

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the manifest and the topic."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Decision:
        """Raises msgspec.ValidationError for another record."""
        return msgspec.convert(told, cls)


def enough(num_events: int, num_users: int) -> bool:
    """Whether a slice with so many judged events of so many users can be decided on."""
    return num_events >= MIN_EVENTS and num_users >= MIN_USERS


def decide(evidence: Evidence, *, serving: str, anchor: str, draws: int = DRAWS, seed: int = 0) -> Decision:
    """The verdict on a candidate; ``serving`` and ``anchor`` name the versions it is held against.

    The new version becomes the anchor if against it one of the two is better for sure and neither is lower.
    """
    users = len(np.unique(evidence.users_E))
    events = len(evidence.users_E)
    waiting = Decision(
        verdict=Verdict.WAIT,
        reason=f"{events:,} events of {users} users, {MIN_EVENTS:,} of {MIN_USERS} are needed",
        events=events,
        users=users,
        slices=evidence.slices,
        top_ten_share=_top_ten_share(evidence.users_E),
        serving=None,
        anchor=None,
        anchor_version=anchor,
        best=False,
    )
    if not enough(events, users):
        return waiting
    against = _against(serving, evidence.new, evidence.serving, evidence.users_E, draws, seed)
    best_so_far = None
    if evidence.anchor is not None:
        best_so_far = _against(anchor, evidence.new, evidence.anchor, evidence.users_E, draws, seed)
    verdict, reason = _verdict(against, best_so_far, evidence.slices)
    return replace(
        waiting,
        verdict=verdict,
        reason=reason,
        serving=against,
        anchor=best_so_far,
        best=verdict is Verdict.PUBLISH and _better(best_so_far or against),
        lines={
            role: {"alone": summary(ranks.alone_E), "fused": summary(ranks.fused_E)}
            for role, ranks in (
                ("new", evidence.new),
                ("serving", evidence.serving),
                ("anchor", evidence.anchor),
            )
            if ranks is not None
        },
    )


def settled(decision: Decision, pooled: Evidence) -> tuple[Decision, Evidence]:
    """The decision as it stands, and the evidence to which the next slice comes if it is not final.

    A slice that waits for more events or users has not been decided on, so it is none of the MAX_SLICES; past
    MAX_POOLED events nothing more is waited for.
    """
    if decision.verdict is not Verdict.WAIT:
        return decision, pooled
    if decision.events >= MAX_POOLED:
        told = f"{decision.reason}, and no more are waited for"
        decision = replace(decision, verdict=Verdict.REJECT, reason=told)
    return decision, replace(pooled, slices=1)


def _verdict(serving: Against, anchor: Against | None, slices: int) -> tuple[Verdict, str]:
    for what, change in (("alone", serving.alone), ("in the served sum", serving.fused)):
        if change.high < 0:
            return Verdict.REJECT, f"worse than {serving.version} {what}: {_shown(change)}"
    near = serving.worst_low > -MARGIN
    if near and (anchor is None or anchor.worst_low > -ANCHOR_MARGIN):
        return Verdict.PUBLISH, f"not worse than {serving.version} by {MARGIN:.0%}: {_both(serving)}"
    if anchor is not None and near:
        doubt = f"{anchor.version}, the best so far, by {ANCHOR_MARGIN:.0%}: {_both(anchor)}"
    else:
        doubt = f"{serving.version} by {MARGIN:.0%}: {_both(serving)}"
    if slices >= MAX_SLICES:
        return Verdict.REJECT, f"may be worse than {doubt}; {slices} slices did not tell"
    return Verdict.KEEP, f"may be worse than {doubt}"


def _better(against: Against) -> bool:
    both = (against.alone, against.fused)
    return any(change.low > 0 for change in both) and all(change.mean >= 0 for change in both)


def _against(
    version: str, new: Ranks, other: Ranks, users_E: npt.NDArray[Any], draws: int, seed: int
) -> Against:
    return Against(
        version=version,
        alone=_change(new.alone_E, other.alone_E, users_E, draws, seed),
        fused=_change(new.fused_E, other.fused_E, users_E, draws, seed),
    )


def _change(
    new_E: FloatArray, other_E: FloatArray, users_E: npt.NDArray[Any], draws: int, seed: int
) -> Change:
    other = full_ndcg(other_E)
    found = bootstrap(full_ndcg(new_E) - other, users_E, level=LEVEL, draws=draws, seed=seed)
    assert found.low is not None  # there are enough users
    assert found.high is not None
    base = float(other.mean()) or 1.0
    return Change(mean=found.mean / base, low=found.low / base, high=found.high / base)


def _top_ten_share(users_E: npt.NDArray[Any]) -> float:
    counts = np.sort(np.unique(users_E, return_counts=True)[1])
    return float(counts[-10:].sum() / counts.sum()) if len(counts) else 0.0


def _joined(first: Ranks, then: Ranks) -> Ranks:
    return Ranks(
        alone_E=np.concatenate([first.alone_E, then.alone_E]),
        fused_E=np.concatenate([first.fused_E, then.fused_E]),
    )


def _both(against: Against) -> str:
    return f"alone {_shown(against.alone)}, in the served sum {_shown(against.fused)}"


def _shown(change: Change) -> str:
    return f"{change.mean:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"
