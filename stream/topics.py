"""The topics: one table of names, keys, retention.

Knows: design of every topic. Does not know: how they are created (admin.py) or who speaks on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DAY_MS = 24 * 3600 * 1000
SEGMENT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One row of the table."""

    name: str  # without the prefix
    key: str  # what the record key is, for people
    value: str
    keyed_by_user: bool  # such topics share one partition count
    config: dict[str, str] = field(default_factory=dict)


def _size(per_partition_mb: int) -> str:
    return str(per_partition_mb * 1024 * 1024)


TOPICS: tuple[Topic, ...] = (
    Topic(name="events", key="user", value="JSON event", keyed_by_user=True, config={"retention.ms": "-1"}),
    Topic(
        name="requests",
        key="user",
        value="msgpack request",
        keyed_by_user=True,
        config={
            "retention.ms": str(DAY_MS),
            "retention.bytes": _size(512),
            "segment.bytes": str(SEGMENT_BYTES),
        },
    ),
    Topic(
        name="recommendations",
        key="user",
        value="JSON recommendation list",
        keyed_by_user=True,
        config={"cleanup.policy": "compact", "min.compaction.lag.ms": str(DAY_MS)},
    ),
    Topic(
        name="judgements",
        key="user",
        value="msgpack judgement",
        keyed_by_user=True,
        config={
            "retention.ms": str(7 * DAY_MS),
            "retention.bytes": _size(512),
            "segment.bytes": str(SEGMENT_BYTES),
        },
    ),
    Topic(
        name="items", key="item", value="JSON item", keyed_by_user=False, config={"cleanup.policy": "compact"}
    ),
    Topic(
        name="models",
        key="model name",
        value="JSON announcement",
        keyed_by_user=False,
        config={"cleanup.policy": "compact"},
    ),
    Topic(
        name="quality",
        key="line",
        value="JSON window metrics",
        keyed_by_user=False,
        config={"retention.ms": str(7 * DAY_MS)},
    ),
    Topic(
        name="dead-letters",
        key="user or none",
        value="original bytes",
        keyed_by_user=False,
        config={"retention.ms": str(30 * DAY_MS)},
    ),
)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Full names under one prefix: `TopicNames("hopstream.").events` is "hopstream.events"."""

    prefix: str

    @property
    def events(self) -> str:
        return self.prefix + "events"

    @property
    def requests(self) -> str:
        return self.prefix + "requests"

    @property
    def recommendations(self) -> str:
        return self.prefix + "recommendations"

    @property
    def judgements(self) -> str:
        return self.prefix + "judgements"

    @property
    def items(self) -> str:
        return self.prefix + "items"

    @property
    def models(self) -> str:
        return self.prefix + "models"

    @property
    def quality(self) -> str:
        return self.prefix + "quality"

    @property
    def dead_letters(self) -> str:
        return self.prefix + "dead-letters"

    @property
    def worker_app(self) -> str:
        """Faust's app id, which is also the worker's consumer group."""
        return self.prefix + "worker"

    @property
    def changelog(self) -> str:
        """Changelog of the worker's one table; Faust derives the name from the app id."""
        return f"{self.worker_app}-users-changelog"

    @property
    def scorer_group(self) -> str:
        return self.prefix + "scorer"

    @property
    def evaluator_group(self) -> str:
        """Its commits on `events` say how far the stream is judged."""
        return self.prefix + "evaluator"

    def of(self, topic: Topic) -> str:
        return self.prefix + topic.name
