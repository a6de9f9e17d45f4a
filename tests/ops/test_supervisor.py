"""Tiny roles written in a line of Python: it works, crashes, hangs, never is ready, or starts others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops import processes, rolelog
from ops.errors import RoleFailed, StopAsked
from ops.restarts import Policy
from ops.supervisor import Happened, Role, Supervisor, verb

QUICK = Policy(first_s=0.01, cap_s=0.05, max_crashes=3)
READY = "import pathlib, signal, sys; pathlib.Path(sys.argv[-1]).write_text('ready')\n"
WAIT = "signal.pause()\n"
OBEY = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"


def role(name: str, *lines: str, **fields: object) -> Role:
    """A role that runs these lines of Python."""
    return Role(name=name, command=(sys.executable, "-c", "".join(lines)), **fields)  # type: ignore[arg-type]


class Heard:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Happened]] = []

    def __call__(self, name: str, what: Happened, detail: str) -> None:
        self.events.append((name, what))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def supervisor(tmp_path: Path, heard: Heard) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, policy=QUICK, on_event=heard) as made:
        yield made


def test_roles_stop_in_reverse_order(tmp_path: Path, heard: Heard) -> None:
    """What was started last, and may lean on the rest, is stopped first."""
    with Supervisor(tmp_path, policy=QUICK, on_event=heard) as supervisor:
        supervisor.start(role("first", READY, OBEY, WAIT))
        supervisor.start(role("second", READY, OBEY, WAIT))

    assert heard.events == [
        ("first", Happened.STARTED),
        ("first", Happened.READY),
        ("second", Happened.STARTED),
        ("second", Happened.READY),
        ("second", Happened.STOPPED),
        ("first", Happened.STOPPED),
    ]


def test_a_crash_is_followed_by_a_restart(supervisor: Supervisor, heard: Heard) -> None:
    """A role that dies is there again as another process."""
    supervisor.start(role("worker", READY, WAIT))
    first = supervisor.pid("worker")

    os.kill(first, signal.SIGKILL)

    assert supervisor.run(lambda: heard.events.count(("worker", Happened.READY)) == 2, timeout_s=30)
    assert supervisor.pid("worker") != first
    assert supervisor.restarts == {"worker": 1}


def test_a_crash_loop_ends_it_all(supervisor: Supervisor, tmp_path: Path) -> None:
    """A role that cannot stay up is given up with its last words and the place of the whole log."""
    supervisor.start(role("scorer", READY, "print('out of luck'); sys.exit(70)"))

    with pytest.raises(RoleFailed) as failed:
        supervisor.run(lambda: False, timeout_s=60)

    assert "scorer ended with status 70, 4 times in all" in str(failed.value)
    assert "out of luck" in str(failed.value)
    assert str(tmp_path / "roles.log") in str(failed.value)


def test_a_configuration_error_is_not_tried_again(supervisor: Supervisor) -> None:
    """Exit status 2 stays the same however often it is asked for."""
    supervisor.start(role("worker", READY, "sys.exit(2)"))

    with pytest.raises(RoleFailed, match="worker ended with status 2"):
        supervisor.run(lambda: False, timeout_s=30)

    assert supervisor.restarts == {}


def test_a_role_that_never_is_ready_fails_its_start(supervisor: Supervisor) -> None:
    """A start ends in an error that names the role and the time it had."""
    with pytest.raises(RoleFailed, match=r"slow was not ready within 0\.3 s"):
        supervisor.start(role("slow", "import signal\n", WAIT, ready_s=0.3))


def test_a_role_that_dies_before_it_is_ready_fails_its_start(supervisor: Supervisor) -> None:
    """The first start is not repeated: whoever asked sits before the screen."""
    with pytest.raises(RoleFailed, match="broken ended with status 1"):
        supervisor.start(role("broken", "raise ValueError('no such thing')"))


def test_a_task_ends_and_is_not_restarted(supervisor: Supervisor, heard: Heard) -> None:
    """Exit status 0 means that the work is done; its words can be read."""
    supervisor.start(role("replay", "print('{\"events\": 5}')", waits_ready=False, restarts=False))

    assert supervisor.run(lambda: supervisor.ended("replay"), timeout_s=30)
    assert processes.eventually(lambda: supervisor.log.tail("replay") == ['{"events": 5}'], 10)
    assert ("replay", Happened.ENDED) in heard.events


def test_a_task_that_fails_ends_it_all(supervisor: Supervisor) -> None:
    """Half a replay is not started again."""
    supervisor.start(role("replay", "import sys; sys.exit(1)", waits_ready=False, restarts=False))

    with pytest.raises(RoleFailed, match="replay ended with status 1"):
        supervisor.run(lambda: supervisor.ended("replay"), timeout_s=30)


def test_a_role_that_hangs_is_killed(supervisor: Supervisor, heard: Heard) -> None:
    """A role deaf to SIGTERM is gone after its time to stop."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    supervisor.start(role("deaf", "import signal\n", deaf, READY, "while True: signal.pause()", stop_s=0.2))
    pid = supervisor.pid("deaf")

    supervisor.stop("deaf")

    assert ("deaf", Happened.KILLED) in heard.events
    assert not psutil.pid_exists(pid)


