"""One demo from start to end, looked at while it runs: Prometheus scrapes it, a reader of the README types.

Knows: how a demo is started, what the README's `console` blocks are and what differs here (ports, folders).
Does not know: what is right; the tests that share the demo say so.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ops.grafana.boards import BOARDS
from ops.ports import free_port
from ops.processes import eventually
from ops.simulate import simulate
from stream.events import encode
from tests.ops.prometheus_beside import HOST, prometheus

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
#: Long enough for a reader to type, on a busy machine.
NUM_CLICKS, RATE = 900, 30
#: A reader who is shown a list twice types the command again until something has changed, at most so long.
LATER_S = 60
#: The reader's own click.
NUM_TYPED = 1
ROLES = ("worker", "scorer", "evaluator", "trainer", "replay")


@dataclass(frozen=True, slots=True)
class Typed:
    """A command of the README, what stands under it there, and what came here."""

    command: str
    shown: str
    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What was seen."""

    status: int
    figures: dict[str, Any]  # of --json
    said: str  # everything, for whoever looks for a reason
    folder: Path
    typed: list[Typed]
    drawn: dict[str, bool] | None  # query of a board → whether it showed a number; None without Prometheus
    told: set[str]  # metrics that some role names, also without a sample


def dataset(path: Path) -> Path:
    """A small simulated world with the README's user and item in it, as JSON Lines."""
    made = simulate(3, users=60, items=200, events=5000).dataset
    busiest = "user-54"
    with path.open("wb") as file:
        for item in made.items():
            file.write(encode(msgspec.structs.replace(item, item=item.item.removeprefix("item-"))) + b"\n")
        for event in made.events:
            user = "393" if event.user == busiest else event.user
            item = event.item.removeprefix("item-")
            file.write(encode(msgspec.structs.replace(event, user=user, item=item)) + b"\n")
    return path


def commands(document: Path) -> list[tuple[str, str]]:
    """(command, what is shown under it) of every `console` block."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", document.read_text(), re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command = re.match(r"(?:.*\\\n)*.*\n", part)
            assert command is not None
            found.append((command[0].strip(), part[command.end() :]))
    return found


def exhibit(folder: Path) -> Exhibit:
    """Run all of it; about a minute beside what the demo needs to get ready."""
    ports = {role: free_port(HOST) for role in (*ROLES, "server")}
    environment = {f"HOPSTREAM_METRICS__{role.upper()}_PORT": str(ports[role]) for role in ROLES}
    environment |= {"HOPSTREAM_SERVER__PORT": str(ports["server"]), "HOPSTREAM_TRAINER__EVERY": "150"}
    environment |= {"HOPSTREAM_SERVER__WAIT_MS": "40s", "HOPSTREAM_SERVER__TIMEOUT_MS": "1m"}  # slow machines
    run = folder / "run"
    options = ["--warm-start", "5", "--events", str(NUM_CLICKS), "--rate", str(RATE), "--folder", str(run)]
    source = dataset(folder / "small.jsonl")
    out, err = folder / "out", folder / "err"
    since_s = time.time()
    command = [sys.executable, "-m", "ops.cli", "demo", "--headless", "--json", "--dataset", str(source)]
    with prometheus(folder / "prometheus", ports) as asked, out.open("w") as o, err.open("w") as e:
        demo = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=o,
            stderr=e,
        )
        try:
            eventually(lambda: "[replay]" in err.read_text() or demo.poll() is not None, 300)
            typed = _type(f"http://{HOST}:{ports['server']}", run) if demo.poll() is None else []
            told = set() if asked is None else asked.told()
            demo.wait(200)
        finally:
            demo.terminate()
            demo.wait(60)
        queries = {query[0] for board in BOARDS for panel in board.panels for query in panel.queries}
        drawn = None if asked is None else {expr: asked.drawn(expr, since_s) for expr in queries}
    log = run / "roles.log"
    said = err.read_text() + out.read_text() + (log.read_text()[-3000:] if log.exists() else "")
    last = out.read_text().splitlines()[-1:]
    figures = json.loads(last[0]) if last else {}
    return Exhibit(demo.returncode, figures, said, run, typed, drawn, told)


def _type(server: str, run: Path) -> list[Typed]:
    """The README's commands, one after the other, with this demo's address, folder and offsets."""
    done: list[Typed] = []
    offset = "0"
    for command, shown in commands(README):
        here = command.replace("http://127.0.0.1:8080", server).replace(".hopstream/demo", str(run))
        here = here.replace(". .venv/", f". {sys.prefix}/")
        here = re.sub(r"min_offset=\d+", f"min_offset={offset}", here)
        ran = _run(here)
        before = [one.output for one in done if one.command == command]
        ends_s = time.monotonic() + LATER_S
        while [ran.stdout] == before and time.monotonic() < ends_s:  # "twenty clicks of theirs later"
            ran = _run(here)
        accepted = re.search(r'"accepted":\[.*?"offset":(\d+)', ran.stdout)
        offset = accepted[1] if accepted else offset
        done.append(Typed(command, shown, ran.returncode, ran.stdout or ran.stderr))
    return done


def _run(command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
