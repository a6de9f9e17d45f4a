"""The gate on the stream: a candidate and what serves, held against each other on the newest slice.

Knows: the memory as it stood at each slice's beginning, the anchor, slices that are pooled.
Does not know: how ranks come about (model/gate_ranks.py), the rule (model/gate.py), who trains.
"""

from __future__ import annotations

import copy

from model.columns import EventColumns
from model.cooccurrence import CoOccurrence
from model.gate import Decision, Evidence, Verdict, decide, settled
from model.gate_ranks import evidence
from model.leader import Leaders
from model.prequential import Choices, FrozenModel, frozen, in_order
from model.slices import Serving
from model.sums import WEIGHTS


class StreamGate:
    """An online.Accept with the memory of the stream so far; one weight, the leader's first, for all."""

    def __init__(self, columns: EventColumns, choices: Choices, filter_seen: bool = True) -> None:
        self.decisions: list[Decision] = []
        self._columns = columns
        self._choices = choices
        self._filter_seen = filter_seen
        self._counter = CoOccurrence(choices.memory)
        self._learned = 0
        self._anchor: Serving | None = None  # None: what serves is the best so far
        self._pooled: Evidence | None = None

    def __call__(self, candidate: Serving, serving: Serving, start: int, stop: int) -> Verdict:
        """Decide on the events [start, stop), and on those kept before for the same candidate."""
        self._advance(start)
        past = self._columns.slice(0, stop)
        found = evidence(
            self._met(candidate, past, start),
            self._met(serving, past, start),
            None if self._anchor is None else self._met(self._anchor, past, start),
            past,
            start,
            copy.deepcopy(self._counter.memory),
            Leaders(len(WEIGHTS)),
            epsilon=self._choices.epsilon,
            filter_seen=self._filter_seen,
        )
        pooled = found if self._pooled is None else self._pooled.pooled(found)
        anchor = serving if self._anchor is None else self._anchor
        decision = decide(pooled, serving=_name(serving), anchor=_name(anchor))
        decision, pooled = settled(decision, pooled)
        self.decisions.append(decision)
        undecided = decision.verdict in (Verdict.KEEP, Verdict.WAIT)
        self._pooled = pooled if undecided else None
        if decision.verdict is Verdict.PUBLISH:
            self._anchor = None if decision.best else anchor
        return decision.verdict

    def _advance(self, start: int) -> None:
        part = self._columns.slice(self._learned, start)
        for user, item, time_ms in in_order(part):
            self._counter.observe(part.users[user], part.items[item], time_ms)
        self._learned = start

    def _met(self, version: Serving, past: EventColumns, start: int) -> FrozenModel:
        return frozen(version.model, version.catalogue, past, start)


def _name(version: Serving) -> str:
    return f"trained through {version.trained_through}"
