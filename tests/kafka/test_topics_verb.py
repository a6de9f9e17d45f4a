"""`hopstream topics` on a real broker."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ops import exit_codes
from ops.cli import app, exit_code_of
from stream import admin
from stream.topics import TopicNames


def asked(*arguments: str) -> dict[str, object]:
    """The last line of `hopstream topics --json`."""
    done = CliRunner().invoke(app, ["topics", *arguments, "--json"])
    assert done.exit_code == exit_codes.OK, done.output
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_topics_are_made_as_the_roles_would(
    bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call makes all, the second none, and no role finds anything missing after it."""
    monkeypatch.setenv("HOPSTREAM_KAFKA__PREFIX", prefix)
    monkeypatch.setenv("HOPSTREAM_KAFKA__PARTITIONS", "3")
    names = TopicNames(prefix)
    shapes = {name: shape.partitions for name, shape in admin.wanted(names, 3).items()}

    first, second = asked("--bootstrap", bootstrap), asked("--bootstrap", bootstrap)

    assert first == {"bootstrap": bootstrap, "made": sorted(shapes), "partitions": shapes}
    assert second == first | {"made": []}
    assert admin.ensure_topics(bootstrap, names, 3) == []


def test_another_partition_count_is_a_usage_error(
    bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made then, and the status is the roles' own."""
    admin.ensure_topics(bootstrap, TopicNames(prefix), 2)
    monkeypatch.setenv("HOPSTREAM_KAFKA__PREFIX", prefix)
    monkeypatch.setenv("HOPSTREAM_KAFKA__PARTITIONS", "3")

    error = CliRunner().invoke(app, ["topics", "--bootstrap", bootstrap]).exception

    assert isinstance(error, Exception)
    assert exit_code_of(error) == exit_codes.USAGE
    assert "has 2 partitions, configured are 3" in str(error)


def test_without_a_broker_the_status_says_so() -> None:
    """A script can tell it from a wrong setting."""
    error = CliRunner().invoke(app, ["topics", "--bootstrap", "127.0.0.1:9"]).exception

    assert isinstance(error, Exception)
    assert exit_code_of(error) == exit_codes.BROKER_UNREACHABLE
