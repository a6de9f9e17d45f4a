"""The command line from outside: help, errors, exit statuses, settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.errors import CatalogueMismatch, VersionMissing
from ops import cli, exit_codes, options
from ops.errors import BrokerFailed, JarsMissing, PortBusy, StopAsked
from stream.errors import BrokerUnreachable, SettingsInvalid, StateDamaged, TopicMismatch
from stream.settings import known_keys, load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a verb in an empty directory, as `main` would."""
    for name in {*os.environ, "HOPSTREAM_CONFIG", "HOPSTREAM_KAFKA__BOOTSTRAP"}:
        if name.startswith("HOPSTREAM_"):
            monkeypatch.setenv(name, "")  # noted, so that what a verb sets is undone
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run_verb(*arguments: str):
        return CliRunner().invoke(cli.app, list(arguments))

    return run_verb


def commands() -> list[list[str]]:
    """Every verb and sub-verb."""
    app = cli.app
    verbs = [[info.name or info.callback.__name__] for info in app.registered_commands]
    for group in app.registered_groups:
        for info in group.typer_instance.registered_commands:
            verbs.append([group.name, info.name or info.callback.__name__])
    return verbs


@pytest.mark.parametrize("verb", commands(), ids=" ".join)
def test_every_verb_explains_itself_with_an_example(run, verb: list[str]) -> None:
    """Help names a line that can be typed."""
    done = run(*verb, "--help")

    assert done.exit_code == exit_codes.OK
    assert f"hopstream {' '.join(verb)}" in " ".join(done.output.split())


def test_every_file_of_a_verb_is_registered() -> None:
    """A verb that has a file can be called."""
    written = {path.stem for path in (ROOT / "ops/commands").glob("*.py")} - {"__init__"}

    assert {verb[0] for verb in commands()} == written


def test_no_verb_is_a_usage_error_with_help(run) -> None:
    """Nothing asked, nothing done, and the verbs are listed."""
    done = run()

    assert done.exit_code == exit_codes.USAGE
    assert "broker" in done.output


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BrokerUnreachable(), exit_codes.BROKER_UNREACHABLE),
        (SettingsInvalid(), exit_codes.USAGE),
        (TopicMismatch(), exit_codes.USAGE),
        (StateDamaged(), exit_codes.CHECK_FAILED),
        (VersionMissing(), exit_codes.NOT_FOUND),
        (CatalogueMismatch(), exit_codes.CHECK_FAILED),
        (PortBusy(), exit_codes.USAGE),
        (JarsMissing(), exit_codes.CHECK_FAILED),
        (BrokerFailed(), exit_codes.INFRASTRUCTURE),
        (StopAsked(), exit_codes.OK),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_end_in_their_status(error: Exception, status: int) -> None:
    """Scripts can tell what went wrong without reading."""
    assert cli.exit_code_of(error) == status


def test_an_error_is_a_message_and_no_traceback(tmp_path: Path) -> None:
    """A wrong key is named on standard error with its nearest neighbour, and the status says usage."""
    (tmp_path / "hopstream.toml").write_text("[kafka]\nbootsrap = 'x:1'\n")

    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "config", "check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == exit_codes.USAGE
    assert done.stdout == ""
    assert "unknown key 'kafka.bootsrap'. Did you mean 'kafka.bootstrap'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_before_the_verb_reach_it(run, tmp_path: Path) -> None:
    """A file and a broker given first are in force, the broker over the file."""
    (tmp_path / "mine.toml").write_text("[kafka]\nbootstrap = 'file:1'\npartitions = 7\n")

    done = run("--config", "mine.toml", "--bootstrap", "given:2", "config", "show", "--json")
    kafka = json.loads(done.output)["kafka"]

    assert (kafka["bootstrap"], kafka["partitions"]) == ("given:2", 7)


def test_show_marks_what_was_changed(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed setting stands with its default, and the output is TOML that means the same."""
    monkeypatch.setenv("HOPSTREAM_SESSIONS__GAP_MS", "2h")

    output = run("config", "show").output

    assert 'gap_ms = "2h"  # changed, default "30m"' in output
    assert output.count("# changed") == 1
    assert tomllib.loads(output)["sessions"]["gap_ms"] == "2h"


def test_a_good_configuration_passes(run) -> None:
    """Without a file the defaults are checked, and pass."""
    done = run("config", "check", "--json")

    assert done.exit_code == exit_codes.OK
    assert json.loads(done.output) == {"ok": True}


def test_the_sample_is_every_setting_at_its_default(run, tmp_path: Path) -> None:
    """The sample can be used as it is, changes nothing, and leaves out no key."""
    text = run("config", "sample").output
    (tmp_path / "sample.toml").write_text(text)

    assert load(tmp_path / "sample.toml", environment={}) == load(environment={})
    listed = {
        f"{section}.{line.lstrip('# ').partition(' =')[0]}"
        for section, block in _blocks(text).items()
        for line in block
        if " =" in line
    }
    assert listed == set(known_keys())


def test_the_sample_in_the_repository_is_up_to_date(run) -> None:
    """`hopstream config sample > hopstream.sample.toml` was run after the last change of settings."""
    assert (ROOT / "hopstream.sample.toml").read_text() == run("config", "sample").output


def test_version_names_the_broker(run) -> None:
    """A bug report needs the versions of everything below us."""
    found = json.loads(run("version", "--json").output)

    assert found["kafka"] == "4.1.2"
    assert found["faust-streaming"] == "0.15.3"
    assert run("--version").output.strip() == found["hopstream"]


def test_an_option_that_was_not_given_overrides_nothing(tmp_path: Path) -> None:
    """None among the overrides leaves file and default alone; a given one wins."""
    file = tmp_path / "mine.toml"
    file.write_text("[broker]\nport = 1234\n[kafka]\nbootstrap = 'file:1'\n")

    kept = options.settings_from(file, None, {"broker": {"port": None, "heap_mb": 300}})
    given = options.settings_from(file, "given:2", {"kafka": {"partitions": 2}})

    assert (kept.broker.port, kept.broker.heap_mb, kept.kafka.bootstrap) == (1234, 300, "file:1")
    assert (given.kafka.bootstrap, given.kafka.partitions) == ("given:2", 2)


def test_ready_is_written_where_asked(tmp_path: Path) -> None:
    """The file appears with its directory; without a path nothing is written."""
    options.mark_ready(tmp_path / "new" / "ready")
    options.mark_ready(None)

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ready"]


def _blocks(text: str) -> dict[str, list[str]]:
    blocks: dict[str, list[str]] = {}
    section = None
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            blocks[section] = []
        elif section and line:
            blocks[section].append(line)
    return blocks
