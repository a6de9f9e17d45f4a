"""What `hopstream models` tells and does, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model import store
from model.errors import VersionDamaged, VersionMissing, VersionWithdrawn
from model.gate import Evidence, Ranks, decide
from model.registry import Registry
from model.version import Offsets
from ops import exit_codes
from ops.cli import app, exit_code_of
from tests.model.tiny_version import trained

NOWHERE = "127.0.0.1:1"  # nobody listens there


def gate(better: float) -> dict[str, Any]:
    """A real decision: the new version's ranks are those of 000001, divided."""
    ranks_E = np.tile(np.arange(10.0, 20.0), 210)
    new, old = (
        Ranks(alone_E=ranks_E / better, fused_E=ranks_E / better),
        Ranks(alone_E=ranks_E, fused_E=ranks_E),
    )
    users_E = np.array([f"u{number % 105}" for number in range(2100)])
    found = Evidence(users_E=users_E, new=new, serving=old)
    return decide(found, serving="000001", anchor="000001", draws=50).to_json()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A twin, a better version on top of it, an equal one on top of that, which serves."""
    directory = tmp_path / "models"
    offsets = Offsets(topic_id="t", trained_through={0: 99, 1: 80}, judged_by={0: (100, 180), 1: (81, 120)})
    registry = Registry(directory)
    registry.publish(trained(seed=1))
    registry.publish(replace(trained(seed=2), parent="000001", gate=gate(2), offsets=offsets))
    registry.publish(replace(trained(seed=3), parent="000002", gate={**gate(1), "anchor_version": "000002"}))
    return directory


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["models", *arguments])


def said(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == exit_codes.OK, done.output
    text: str = done.stdout
    return text


def told(*arguments: str) -> dict[str, Any]:
    """The last line as JSON."""
    found: dict[str, Any] = json.loads(said(*arguments, "--json").splitlines()[-1])
    return found


def at(models: Path) -> tuple[str, str]:
    return ("--models", str(models))


def test_every_version_has_its_role_and_decision(models: Path) -> None:
    """The list names what serves, the anchor, the way back and the twin, and what the gate said."""
    found = told("list", *at(models))
    lines = said("list", *at(models)).splitlines()

    assert (found["current"]["version"], found["anchor"], found["last_good"]) == (
        "000003",
        "000002",
        "000002",
    )
    assert [version["version"] for version in found["versions"]] == ["000001", "000002", "000003"]
    assert found["versions"][1]["gate"]["verdict"] == "publish"
    assert "a rollback goes to 000002" in lines[0]
    assert "twin" in lines[2]
    assert "not asked" in lines[2]
    assert "anchor, last good" in lines[3]
    assert "publish, best so far: alone +" in lines[3]
    assert "serves" in lines[4]


def test_a_damaged_version_is_listed_with_what_is_wrong(models: Path) -> None:
    """One bad manifest hides no other version."""
    (models / "000002" / store.MANIFEST).write_text("{}")
    found = told("list", *at(models))

    assert [bool(version["damaged"]) for version in found["versions"]] == [False, True, False]
    assert found["last_good"] == "000001"
    assert "refused" in said("list", *at(models)).splitlines()[3]


def test_a_version_shows_its_decision_and_both_ranges(models: Path) -> None:
    """Every number of the gate, offsets trained through and judged by."""
    found = told("show", "2", *at(models))
    text = said("show", "2", *at(models))

    assert found["roles"] == ["anchor", "last good"]
    assert found["manifest"]["parent"] == "000001"
    assert found["gate"]["lines"]["new"]["alone"]["recall@10"] == 1
    assert "trained through offsets 0: 99, 1: 80" in text
    assert "judged by offsets 0: 100-180, 1: 81-120" in text
    assert "2,100 events of 105 users in 1 slices" in text
    assert "serves" in said("show", *at(models)).splitlines()[0]


def test_a_difference_names_what_changed(models: Path) -> None:
    """The verb prints what model.difference finds; the second version is the serving one if not named."""
    found = told("diff", "1", *at(models), "-n", "2")
    text = said("diff", "1", "2", *at(models))

    assert (found["before"], found["now"]) == ("000001", "000003")
    assert found["train_config"]["seed"] == [1, 3]
    assert len(found["rows"]["most"]) == 2
    assert "from 000001 to 000002" in text
    assert "train_config.seed: 1 → 2" in text


def test_a_rollback_counts_without_a_broker(models: Path) -> None:
    """The parent serves again; that nobody could be told is said, and is no failure."""
    done = run("rollback", *at(models), "--bootstrap", NOWHERE, "--json")
    found = json.loads(done.stdout.splitlines()[-1])

    assert done.exit_code == exit_codes.OK
    assert (found["version"], found["epoch"], found["rolled_back"]) == ("000002", 4, "000003")
    assert found["announced"] is False
    assert "not announced" in done.stderr
    assert "withdrawn" in said("list", *at(models)).splitlines()[4]


def test_pruning_keeps_what_is_needed(models: Path) -> None:
    """Nothing goes while all have a role; after a fourth version the one without a role goes."""
    assert told("prune", "--keep", "1", *at(models))["removed"] == []
    Registry(models).publish(replace(trained(seed=4), parent="000003", gate=gate(2)))

    found = told("prune", "--keep", "1", *at(models))
    assert found == {"removed": ["000002"], "kept": ["000001", "000003", "000004"]}
    assert "nothing; 3 versions stay" in said("prune", "--keep", "1", *at(models))


@pytest.mark.parametrize(
    ("arguments", "error", "status"),
    [
        (("show", "9"), VersionMissing, exit_codes.NOT_FOUND),
        (("show", "../x"), VersionMissing, exit_codes.NOT_FOUND),
        (("diff", "2", "9"), VersionMissing, exit_codes.NOT_FOUND),
        (("rollback", "9"), VersionMissing, exit_codes.NOT_FOUND),
        (("rollback", "5"), VersionMissing, exit_codes.NOT_FOUND),
        (("rollback", "4"), VersionWithdrawn, exit_codes.CHECK_FAILED),
        (("rollback", "1"), VersionDamaged, exit_codes.CHECK_FAILED),
        (("diff", "1", "2"), VersionDamaged, exit_codes.CHECK_FAILED),
    ],
)
def test_what_cannot_be_done_is_refused(
    models: Path, arguments: tuple[str, ...], error: type[Exception], status: int
) -> None:
    """Unknown, withdrawn and damaged versions each end in their own status, and nothing changes."""
    registry = Registry(models)
    registry.rollback()
    registry.publish(trained(seed=9))
    registry.rollback("000001")
    registry.publish(replace(trained(seed=5), parent="000001"))
    (models / "000001" / store.WEIGHTS).write_bytes(b"")
    before = registry.current()
    done = run(*arguments, *at(models))

    assert isinstance(done.exception, error)
    assert exit_code_of(done.exception) == status
    assert registry.current() == before


@pytest.mark.parametrize("arguments", [("list",), ("show",), ("rollback",)])
def test_an_empty_registry_is_not_found(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The message says which verb publishes."""
    done = run(*arguments, *at(tmp_path / "none"))

    assert isinstance(done.exception, VersionMissing)
    assert "hopstream train" in str(done.exception)
