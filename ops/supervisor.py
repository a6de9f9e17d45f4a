"""Several roles as child processes: started until ready, restarted when they crash, stopped in reverse order.

Knows: commands, ready files, exit statuses, memory. Does not know: what the roles do.

All happens in the caller's main thread, inside `start`, `tend` and `stop`; threads only copy output.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from threading import Thread
from typing import NoReturn

import psutil

from ops import exit_codes, processes
from ops.errors import RoleFailed, StopAsked
from ops.restarts import HOPELESS, Policy
from ops.rolelog import RoleLog

#: How often the roles are looked at while we wait.
TEND_S = 0.05
MEMORY_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One process to keep up."""

    name: str
    command: tuple[str, ...]
    waits_ready: bool = True  # `--ready-file PATH` is added to the command; ready means it is written
    restarts: bool = True  # False: a task, whose crash ends it all because half of it is done
    ready_s: float = 60.0
    stop_s: float = 20.0  # from SIGTERM to SIGKILL
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of ours


def verb(name: str, *arguments: str, role: str | None = None, **fields: object) -> Role:
    """A role that is a verb of our command line; ``fields`` as in Role."""
    command = (sys.executable, "-m", "ops.cli", name, *arguments)
    return Role(name=role or name, command=command, **fields)  # type: ignore[arg-type]  # Role checks names


class Happened(Enum):
    """What is told to `on_event`."""

    STARTED = "started"
    READY = "ready"
    ENDED = "ended"  # exit status 0, unasked: its work is done
    CRASHED = "crashed"
    STOPPED = "stopped"
    KILLED = "killed"  # it did not stop in time


class _Phase(Enum):
    STARTING = 1  # runs, not yet ready
    UP = 2
    DOWN = 3  # crashed, to be started again at `again_s`
    DONE = 4  # ended by itself with status 0


@dataclass(slots=True)
class _Child:
    role: Role
    process: subprocess.Popen[bytes]
    reader: Thread
    ready_file: Path
    began_s: float
    phase: _Phase
    again_s: float = 0.0
    crashes_s: list[float] = field(default_factory=list)
    proven: bool = False  # it was ready at least once


