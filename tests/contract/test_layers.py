"""The arrow of imports, as ARCHITECTURE.md draws it, and what importing may do.

The page lists the files of each room in the order of imports; an entry that ends in a slash is a folder of
equals, whose files may import one another. A file stands where its longest entry stands.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("model", "stream", "ops")  # each may import those before it
MAX_LINES = 300
#: Packages that bring a broker, a network or a GPU with them.
HEAVY = frozenset({"faust", "kafka", "aiokafka", "rocksdict", "torch"})


@dataclass(frozen=True)
class Entry:
    """One line of a list in ARCHITECTURE.md."""

    path: str
    about: str


def entries(room: str) -> list[Entry]:
    """The list of a room, in its order."""
    page = (ROOT / "ARCHITECTURE.md").read_text()
    found = re.search(rf"<!-- order of imports: {room} -->\n```\n(.*?)```", page, re.DOTALL)
    assert found, f"ARCHITECTURE.md has no order of imports for {room}"
    lines = [line.split(None, 1) for line in found[1].splitlines() if line.strip()]
    return [Entry(path, about[0] if about else "") for path, *about in lines]


def files(room: str) -> list[str]:
    """Python files of a room, relative to the repository, but for the packages' own empty ones."""
    return [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.relative_to(ROOT) != Path(room, "__init__.py")
    ]


ALL_FILES = [file for room in ROOMS for file in files(room)]


def place(file: str) -> int | None:
    """Position of a file in its room's list, or None."""
    listed = [entry.path for entry in entries(file.partition("/")[0])]
    fitting = [path for path in listed if path == file or (path.endswith("/") and file.startswith(path))]
    return listed.index(max(fitting, key=len)) if fitting else None


def statements(file: str, only_at_import: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements of a file; with ``only_at_import`` those inside functions are left out."""
    waiting: list[ast.AST] = [ast.parse((ROOT / file).read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        if only_at_import and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        ):
            continue
        waiting.extend(ast.iter_child_nodes(node))


def imported(file: str, only_at_import: bool = False) -> tuple[set[str], set[str]]:
    """(files of ours, top names of others' packages) that a file imports."""
    ours, others = set(), set()
    for node in statements(file, only_at_import):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            # `from a import b`: b is a file where there is one, else a name in a
            names = [module_file(f"{node.module}.{name.name}") or node.module for name in node.names]
        else:
            names = [name.name for name in node.names]
        for name in names:
            assert name
            found = name if name.endswith(".py") else module_file(name)
            if found:
                ours.add(found)
            else:
                others.add(name.partition(".")[0])
    return ours, others


def module_file(name: str) -> str | None:
    """The file of one of our modules, or None."""
    if name.partition(".")[0] not in ROOMS:
        return None
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).exists():
            return str(candidate)
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_has_its_place(room: str) -> None:
    """A file that ARCHITECTURE.md does not list is a file nobody can place."""
    assert [file for file in files(room) if place(file) is None] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_listed_file_exists(room: str) -> None:
    """The list promises nothing that is not there."""
    assert [entry.path for entry in entries(room) if not (ROOT / entry.path).exists()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_up_the_list(room: str) -> None:
    """A file imports rooms beneath its own, and in its room only what stands above it."""
    wrong = [
        f"{file} imports {other}"
        for file in files(room)
        for other in sorted(imported(file)[0])
        if not may_import(file, other)
    ]

    assert wrong == []


def may_import(file: str, other: str) -> bool:
    """Whether the lists allow it."""
    room, others_room = file.partition("/")[0], other.partition("/")[0]
    if room != others_room:
        return ROOMS.index(others_room) < ROOMS.index(room)
    if other == f"{room}/__init__.py":
        return True
    here, there = place(file), place(other)
    if here is None or there is None:
        return False
    return there < here or (there == here and entries(room)[here].path.endswith("/"))


def pure_files() -> list[str]:
    """Stream files that pyproject.toml names for strict types: the ones that decide and do not act."""
    fields = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules = [name for part in fields["tool"]["mypy"]["overrides"] for name in part["module"]]
    found = [module_file(name) for name in modules if name.startswith("stream.")]
    return [file for file in found if file]


def reached(file: str) -> set[str]:
    """Others' packages that importing a file imports, by way of our own files too."""
    seen, waiting, packages = set[str](), [file], set[str]()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            ours, others = imported(current, only_at_import=True)
            waiting.extend(ours)
            packages |= others
    return packages


@pytest.mark.parametrize("file", pure_files())
def test_decisions_are_pure(file: str) -> None:
    """A file that decides reaches no broker, no store and no torch, not even through another file."""
    assert reached(file) & HEAVY == set()


@pytest.mark.parametrize("file", [file for file in ALL_FILES if file.startswith("model/")])
def test_models_know_no_stream(file: str) -> None:
    """The model room reaches no Kafka and no store."""
    assert reached(file) & (HEAVY - {"torch"}) == set()


@pytest.mark.parametrize(
    "file", [entry.path for room in ROOMS for entry in entries(room) if "no torch" in entry.about]
)
def test_what_says_no_torch_has_none(file: str) -> None:
    """The page's word is kept."""
    assert "torch" not in reached(file)


@pytest.mark.parametrize("file", [file for file in ALL_FILES if file.startswith("ops/commands/")])
def test_help_stays_quick(file: str) -> None:
    """Importing a verb imports neither numbers nor brokers: they wait inside its function."""
    assert reached(file) & (HEAVY | {"numpy", "scipy", "pydantic", "httpx"}) == set()


@pytest.mark.parametrize("file", ALL_FILES)
def test_files_are_short_and_say_what_they_know(file: str) -> None:
    """At most 300 lines, and a docstring on top."""
    text = (ROOT / file).read_text()

    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


WATCHED = """
import importlib, sys, threading
names = sys.argv[1:]
for name in names:  # first the libraries may do what they do
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] in ("model", "stream", "ops")]:
    del sys.modules[name]
before = threading.active_count()
current = None
FORBIDDEN = ("socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.remove", "os.system",
             "_thread.start_new_thread", "signal.signal", "urllib.Request")
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if current and (event in FORBIDDEN or writes):
        print(current, event, arguments)
sys.addaudithook(watch)
for current in names:
    importlib.import_module(current)
current = None
if threading.active_count() != before:
    print("threads", threading.enumerate())
"""


def test_importing_any_module_does_nothing() -> None:
    """No socket, thread, process, signal handler or written file comes of an import."""
    modules = [file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in ALL_FILES]

    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
