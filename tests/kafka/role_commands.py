"""Roles as an operator starts them: `hopstream ROLE` as a process with settings in its environment alone.

Knows: how they are started, where their logs lie, that all are stopped. Does not know: what they do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


class RoleCommands:
    """Whatever it started it stops."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        """``settings``: of every process, like KAFKA__PREFIX; ``folder``: for logs."""
        self.folder, self.settings = folder, settings
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *words: str, **settings: object) -> subprocess.Popen[bytes]:
        """`hopstream WORDS`, logging to NAME.log, with further settings."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith("HOPSTREAM_")}
        told = {f"HOPSTREAM_{key}": str(value) for key, value in {**self.settings, **settings}.items()}
        with self.log(name).open("ab") as log:
            self.started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "ops.cli", *words],
                    cwd=ROOT,
                    env=ours | told,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
            )
        return self.started[-1]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
