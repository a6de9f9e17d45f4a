"""What the verb lets people choose among. Knows: names. Does not know: what they mean to a network."""

from __future__ import annotations

from enum import StrEnum


class Protocol(StrEnum):
    """How events are cut into what is trained on and what is asked."""

    LOO = "loo"
    TIME = "time"
    PREQUENTIAL = "prequential"
    MOS = "mos"


class Seen(StrEnum):
    """Whether a list may hold what the user already had."""

    FILTER = "filter"
    KEEP = "keep"
