"""A moment of the stream: an offset or a time, and what lay on the topics by then.

Knows: offsets and record timestamps. Does not know: Kafka, what the records hold, clocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stream.errors import NoMoment
from stream.settings import duration_ms


@dataclass(frozen=True, slots=True)
class Moment:
    """Either bound, or none for everything up to now; both inclusive."""

    offset: int | None = None  # of the events topic, in every partition
    written_ms: int | None = None

    def has_event(self, offset: int, written_ms: int) -> bool:
        """Whether a record of the events topic lay there by then."""
        return (self.offset is None or offset <= self.offset) and self._by_then(written_ms)

    def has_list(self, state_offset: int, written_ms: int) -> bool:
        """Whether a list that knows the event at ``state_offset`` lay there by then; for an offset: once the
        newest event of that moment was answered."""
        return self.has_event(state_offset, written_ms)

    def _by_then(self, written_ms: int) -> bool:
        return self.written_ms is None or written_ms <= self.written_ms


def moment(text: str, now_ms: int) -> Moment:
    """Read one; ``now_ms`` is what `last=` counts from. Raises NoMoment."""
    if text == "latest":
        return Moment()
    if re.fullmatch(r"\d+", text):
        return Moment(offset=int(text))
    kind, _, value = text.partition("=")
    if kind == "ts" and re.fullmatch(r"\d+", value):
        return Moment(written_ms=int(value))
    try:
        if kind == "last" and isinstance(before_ms := duration_ms(value), int):
            return Moment(written_ms=now_ms - before_ms)
    except ValueError:
        pass
    raise NoMoment(f"(not {text!r})")
