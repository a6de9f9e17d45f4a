"""When a session ends, and the fingerprint of a sequence of events.

Knows: two pure rules. Does not know: users, Kafka, how state is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

#: A prime modulus for fingerprints: sums and products stay below two machine words, and two different
#: sequences of n events collide with a chance of about n / 2**61.
MODULUS = (1 << 61) - 1
#: Base of the polynomial; any fixed number far from small powers does.
BASE = 0x1B873593CC9E2D51 % MODULUS
EMPTY = 0


def closes(num_open: int, last_ms: int, ts_ms: int, gap_ms: int, max_events: int) -> bool:
    """Whether an event at ``ts_ms`` starts a new session.

    ``num_open`` events are in the open session, whose clock stands at ``last_ms`` (its newest event time).
    A gap over ``gap_ms`` or ``max_events`` events close it. A late event (``ts_ms`` < ``last_ms``) never
    closes a session by its time and never moves the clock back.
    """
    return num_open > 0 and (num_open >= max_events or ts_ms - last_ms > gap_ms)


@lru_cache(maxsize=65_536)
def event_hash(item: str, ts_ms: int) -> int:
    """A number below MODULUS for one event of a sequence."""
    raw = b"%d\x00%b" % (ts_ms, item.encode())
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big") % MODULUS


def extend(fingerprint: int, item: str, ts_ms: int) -> int:
    """The fingerprint of a sequence after one more event; EMPTY is that of the empty sequence."""
    return (fingerprint * BASE + event_hash(item, ts_ms)) % MODULUS


def fingerprint_of(events: Iterable[tuple[str, int]]) -> int:
    """The fingerprint of (item, time in Unix ms) events, oldest first."""
    value = EMPTY
    for item, ts_ms in events:
        value = extend(value, item, ts_ms)
    return value


@lru_cache(maxsize=1024)
def _power(length: int) -> int:
    return pow(BASE, length, MODULUS)


def joined(first: int, second: int, second_length: int) -> int:
    """The fingerprint of one sequence followed by another of ``second_length`` events.

    Exactly what extending the first event by event gives, so sessions are joined without their events.
    """
    return (first * _power(second_length) + second) % MODULUS
