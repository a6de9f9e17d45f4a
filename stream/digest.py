"""One line that says whether two runs ended in the same state, or made the same lists.

Knows: which parts of a state depend on events only. Does not know: where states and lists are read from.

Left out: offsets, topic ids, remembered event ids, themes and versions, and counts of what changed nothing
(duplicates, neutral events).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from stream.codec import unpack, unpack_closed
from stream.records import RecommendationList


def state_lines(value: bytes) -> list[object]:
    """What the state digest sees of one user's stored value. Raises StateDamaged."""
    state = unpack(value)
    sessions: list[object] = [unpack_closed(raw).triples() for raw in state.closed]
    opened = list(zip(state.open_items, state.open_times_ms, state.open_types, strict=True))
    counts = [state.counters.positive, state.counters.negative, state.counters.late]
    return [sessions, opened, bool(opened), counts, state.rejected]


def state_digest(values: Mapping[bytes, bytes]) -> str:
    """sha256 over users in byte order; ``values`` maps a user's raw id to the stored value."""
    digest = hashlib.sha256()
    for user in sorted(values):
        _add(digest, [user.hex(), *state_lines(values[user])])
    return digest.hexdigest()


def theme_digest(values: Mapping[bytes, bytes]) -> str:
    """sha256 over the frozen themes of closed sessions; comparable between runs under one version only."""
    digest = hashlib.sha256()
    for user in sorted(values):
        sessions = [unpack_closed(raw) for raw in unpack(values[user]).closed]
        _add(digest, [user.hex(), [[session.number, session.theme] for session in sessions]])
    return digest.hexdigest()


def list_digest(newest: Mapping[str, RecommendationList]) -> str:
    """sha256 over every user's newest list: offset, version, items in order; not scores or times."""
    digest = hashlib.sha256()
    for user in sorted(newest, key=str.encode):
        made = newest[user]
        _add(digest, [user, made.state.offset, made.model, [place.item for place in made.items]])
    return digest.hexdigest()


def _add(digest: hashlib._Hash, part: object) -> None:
    digest.update(json.dumps(part, separators=(",", ":")).encode() + b"\n")