def test_what_a_role_started_goes_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    """A grandchild does not outlive the role, even if the role is killed."""
    note = tmp_path / "grandchild"
    spawns = f"""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path({str(note)!r}).write_text(str(child.pid))
    """
    supervisor.start(role("parent", READY, textwrap.dedent(spawns), WAIT))
    assert processes.eventually(lambda: note.exists() and note.read_text() != "", 30)

    supervisor.stop("parent")

    assert processes.eventually(lambda: _is_gone(int(note.read_text())), 10)


def test_the_log_names_the_role_of_each_line(supervisor: Supervisor, tmp_path: Path) -> None:
    """Two roles' words are told apart in one file."""
    supervisor.start(role("one", READY, "print('hello')\n", OBEY, WAIT))
    supervisor.start(role("two", READY, "print('there', file=sys.stderr)\n", OBEY, WAIT))
    log = tmp_path / "roles.log"

    assert processes.eventually(lambda: "there" in log.read_text() and "hello" in log.read_text(), 10)
    said = [line.split(" ", 1)[1] for line in log.read_text().splitlines()]
    assert "one       | hello" in said
    assert "two       | there" in said


def test_a_full_log_becomes_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files hold the newest lines, however much the roles say."""
    monkeypatch.setattr(rolelog, "MAX_FILE_BYTES", 1_000)
    log = rolelog.RoleLog(tmp_path / "roles.log")
    for number in range(500):
        log.note("one", f"line {number}")
    log.close()
    log.note("one", "after the end")

    files = sorted(tmp_path.iterdir())
    said = "".join(file.read_text() for file in reversed(files)).splitlines()
    assert [file.name for file in files] == ["roles.log", "roles.log.1"]
    assert all(file.stat().st_size <= 1_000 for file in files)
    assert said[-1].endswith(" one       | [line 499]")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_stops_nobody_and_keeps_nobody_from_being_stopped(tmp_path: Path, heard: Heard) -> None:
    """Lines of roles are lost to the file and are in the tail; each role is told to end."""
    (tmp_path / "roles.log").symlink_to("/dev/full")
    with Supervisor(tmp_path, policy=QUICK, on_event=heard) as supervisor:
        for name in ("one", "two"):
            supervisor.start(role(name, READY, f"print('from {name}')\n", OBEY, WAIT))
        assert processes.eventually(lambda: supervisor.log.tail("two") == ["from two"], 10)

    assert heard.events[-2:] == [("two", Happened.STOPPED), ("one", Happened.STOPPED)]


def test_memory_counts_every_process(supervisor: Supervisor) -> None:
    """A role that holds 60 MB shows in the sum, and the peak is kept."""
    before = supervisor.memory_bytes()
    supervisor.start(role("fat", "held = b'x' * 60_000_000\n", READY, OBEY, WAIT))

    assert supervisor.memory_bytes() - before > 55_000_000
    assert supervisor.run(lambda: supervisor.peak_memory_bytes - before > 55_000_000, timeout_s=30)


def test_a_wish_to_stop_interrupts_a_start(tmp_path: Path) -> None:
    """Ctrl-C does not wait for a role that is slow to come up."""
    with (
        Supervisor(tmp_path, policy=QUICK, stop_asked=lambda: True) as supervisor,
        pytest.raises(StopAsked),
    ):
        supervisor.start(role("slow", "import signal\n", WAIT))


def test_a_verb_is_run_by_this_python() -> None:
    """Roles are verbs of our own command line, in the interpreter that runs us."""
    made = verb("worker", "--data-dir", "x", role="worker-1", stop_s=3.0)

    assert (sys.executable, "-m", "ops.cli", "worker", "--data-dir", "x") == made.command
    assert (made.name, made.stop_s) == ("worker-1", 3.0)


@pytest.mark.parametrize("guard", [False, True])
def test_killing_the_supervisor_leaves_no_role(tmp_path: Path, guard: bool) -> None:
    """kill -9 of the parent ends its children, by the kernel or by the process in between."""
    note = tmp_path / "child"
    program = f"""
        import os, pathlib, sys, time
        from ops import processes
        code = "import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid()));"
        code += "time.sleep(600)"
        processes.spawn([sys.executable, "-c", code], guard={guard})
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=_root())
    try:
        assert processes.eventually(lambda: note.exists() and note.read_text() != "", 30)
        child = int(note.read_text())
    finally:
        parent.kill()
        parent.wait()

    assert processes.eventually(lambda: _is_gone(child), 10)


def _is_gone(pid: int) -> bool:
    """Nobody reaps the orphans of a container, so a zombie counts as gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _root() -> Path:
    return Path(__file__).parents[2]
