"""Publishers that die, and two at once: complete or absent."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from model import registry as module
from model import store
from model.errors import VersionDamaged
from model.registry import Registry
from tests.model.tiny_version import trained


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


class Killed(BaseException):
    """The process died here: no handler of ours runs for it."""


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (store, "write"),
        (store, "write_manifest"),
        (store, "sync"),
        (os, "replace"),
        (os, "fsync"),
        (Path, "rename"),
    ],
)
def test_a_publication_killed_at_any_step_changes_nothing(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    """What is listed, serves and lies there is as before, and the next publication goes through."""
    registry.publish(trained(seed=1))
    before, listed = registry.current(), list(registry.list())

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, killed)
        with pytest.raises(Killed):
            registry.publish(trained(seed=2))

    assert registry.current() == before
    assert list(registry.list()) == listed
    assert registry.load("000001").manifest["seed"] == 1
    assert registry.publish(trained(seed=3)).manifest["seed"] == 3
    assert list(registry.list()) == ["000001", "000002"]


def _die_while_publishing(directory: Path, step: str) -> None:
    def dead(*_: object, **__: object) -> None:
        os._exit(9)

    setattr(module.os if step == "replace" else store, step, dead)
    Registry(directory).publish(trained(seed=2))


@pytest.mark.parametrize("step", ["write_manifest", "replace"])
def test_a_dead_publisher_leaves_no_trace_after_the_next_one(tmp_path: Path, step: str) -> None:
    """A process that really dies leaves its lock and its files; the next publisher clears them away."""
    directory = tmp_path / "models"
    registry = Registry(directory)
    registry.publish(trained(seed=1))
    process = multiprocessing.get_context("spawn").Process(
        target=_die_while_publishing, args=(directory, step)
    )
    process.start()
    process.join()

    assert process.exitcode == 9
    assert list(registry.list()) == ["000001"]
    assert registry.publish(trained(seed=3)).name == "000002"
    assert not list(directory.glob(".building-*"))
    assert registry.load("000002").manifest["seed"] == 3


def _publish_some(directory: Path, seed: int) -> None:
    for _ in range(3):
        Registry(directory).publish(trained(seed=seed))


def test_two_publishers_at_once_do_not_collide(tmp_path: Path) -> None:
    """Two processes with three versions each make six, all loadable, and epoch 6."""
    directory = tmp_path / "models"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_publish_some, args=(directory, seed)) for seed in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    registry = Registry(directory)
    current = registry.current()

    assert [process.exitcode for process in processes] == [0, 0]
    assert list(registry.list()) == [f"{number:06d}" for number in range(1, 7)]
    assert current is not None
    assert (current.version, current.epoch) == ("000006", 6)
    assert {registry.load(name).manifest["seed"] for name in registry.list()} == {1, 2}


def test_versions_whose_current_file_is_lost_are_not_overwritten(registry: Registry, tmp_path: Path) -> None:
    """Nothing tells then which of them were announced: the next publisher is refused and touches none."""
    for seed in range(3):
        registry.publish(trained(seed=seed))
    lost = tmp_path / "models" / "current.json"
    raw = lost.read_bytes()
    lost.unlink()
    with pytest.raises(VersionDamaged, match=r"holds 000003, but its current.json is missing or old"):
        registry.publish(trained(seed=9))
    lost.write_bytes(raw)

    assert list(registry.list()) == ["000001", "000002", "000003"]
    assert registry.publish(trained(seed=9)).name == "000004"


def test_an_announcement_that_failed_leaves_no_file_for_long(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say: what serves goes on, and the next publisher clears away."""
    for seed in range(2):
        registry.publish(trained(seed=seed))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            registry.rollback()
    assert list((tmp_path / "models").glob(".current-*"))
    assert registry.publish(trained(seed=3)).name == "000003"
    assert not list((tmp_path / "models").glob(".current-*"))
