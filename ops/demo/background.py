"""One piece of work in a thread, with its result or its error.

Knows: threads. Does not know: the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Starts at once; `done` tells, `result` returns or raises what the work did."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._errors: list[BaseException] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    @property
    def asked_to_stop(self) -> bool:
        """For the work to look at."""
        return self._stop.is_set()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the work to stop and wait for it."""
        self._stop.set()
        self._thread.join(timeout_s)

    def result(self) -> Result:
        """Wait, then return the result or raise the error."""
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001  # handed to whoever asks for the result
            self._errors.append(error)
