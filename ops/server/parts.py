"""What the routes work with; run.py builds the real ones, tests build fakes.

Knows: the seams between routes and the world. Does not know: Kafka, FastAPI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.registry import Registry
from ops.server.answers import Answering
from ops.server.feed import Feed
from ops.server.scene import Scene
from ops.server.telemetry import Telemetry
from stream.topics import TopicNames


@dataclass(frozen=True, slots=True)
class Record:
    """One record to be sent."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies."""

    partition: int
    offset: int


class Sends(Protocol):
    """Whoever brings records to the broker."""

    async def send(self, records: Sequence[Record]) -> list[Place]:
        """Where each record lies, once every copy has it. Raises problems.Unavailable."""


@dataclass(slots=True)
class Health:
    """What is known of the world outside; the follower keeps it up to date."""

    broker_away: bool = True
    behind: int | None = None  # records of the topics that are not read yet; None: not connected yet
    caught_up: bool = False  # everything that lay on the topics at the start was read
    producing: bool = False
    problem: str | None = None  # what stands in the way, in words

    def reasons(self) -> list[str]:
        """Why this server should get no requests now; empty if it should."""
        reasons = [] if self.problem is None else [self.problem]
        if self.broker_away:
            reasons.append("the broker does not answer")
        if not self.caught_up:
            reasons.append(
                "the topics are being read" + (f", {self.behind} records left" if self.behind else "")
            )
        if not self.producing:
            reasons.append("the producer is not connected")
        return reasons


@dataclass(slots=True, kw_only=True)
class Parts:
    """Everything a route may touch."""

    answering: Answering
    feed: Feed
    scene: Scene
    telemetry: Telemetry
    health: Health
    sender: Sends
    registry: Registry
    models_dir: Path
    names: TopicNames
    refresh: Callable[[], Awaitable[None]]  # look at the registry now
    token: str | None
    max_events: int
    wait_s: float
    clock_s: Callable[[], float]  # process time
    wall_ms: Callable[[], int]
