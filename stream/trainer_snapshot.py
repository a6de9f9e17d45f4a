"""The trainer as plain values for a snapshot, and back: weights, optimiser, replay, items, generators, all.

Knows: every part of the trainer. Does not know: the file (snapshot.py), when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from model.learner import Cycle
from model.watch import Watch
from stream.comparing import evidence_arrays, evidence_of
from stream.learners import restored
from stream.lessons import Click, arrays_of, told_arrays
from stream.trainer import Trainer
from stream.trainer_held import Candidate, Kept


def packed(trainer: Trainer) -> dict[str, Any]:
    """Everything but the lessons and the configuration."""
    return {
        "learner": told_arrays(trainer.learner.to_arrays()),
        "serving": _kept(trainer.serving),
        "previous": trainer.previous and _kept(trainer.previous),
        "candidate": trainer.candidate and _candidate(trainer.candidate),
        "watch": trainer.watch and trainer.watch.to_dict(),
        "waiting": _clicks(trainer.waiting),
        "known": _clicks(trainer.known),
        "num_dropped": trainer.num_dropped,
        "num_failed": trainer.num_failed,
        "lines": told_arrays(trainer.rows.lines),
        "exposure": told_arrays(trainer.rows.exposure.to_arrays()),
        "forgotten": trainer.forgotten,
    }


def unpack(state: Mapping[str, Any], trainer: Trainer) -> None:
    """Let a fresh trainer of the same base go on. Raises KeyError, ValueError, TypeError for other states."""
    trainer.learner = restored(arrays_of(state["learner"]), trainer.base, trainer.config)
    trainer.serving = _kept_of(state["serving"])
    trainer.previous = state["previous"] and _kept_of(state["previous"])
    trainer.candidate = state["candidate"] and _candidate_of(state["candidate"])
    trainer.watch = state["watch"] and Watch.from_dict(state["watch"])
    trainer.waiting, trainer.known = _clicks_of(state["waiting"]), _clicks_of(state["known"])
    trainer.num_dropped, trainer.num_failed = state["num_dropped"], state["num_failed"]
    trainer.rows.restore(arrays_of(state["lines"]), arrays_of(state["exposure"]))
    trainer.forgotten = list(state["forgotten"])


def _kept(kept: Kept) -> dict[str, Any]:
    clicks, known = _clicks(kept.clicks), _clicks(kept.known)
    return {"name": kept.name, "arrays": told_arrays(kept.arrays), "clicks": clicks, "known": known}


def _kept_of(told: Mapping[str, Any]) -> Kept:
    clicks, known = _clicks_of(told["clicks"]), _clicks_of(told["known"])
    return Kept(name=told["name"], arrays=arrays_of(told["arrays"]), clicks=clicks, known=known)


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "cycle": asdict(candidate.cycle),
        "trained_through": candidate.trained_through,
        "judged_by": candidate.judged_by,
        "pooled": candidate.pooled and evidence_arrays(candidate.pooled),
    }


def _candidate_of(told: Mapping[str, Any]) -> Candidate:
    return Candidate(
        cycle=Cycle(**told["cycle"]),
        trained_through=dict(told["trained_through"]),
        judged_by={partition: (first, last) for partition, (first, last) in told["judged_by"].items()},
        pooled=evidence_of(told["pooled"]),
    )


def _clicks(clicks: Sequence[Click]) -> list[Any]:
    return [list(click) for click in clicks]


def _clicks_of(told: Sequence[Any]) -> list[Click]:
    return [Click(*fields) for fields in told]
