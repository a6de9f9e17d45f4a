"""The health check of a container: has the role said that it is ready, and does it answer?

Knows: a ready file and an address. Does not know: which role they belong to.

`python -m ops.containers.healthy URL [READY_FILE]`; exit status 0: healthy; 1: not, and a line says why.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

#: Longest wait for an answer; shorter than the check's own timeout in docker-compose.yml.
ANSWER_S = 10.0


def problem(address: str, ready_file: Path | None = None) -> str | None:
    """What is wrong, or None: the file is there and the address answers with 200."""
    if ready_file is not None and not ready_file.exists():
        return f"not ready yet: there is no {ready_file}"
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_S) as answer:
            answer.read()
    except urllib.error.HTTPError as error:  # the server's 503 says why
        return f"{address} answers {error.code}: {error.read(1000).decode(errors='replace')}"
    except OSError as error:
        return f"{address} does not answer: {error}"
    return None


def main() -> int:
    """Exit status."""
    address, *files = sys.argv[1:]
    wrong = problem(address, Path(files[0]) if files else None)
    print(wrong or "healthy")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
