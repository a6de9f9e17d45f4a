"""The whole product in one command: everything that was clicked is in the state once and in a list."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ops.processes import eventually
from ops.simulate import simulate
from stream.events import encode
from tests.kafka.exhibit import NUM_CLICKS, NUM_TYPED, Exhibit

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small simulated data set as a JSON Lines file."""
    dataset = simulate(3, users=60, items=200, events=4000).dataset
    path = tmp_path / "small.jsonl"
    with path.open("wb") as file:
        for item in dataset.items():
            file.write(encode(item) + b"\n")
        for event in dataset.events:
            file.write(encode(event) + b"\n")
    return path


def test_the_demo_explains_every_event_and_leaves_nothing_running(demo: Exhibit) -> None:
    """Exit 0, all applied once with the reader's click, all lists complete, state as the topic adds up."""
    assert demo.status == 0, demo.said
    found = demo.figures
    num = NUM_CLICKS + NUM_TYPED

    assert (found["events"], found["applied"], found["dead_letters"]) == (num, num, 0)
    assert (found["incomplete_users"], found["unexplained"], found["regressed_lists"]) == (0, [], 0)
    assert found["digest"]["state"] == found["digest"]["expected"]
    assert found["versions"]["published"] == 1
    assert found["models"]["000001"] > 0
    assert {"served", "model", "popular"} <= set(found["quality"])
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(demo.folder) in str(process.info["cmdline"])
    ]
    assert left == []


def test_killed_roles_come_back_and_every_event_is_still_explained(small: Path, tmp_path: Path) -> None:
    """kill -9 of worker and scorer in the middle of the replay: the same account as without."""
    folder = tmp_path / "run"
    options = ["--warm-start", "5", "--events", "700", "--rate", "50", "--folder", str(folder)]
    with (tmp_path / "err").open("w") as err:
        running = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "demo", "--json", "--dataset", str(small), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
        try:
            eventually(lambda: "[replay]" in (tmp_path / "err").read_text(), 200)
            for child in psutil.Process(running.pid).children():
                if child.status() != psutil.STATUS_ZOMBIE and {"worker", "scorer"} & set(child.cmdline()):
                    child.kill()
            out, _ = running.communicate(timeout=200)
        finally:
            running.terminate()
            running.communicate(timeout=60)
    log = (folder / "roles.log").read_text()
    assert running.returncode == 0, (tmp_path / "err").read_text()[-2000:] + log[-3000:]
    found = json.loads(out.splitlines()[-1])

    assert found["restarts"] == {"worker": 1, "scorer": 1}
    assert (found["applied"], found["incomplete_users"], found["unexplained"]) == (700, 0, [])
    assert found["digest"]["state"] == found["digest"]["expected"]


def test_an_unknown_data_set_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    """Exit 4 and a suggestion, and no process was started."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ops.cli",
            "demo",
            "--headless",
            "--dataset",
            "ml-100",
            "--folder",
            str(tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4
    assert "ml-100k" in done.stderr
