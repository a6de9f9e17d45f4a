"""Files short enough to be read in one sitting, each with its own word on top.

Knows: every Python file that is ours. Does not know: what is in them.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("model", "stream", "ops", "tests")
MAX_LINES = 300
#: A test file mirrors one file and may not be split away from it; its made-up worlds take some room.
MAX_TEST_LINES = 400

FILES = sorted(str(path.relative_to(ROOT)) for name in FOLDERS for path in (ROOT / name).rglob("*.py"))


def test_python_files_are_short() -> None:
    """A file of a room has at most 300 lines, a test file at most 400."""
    lengths = {file: len((ROOT / file).read_text().splitlines()) for file in FILES}
    long = {
        file: length
        for file, length in lengths.items()
        if length > (MAX_TEST_LINES if file.startswith("tests/") else MAX_LINES)
    }

    assert long == {}


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("tests/")])
def test_files_of_the_rooms_say_what_they_do_not_know(file: str) -> None:
    """The docstring on top names both sides of the border; a package's own file needs only a sentence."""
    about = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""

    assert about
    assert file.endswith("__init__.py") or "know" in about.lower()
