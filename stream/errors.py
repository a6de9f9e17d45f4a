"""What can go wrong in the stream room; the class docstring is the message.

Knows: nothing else of the project. A malformed event is not here: it is data, and goes to dead-letters.
"""

from __future__ import annotations

import inspect


class StreamError(Exception):
    """The stream could not do what was asked."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{inspect.cleandoc(type(self).__doc__ or '')} {detail}".strip())


class BrokerUnreachable(StreamError):
    """No Kafka broker answers; start one with `hopstream broker` or name another with --bootstrap."""


class TopicMismatch(StreamError):
    """An existing topic has another number of partitions than the configuration; delete it, change
    `kafka.partitions`, or choose another `kafka.prefix`."""


class StateDamaged(StreamError):
    """A user's stored state could not be read; remove the worker's data directory and it is rebuilt."""


class SettingsInvalid(StreamError):
    """The configuration is not usable."""


class NoMoment(StreamError):
    """A moment is an offset of `events` (8812), `ts=UNIX_MS` by the records' own timestamps, `last=DURATION`
    before now (last=30m), or `latest`."""
