"""The broker as a role: brought back when it dies, and gone with its supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil

from ops import ports, processes
from ops.broker import running
from ops.supervisor import Supervisor, verb
from stream import admin

ROOT = Path(__file__).parents[2]


def test_a_broker_that_dies_comes_back_at_its_address(tmp_path: Path) -> None:
    """After kill -9 of the Java machine the same cluster answers at the same port."""
    data_dir, port = tmp_path / "kafka", ports.free_port("127.0.0.1")
    role = verb("broker", "--data-dir", str(data_dir), "--port", str(port), ready_s=90.0)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(role)
        bootstrap = running(data_dir)
        assert bootstrap == f"127.0.0.1:{port}"
        before = admin.cluster_id(bootstrap)
        java = psutil.Process(supervisor.pid("broker")).children()[0].pid

        os.kill(java, signal.SIGKILL)

        assert supervisor.run(lambda: supervisor.restarts == {"broker": 1}, timeout_s=60)
        assert supervisor.run(lambda: running(data_dir) == bootstrap, timeout_s=90)
        assert admin.cluster_id(bootstrap) == before
    assert running(data_dir) is None


def test_killing_the_supervisor_leaves_no_java(tmp_path: Path) -> None:
    """kill -9 goes down the chain: supervisor, verb, Java machine."""
    program = f"""
        from pathlib import Path
        from ops.supervisor import Supervisor, verb
        folder = Path({str(tmp_path)!r})
        with Supervisor(folder) as supervisor:
            supervisor.start(verb("broker", "--data-dir", str(folder / "kafka"), "--port", "0", ready_s=90.0))
            (folder / "up").touch()
            supervisor.run(lambda: False)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT)
    try:
        assert processes.eventually(lambda: (tmp_path / "up").exists(), timeout_s=100)
        children = psutil.Process(parent.pid).children(recursive=True)
    finally:
        parent.kill()
        parent.wait()

    assert len(children) == 2
    assert processes.eventually(lambda: all(_is_gone(child) for child in children), timeout_s=10)


def _is_gone(process: psutil.Process) -> bool:
    """Nobody reaps the orphans of a container, so a zombie counts as gone."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
