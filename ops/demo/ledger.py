"""Is every event in the state exactly once? The worker's changelog against a fold of the events topic.

Knows: the two topics and the state's own rules. Does not know: the roles; it believes no counter of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.past import states_then
from stream.clients import read_all
from stream.digest import state_digest
from stream.history import Rules
from stream.moment import Moment
from stream.settings import Settings
from stream.topics import TopicNames

#: A click beside the replay may fall between the two reads; then both are read again.
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the state is, and what it should be."""

    stored: str  # digest of the changelog's newest values
    expected: str  # digest of the events topic folded once, in order, by one process
    users: int
    state_bytes: int  # of all stored values

    @property
    def balanced(self) -> bool:
        return self.stored == self.expected


def stored_values(bootstrap: str, names: TopicNames) -> dict[bytes, bytes]:
    """User id → newest stored state, from the changelog alone. Raises BrokerUnreachable."""
    values: dict[bytes, bytes] = {}
    for record in read_all(bootstrap, names.changelog):
        if record.value is None:
            values.pop(record.key, None)
        else:
            values[record.key] = record.value
    return values


def expected_values(bootstrap: str, names: TopicNames, rules: Rules) -> dict[bytes, bytes]:
    """User id → state after every event of the topic, applied once in order. Raises BrokerUnreachable."""
    found = states_then(bootstrap, names, rules, Moment())
    return {key: then.user.to_bytes() for key, then in found.items()}


def balance(bootstrap: str, settings: Settings) -> Ledger:
    """Read both topics to their present ends, again while they differ. Raises BrokerUnreachable."""
    for _ in range(TRIES - 1):
        ledger = _balance(bootstrap, settings)
        if ledger.balanced:
            return ledger
    return _balance(bootstrap, settings)


def _balance(bootstrap: str, settings: Settings) -> Ledger:
    names = TopicNames(settings.kafka.prefix)
    rules = Rules.of(settings)
    stored = stored_values(bootstrap, names)
    return Ledger(
        stored=state_digest(stored),
        expected=state_digest(expected_values(bootstrap, names, rules)),
        users=len(stored),
        state_bytes=sum(map(len, stored.values())),
    )
