"""Which partition a user lives on: the same answer as every Kafka client's.

Knows: Kafka's hash of a key. Does not know: clients, topics.

Needed where we must know before or without sending: one user's records, tests, a replay in lockstep.
"""

from __future__ import annotations

from functools import lru_cache

_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C
_MIX = 0x5BD1E995


def murmur2(key: bytes) -> int:
    """Kafka's 32-bit murmur2 of a key, unsigned (Java client, `Utils.murmur2`; Kafka's seed)."""
    hashed = (_SEED ^ len(key)) & _MASK
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * _MIX & _MASK
        word = (word ^ word >> 24) * _MIX & _MASK
        hashed = hashed * _MIX & _MASK ^ word
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * _MIX & _MASK
    hashed = (hashed ^ hashed >> 13) * _MIX & _MASK
    return hashed ^ hashed >> 15


@lru_cache(maxsize=65_536)
def partition_of(user: str | bytes, partitions: int) -> int:
    """Partition of a user id (its raw UTF-8 bytes are the record key) among this many partitions."""
    key = user.encode() if isinstance(user, str) else user
    return (murmur2(key) & 0x7FFFFFFF) % partitions  # Kafka drops the sign bit, it does not negate
