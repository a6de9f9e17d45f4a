"""One line on standard error that tells how far something is.

Knows: terminals and their absence. Does not know: what is counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

#: On a terminal the line is redrawn this often; elsewhere a new line is printed much more rarely.
REDRAW_S = 0.25
PLAIN_EVERY_S = 5.0


class RateLine:
    """`show` it a text as often as you like; it is drawn now and then, and always the last one."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=sys.stderr)
        self._live = Live(console=self._console, refresh_per_second=4, transient=False, auto_refresh=False)
        self._every_s = REDRAW_S if self._console.is_terminal else PLAIN_EVERY_S
        self._now_s = now_s
        self._drawn_s: float | None = None
        self._newest = ""
        self._drawn = ""

    def __enter__(self) -> RateLine:
        if self._console.is_terminal:
            self._live.start()
        return self

    def show(self, text: str) -> None:
        self._newest = text
        now_s = self._now_s()
        if self._drawn_s is None:
            self._drawn_s = now_s if not self._console.is_terminal else now_s - self._every_s
        if now_s - self._drawn_s >= self._every_s:
            self._drawn_s = now_s
            self._draw()

    def _draw(self) -> None:
        if self._newest == self._drawn:
            return
        self._drawn = self._newest
        if self._console.is_terminal:
            self._live.update(Text(self._newest), refresh=True)
        else:
            self._console.print(self._newest, markup=False, highlight=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        if self._console.is_terminal:
            self._live.stop()