class Supervisor:
    """Keeps roles up. A context manager for the main thread: at its end nothing of it is left running."""

    def __init__(
        self,
        folder: Path,
        *,
        policy: Policy | None = None,
        on_event: Callable[[str, Happened, str], None] = lambda *_: None,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        """``folder`` takes `roles.log` and ready files. ``on_event(role, what, detail)`` hears what happens.

        ``stop_asked`` is looked at wherever we wait; a yes raises StopAsked there.
        """
        self.log = RoleLog(folder / "roles.log")
        self.restarts: dict[str, int] = {}
        self.peak_memory_bytes = 0
        self._folder = folder
        self._policy = policy or Policy()
        self._tell = on_event
        self._stop_asked = stop_asked
        self._children: dict[str, _Child] = {}
        self._memory_at_s = 0.0

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        self.log.close()

    def start(self, role: Role) -> None:
        """Start a role and tend the others until it is ready.

        Raises RoleFailed if it ends or is not ready in time, StopAsked.
        """
        child = self._children[role.name] = self._spawn(role)
        while child.phase in (_Phase.STARTING, _Phase.DOWN):
            self._pause()

    def run(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Tend until ``until`` says yes; False if time was up first. Raises RoleFailed, StopAsked."""
        ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not until():
            if ends_s is not None and time.monotonic() >= ends_s:
                return False
            self._pause()
        return True

    def tend(self) -> None:
        """One look at every role: note the ready, restart the dead whose time has come, sample memory.

        Raises RoleFailed when one crashes too often or cannot be helped.
        """
        now_s = time.monotonic()
        for child in list(self._children.values()):
            self._tend(child, now_s)
        if now_s >= self._memory_at_s:
            self._memory_at_s = now_s + MEMORY_EVERY_S
            self.peak_memory_bytes = max(self.peak_memory_bytes, self.memory_bytes())

    def ended(self, name: str) -> bool:
        """Whether a role finished its work and went."""
        return self._children[name].phase is _Phase.DONE

    def pid(self, name: str) -> int:
        """Process id of a role as it runs now; another one after a restart."""
        return self._children[name].process.pid

    def memory_bytes(self) -> int:
        """Memory of all roles, what they started, and ourselves: shared pages once where the kernel tells."""
        ours = psutil.Process()
        return sum(_memory_of(process) for process in [ours, *ours.children(recursive=True)])

    def stop(self, name: str) -> None:
        """Stop one role and forget it."""
        child = self._children.pop(name)
        if child.phase in (_Phase.STARTING, _Phase.UP):
            went = processes.stop(child.process, child.role.stop_s)
            what = Happened.STOPPED if went else Happened.KILLED
            self._note(name, what, f"status {child.process.returncode}")
        child.reader.join(1.0)

    def stop_all(self) -> None:
        """Stop every role, the youngest first."""
        for name in reversed(list(self._children)):
            try:
                self.stop(name)
            except OSError as error:  # of a full disk, say; the others are still to be stopped
                self.log.note(name, f"may be running still: {error}")

    def _spawn(self, role: Role) -> _Child:
        ready_file = self._folder / f"{role.name}.ready"
        ready_file.unlink(missing_ok=True)
        asked = ["--ready-file", str(ready_file)] if role.waits_ready else []
        process = processes.spawn(
            [*role.command, *asked],
            output=subprocess.PIPE,
            environment={**os.environ, "PYTHONUNBUFFERED": "1", **role.environment},
        )
        assert process.stdout is not None
        reader = self.log.follow(role.name, process.stdout)
        self._note(role.name, Happened.STARTED, f"process {process.pid}")
        phase = _Phase.STARTING if role.waits_ready else _Phase.UP
        return _Child(role, process, reader, ready_file, time.monotonic(), phase)

    def _tend(self, child: _Child, now_s: float) -> None:
        if child.phase is _Phase.DONE:
            return
        if child.phase is _Phase.DOWN:
            if now_s >= child.again_s:
                self._restart(child)
            return
        waited_s = now_s - child.began_s
        if child.phase is _Phase.STARTING and child.ready_file.exists():  # before its end: both may be news
            child.phase, child.proven = _Phase.UP, True
            self._note(child.role.name, Happened.READY, f"after {waited_s:.1f} s")
            return
        status = child.process.poll()
        if status is not None:
            self._gone(child, status, now_s)
        elif child.phase is _Phase.STARTING and waited_s > child.role.ready_s:
            processes.stop(child.process, child.role.stop_s)
            self._crashed(child, f"was not ready within {child.role.ready_s:g} s", now_s)

    def _gone(self, child: _Child, status: int, now_s: float) -> None:
        processes.kill_group(child.process.pid)  # what it started goes with it
        if status == exit_codes.OK:
            child.phase = _Phase.DONE
            self._note(child.role.name, Happened.ENDED, "")
        elif status in HOPELESS:
            self._fail(child, f"ended with status {status}")
        else:
            self._crashed(child, f"ended with status {status}", now_s)

    def _crashed(self, child: _Child, why: str, now_s: float) -> None:
        child.crashes_s.append(now_s)
        if not child.role.restarts or (child.role.waits_ready and not child.proven):
            self._fail(child, why)
        delay_s = self._policy.delay_s(child.crashes_s)
        if delay_s is None:
            self._fail(child, f"{why}, {len(child.crashes_s)} times in all")
        child.phase, child.again_s = _Phase.DOWN, now_s + delay_s
        self._note(child.role.name, Happened.CRASHED, f"{why}, again in {delay_s:g} s")

    def _restart(self, child: _Child) -> None:
        fresh = self._spawn(child.role)
        child.process, child.reader = fresh.process, fresh.reader
        child.began_s, child.phase = fresh.began_s, fresh.phase
        self.restarts[child.role.name] = self.restarts.get(child.role.name, 0) + 1

    def _pause(self) -> None:
        if self._stop_asked():
            raise StopAsked
        self.tend()
        time.sleep(TEND_S)

    def _fail(self, child: _Child, why: str) -> NoReturn:
        child.reader.join(1.0)  # its last words
        tail = "\n".join(self.log.tail(child.role.name))
        raise RoleFailed(f"{child.role.name} {why}. {self.log.path} has it all; its last lines:\n{tail}")

    def _note(self, name: str, what: Happened, detail: str) -> None:
        self.log.note(name, f"{what.value} {detail}".rstrip())
        self._tell(name, what, detail)


def _memory_of(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            full = process.memory_full_info()
            return int(getattr(full, "pss", full.rss))
        except psutil.AccessDenied:
            return int(process.memory_info().rss)
    return 0
