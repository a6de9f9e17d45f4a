"""Where a role's state lies on disk: never shared, never met by another cluster's or topic's state.

Knows: directory names and when a directory is too old. Does not know: what is in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from pathlib import Path

#: A directory not alive for this long is rebuilt: older deletions may be compacted away in the changelog.
STALE_S = 12 * 3600


def place_of(root: Path, cluster_id: str, topic_id: str) -> Path:
    """`<root>/<host name>/<cluster id>/<topic id>`; nothing is made."""
    parts = (socket.gethostname(), cluster_id, topic_id)
    return root.expanduser().joinpath(*(re.sub(r"[^\w.-]", "_", part) for part in parts))


def state_directory(root: Path, cluster_id: str, changelog_id: str, now_s: float) -> Path:
    """`<root>/<host name>/<cluster id>/<changelog topic id>`, emptied first if nobody lived there for 12 h.

    ``now_s``: Unix seconds. Every worker of one host needs a root of its own.
    """
    directory = place_of(root, cluster_id, changelog_id)
    alive = directory / "alive"
    if directory.exists() and (not alive.exists() or now_s - alive.stat().st_mtime > STALE_S):
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    alive.touch()
    return directory


def bytes_under(directory: Path) -> int:
    """Bytes of all files below; those that vanish meanwhile do not count."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total
