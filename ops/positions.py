"""Where in a data set a replay starts and ends, as people write it.

Knows: three ways to name a row. Does not know: files, topics.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from ops import exit_codes
from ops.errors import OpsError


class PositionUnreadable(OpsError):
    """A position in a data set is a row number (5000), a share with a decimal point (0.8), or a time in
    Unix ms (ts=1599391467000)."""

    exit_code = exit_codes.USAGE


def row_at(text: str, time_ms: npt.NDArray[np.int64]) -> int:
    """The row that ``text`` names among events at these times; at most their number.

    A share is rounded down, as the protocol's warm part is; a time names the first event that is not older.
    Raises PositionUnreadable.
    """
    num = len(time_ms)
    if re.fullmatch(r"\d+", text):
        return min(int(text), num)
    if re.fullmatch(r"0?\.\d+|1\.0*", text):
        return int(float(text) * num)
    if match := re.fullmatch(r"ts=(\d+)", text):
        return int(np.searchsorted(time_ms, int(match[1]), side="left"))
    raise PositionUnreadable(f"{text!r} is none of these.")
