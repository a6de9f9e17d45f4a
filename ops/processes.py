"""Child processes that never outlive us, and how they are stopped.

Knows: process groups, signals, Linux' parent-death signal and a stand-in for it elsewhere.
Does not know: what the children do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
#: How often the stand-in looks whether its parent is still there.
WATCH_S = 0.25


def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes] | int | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    guard: bool = not sys.platform.startswith("linux"),
) -> subprocess.Popen[bytes]:
    """Start a child in a process group of its own that is killed when this process ends, even by kill -9.

    On Linux the kernel does it (`PR_SET_PDEATHSIG`); it watches the *thread* that forked, hence the main
    thread only. Elsewhere a small process in between watches its parent (``guard``). ``output`` takes both
    standard output and standard error.
    """
    assert threading.current_thread() is threading.main_thread(), "children are started from the main thread"
    if guard:
        command = [sys.executable, "-m", "ops.processes", *command]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=None if environment is None else dict(environment),
        cwd=folder,
        start_new_session=True,
        preexec_fn=None if guard else _die_with(os.getpid()),
    )


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)  # before the fork: a child between fork and exec loads nothing

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return ask_the_kernel


def stop(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """SIGTERM, wait, then SIGKILL to the whole group; True if the child went by itself."""
    went = process.poll() is not None
    if not went:
        process.terminate()
        try:
            process.wait(patience_s)
            went = True
        except subprocess.TimeoutExpired:
            pass
    kill_group(process.pid)  # also after a clean end: nothing it started may stay
    process.wait()
    return went


def kill_group(leader: int) -> None:
    """SIGKILL to a process group that we started; nothing if it is gone."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM where only zombies are left
        return


def watch(command: Sequence[str]) -> int:
    """Run a command, hand signals on to it, and kill it when our own parent is gone; its exit status."""
    parent = os.getppid()
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: child.send_signal(got))
    while True:
        try:
            return child.wait(WATCH_S)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.kill()


class StopRequest:
    """SIGTERM and SIGINT as a question to ask; restores the handlers at the end of a `with` block."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, lambda *_: self._asked.set())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself returned

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a stop is asked for; True if it was. Without ``timeout_s`` as long as it takes."""
        if timeout_s is not None:
            return self._asked.wait(timeout_s)
        while not self._asked.wait(1.0):  # a wait without end would not see signals on every platform
            pass
        return True


def eventually(done: Callable[[], bool], timeout_s: float, every_s: float = 0.02) -> bool:
    """Ask until the answer is yes or time is up; the last answer."""
    ends_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= ends_s:
            return False
        time.sleep(every_s)
    return True


if __name__ == "__main__":
    sys.exit(watch(sys.argv[1:]))
