"""What the documents say there is, there is; and what there is, they say.

Knows: the documents, the command line, the tables of settings, topics, reasons and data sets.
Does not know: whether a sentence is true that names none of these.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ops import cli, exit_codes
from ops.commands.bench import BENCHES
from ops.datasets.shelf import RECORDS
from ops.sample import is_duration, toml_value
from stream.events import REASONS
from stream.settings import ENV_OTHERS, ENV_PREFIX, Settings, known_keys
from stream.topics import TOPICS

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/LOG.md",
    "ops/README.md",
)
#: Reasons of records that are no events, by who writes the dead letter; the worker's are REASONS.
OF_SCORER = "bad_request"
OF_EVALUATOR = ("bad_judgement", "bad_list")


def text(document: str) -> str:
    return (ROOT / document).read_text()


def section(document: str, heading: str) -> str:
    """The text under a heading of any level, up to the next one of that level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,6}} |\Z)", text(document), re.M | re.S)
    assert found, f"{document} has no section {heading!r}"
    return found[2]


def rows(document: str, heading: str) -> list[list[str]]:
    """Cells of the tables of a section, without their heads."""
    lines = [line for line in section(document, heading).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")]
    heads = {number - 1 for number in rules} | set(rules)
    return [row for number, row in enumerate(cells) if number not in heads]


def first_names(document: str, heading: str) -> list[str]:
    """Names in backquotes in the first column of a section's tables."""
    return [name for row in rows(document, heading) for name in re.findall(r"`([^`]+)`", row[0])]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb and sub-verb with what it takes; typer brings a click of its own, so types say little."""
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


VERBS = dict(commands(typer.main.get_command(cli.app)))
#: What may stand without a verb: the program itself, and verbs that have sub-verbs.
GROUPS = {()} | {verb[:1] for verb in VERBS if len(verb) == 2}


def code(document: str) -> Iterator[str]:
    """Lines of code blocks, and code spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text(document), re.M | re.S)
    yield from (line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines())
    prose = re.sub(r"^```.*?^```", "", text(document), flags=re.M | re.S)
    yield from (span.strip() for span in re.findall(r"`([^`\n]+)`", prose))


def typed(document: str) -> list[str]:
    """Command lines of ours that a reader might type."""
    return [line for line in code(document) if re.match(r"(\.venv/bin/)?hopstream( |$)", line)]


def test_every_verb_is_in_the_operators_table() -> None:
    """One row per verb, and no row for a verb that is not there."""
    assert sorted(first_names("ops/README.md", "Verbs")) == sorted(" ".join(verb) for verb in VERBS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_documents_can_be_typed(document: str) -> None:
    """Each `hopstream …` names a verb that exists and options that it takes."""
    wrong = []
    for line in typed(document):
        words = shlex.split(re.sub(r"\$\(.*?\)", "X", line).split(" > ")[0].partition("#")[0])[1:]
        verb = next((tuple(words[:num]) for num in (2, 1) if tuple(words[:num]) in VERBS), None)
        if verb is None:
            wrong += [] if tuple(words) in GROUPS else [line]
            continue
        taken = {name for option in VERBS[verb].params for name in (*option.opts, *option.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        wrong += [line] if given - taken - {"--help"} else []

    assert wrong == []


def test_every_setting_is_in_the_table_with_its_default() -> None:
    """One row per key, in the order of the sample file, with the value that is in force without a file."""
    defaults = {}
    for name, info in Settings.model_fields.items():
        for key, field in info.annotation.model_fields.items():  # type: ignore[union-attr]
            value = field.get_default()
            shown = "not set" if value is None else toml_value(value, is_duration(field))
            defaults[f"{name}.{key}"] = re.sub(r'["\[\]]', "", shown) or "empty"
    written = {row[0].strip("`"): row[1].strip("`") for row in rows("ops/README.md", "Settings")}

    assert written == defaults
    assert list(written) == known_keys()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_environment_variables_in_documents_exist(document: str) -> None:
    """Each HOPSTREAM_… is a setting or one of the others."""
    names = set(re.findall(rf"{ENV_PREFIX}[A-Z_]+[A-Z]", text(document)))
    keys = {ENV_PREFIX + key.upper().replace(".", "__") for key in known_keys()}

    assert names - keys - ENV_OTHERS == set()


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    """An operator who reads a reason finds what was wrong."""
    assert first_names("ops/README.md", "Dead letters") == [*REASONS, OF_SCORER, *OF_EVALUATOR]


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "ops/README.md"])
def test_every_topic_is_named(document: str) -> None:
    """The tables of topics are complete."""
    named = set(re.findall(r"`([\w-]+)`", section(document, "Topics")))

    assert {topic.name for topic in TOPICS} - named == set()


def test_every_exit_status_is_explained() -> None:
    """The table has the numbers of ops/exit_codes.py and no others."""
    known = {value for name, value in vars(exit_codes).items() if name.isupper()}

    assert {int(row[0]) for row in rows("ops/README.md", "Exit statuses")} == known


def make_targets() -> set[str]:
    """What `make` can be asked for by name."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


def test_every_make_target_is_named_and_every_named_one_exists() -> None:
    """Operators read about all of them, and no document promises another."""
    named = {
        word
        for document in DOCUMENTS
        for line in code(document)
        for word in re.findall(r"^make ([a-z]+)", line)
    }

    assert named == make_targets()
    assert {target for target in make_targets() if f"`make {target}`" not in text("ops/README.md")} == set()


def test_every_data_set_has_its_row() -> None:
    """The README names what the shelf has, and only that."""
    assert sorted(first_names("README.md", "Data sets")) == sorted(RECORDS)


def test_every_benchmark_is_named() -> None:
    """Whoever wants to measure finds by which name."""
    row = next(row for row in rows("ops/README.md", "Verbs") if row[0] == "`bench`")

    assert set(BENCHES) <= set(re.findall(r"`(\w+)`", row[1]))


def test_every_test_that_is_named_exists() -> None:
    """What ARCHITECTURE.md promises is shown where it says."""
    named = set(re.findall(r"`(test_\w+)`", text("ARCHITECTURE.md")))
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"def (test_\w+)", path.read_text()))

    assert named
    assert named - there == set()


def test_limits_stand_where_the_page_says() -> None:
    """Each "`NAME` in file" of ARCHITECTURE.md names a constant or function of that file."""
    places = re.findall(r"((?:`\w+`(?:, )?)+) in ([a-z]+/\w+\.py)", text("ARCHITECTURE.md"))
    wrong = [
        (name, file)
        for names, file in places
        for name in re.findall(r"`(\w+)`", names)
        if not re.search(rf"^(def |class )?{name}\b", (ROOT / file).read_text(), re.M)
    ]

    assert places
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    """A path to a Python file of ours leads somewhere."""
    named = set(re.findall(r"\b((?:model|stream|ops|tests)/[\w/]+\.py)\b", text(document)))

    assert {name for name in named if not (ROOT / name).exists()} == set()


def anchors(document: Path) -> set[str]:
    """What can stand after # in a link to this document."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    """Every link between documents leads to a file, and to a heading if it names one."""
    broken = []
    for target in re.findall(r"\]\(([^)]+)\)", text(document)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        place = (ROOT / document).parent / file if file else ROOT / document
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_know_no_machine(document: str) -> None:
    """No path of the machine where they were written."""
    assert re.findall(r"(?<![\w.~])/(?:home|root|tmp|work|Users)/\S*", text(document)) == []
