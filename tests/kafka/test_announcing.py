"""Announcements on a real broker: acknowledged, in order, readable; the files stay the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.registry import Registry
from ops.cli import app
from stream import admin, clients
from stream.announcing import announce, published
from stream.records import Announcement, decode_announcement
from stream.topics import TopicNames
from tests.model.tiny_version import trained


def read(bootstrap: str, names: TopicNames) -> list[Announcement]:
    """What the topic says, oldest first; every record under the model's name."""
    records = list(clients.read_all(bootstrap, names.models))
    assert {record.key for record in records} <= {b"fuxi-mme"}
    return [decode_announcement(record.value) for record in records]


def test_a_publication_and_its_rollback_are_told(
    bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2 with its gate; then that it is withdrawn, then that version 1 serves, under one new epoch."""
    monkeypatch.setenv("HOPSTREAM_KAFKA__PREFIX", prefix)
    names = TopicNames(prefix)
    gate = {"verdict": "publish", "best": False, "anchor_version": "000001"}
    registry = Registry(tmp_path)
    registry.publish(trained(seed=1))
    registry.publish(replace(trained(seed=2), parent="000001", gate=gate))
    current = registry.current()
    assert current is not None
    told = published(tmp_path, current)

    assert announce(bootstrap, names, told) is False
    admin.ensure_topics(bootstrap, names, 2)
    assert announce(bootstrap, names, told) is True
    done = CliRunner().invoke(
        app, ["models", "rollback", "--models", str(tmp_path), "--bootstrap", bootstrap, "--json"]
    )
    found = read(bootstrap, names)

    assert json.loads(done.stdout.splitlines()[-1])["announced"] is True
    assert [(one.version, one.epoch, one.withdrawn) for one in found] == [
        ("000002", 2, False),
        ("000002", 3, True),
        ("000001", 3, False),
    ]
    assert (found[0].parent, found[0].gate) == ("000001", gate)
    assert found[0].manifest == found[1].manifest != found[2].manifest
