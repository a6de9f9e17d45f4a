"""What all roles say, in one file: time, role, line; when it is full it becomes the one before.

Knows: pipes and lines. Does not know: who the roles are or what their lines mean.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

#: Lines of each role kept for an error message.
TAIL_LINES = 30
#: A longer line is cut: a role that forgets its newline must not fill our memory.
MAX_LINE_BYTES = 16_384
#: The file, and the one before it.
MAX_FILE_BYTES = 64 << 20


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is logging's
        """A full disk: roles go on, and their latest lines are in `tail`."""


class RoleLog:
    """The merged file; a thread per pipe copies lines as they come: no role ever waits for a reader."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = _File(path, maxBytes=MAX_FILE_BYTES, backupCount=1, encoding="utf-8")
        self._file.setFormatter(logging.Formatter("%(asctime)s %(name)-9s | %(message)s", "%H:%M:%S"))
        self._closed = False
        self._writing = threading.Lock()
        self._tails: dict[str, deque[str]] = {}

    def follow(self, role: str, pipe: IO[bytes]) -> threading.Thread:
        """Copy a role's output until its end; the thread ends with the last holder of the pipe."""
        self._tails.setdefault(role, deque(maxlen=TAIL_LINES))
        thread = threading.Thread(target=self._copy, args=(role, pipe), name=f"log-{role}", daemon=True)
        thread.start()
        return thread

    def note(self, role: str, line: str) -> None:
        """Write a line of our own about a role."""
        self._write(role, f"[{line}]")

    def tail(self, role: str) -> list[str]:
        """The latest lines of a role, oldest first."""
        return list(self._tails.get(role, ()))

    def close(self) -> None:
        with self._writing, suppress(OSError):
            self._closed = True
            self._file.close()

    def _copy(self, role: str, pipe: IO[bytes]) -> None:
        with pipe:
            for raw in iter(lambda: pipe.readline(MAX_LINE_BYTES), b""):
                line = raw.decode(errors="replace").rstrip()
                self._tails[role].append(line)
                self._write(role, line)

    def _write(self, role: str, line: str) -> None:
        with self._writing:
            if not self._closed:
                self._file.handle(logging.makeLogRecord({"name": role, "msg": line}))
