"""What a run says of itself while it goes on: its phases, its data, its pace; one small file.

Knows: the record, how it is replaced as a whole. Does not know: who runs, who looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field


class Phase(Struct, kw_only=True):
    """One step of a run."""

    name: str
    text: str
    state: Literal["now", "done"]
    seconds: float | None = None  # it took; None while it goes on


class Status(Struct, kw_only=True):
    """A run, as of now."""

    dataset: str
    licence: str
    pace: str  # in words: "100 clicks/s"
    phases: list[Phase] = field(default_factory=list)  # begun ones, in order
    sent: int = 0  # events of the replay that the broker has
    total: int = 0
    waiting: bool = False  # the replay waits for the scorer
    stopped: bool = False  # the run is over


_decoder = msgspec.json.Decoder(Status)


def write(path: Path, status: Status) -> None:
    """Replace the file; a reader sees the old one or the new one. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.encode(status))
    beside.replace(path)


def read(path: Path) -> Status | None:
    """None where there is no such file, or none that can be read."""
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
