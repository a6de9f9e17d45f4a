"""Whether a replay should wait: the scorer's lag on `requests` against what that topic keeps.

Knows: retention of the topic, offsets. Does not know: what requests contain, who replays.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream import admin
from stream.topics import TOPICS, TopicNames

#: A request with a full history of 512 events and ids of some 16 bytes; most are far smaller.
REQUEST_BYTES = 16 * 1024
#: Replay waits beyond this share of what `requests` keeps.
SHARE = 5


def max_lag_records() -> int:
    """Requests per partition that the scorer may be behind: a fifth of what the topic keeps, by bytes."""
    kept = next(topic.config["retention.bytes"] for topic in TOPICS if topic.name == "requests")
    return int(kept) // SHARE // REQUEST_BYTES


def lag(ends: Mapping[int, int], committed: Mapping[int, int]) -> int:
    """The largest lag of any partition; 0 when nobody has committed yet, since then nobody is behind."""
    return max((end - committed[number] for number, end in ends.items() if number in committed), default=0)


def scorer_lag(bootstrap: str, names: TopicNames) -> int:
    """`lag` of the scorers as the broker tells it now. Raises BrokerUnreachable."""
    committed = admin.committed(bootstrap, names.scorer_group, names.requests)
    return lag(admin.end_offsets(bootstrap, names.requests), committed) if committed else 0
