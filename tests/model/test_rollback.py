"""Going back, and letting old versions go: one step at once, whatever kills it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model import store
from model.errors import VersionDamaged, VersionMissing, VersionOvertaken, VersionWithdrawn
from model.lineage import anchor_of, removable, ways_back
from model.registry import Current, Registry
from model.version import Offsets
from tests.model.tiny_version import trained


class Killed(BaseException):
    """The process died here: no handler of ours runs for it."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models"


def gated(best: bool, anchor: str) -> dict[str, Any]:
    """What matters of a gate's decision."""
    return {"verdict": "publish", "best": best, "anchor_version": anchor}


def line_of(directory: Path, *gates: dict[str, Any] | None) -> Registry:
    """One version per gate decision, each trained on from the one before."""
    registry = Registry(directory)
    for seed, gate in enumerate(gates, 1):
        parent = f"{seed - 1:06d}" if seed > 1 else None
        registry.publish(replace(trained(seed=seed), parent=parent, gate=gate))
    return registry


def serving(registry: Registry) -> Current:
    current = registry.current()
    assert current is not None
    return current


def test_the_way_back_is_the_parent_and_then_what_is_older() -> None:
    """Never a newer version, never a withdrawn one."""
    names = ["000001", "000002", "000003", "000004", "000005"]

    assert list(ways_back("000004", "000002", names, ["000003"])) == ["000002", "000001"]
    assert list(ways_back("000004", None, names, [])) == ["000003", "000002", "000001"]
    assert list(ways_back("000004", "000002", names, ["000002"])) == ["000003", "000001"]
    assert list(ways_back("000001", None, names, [])) == []


def test_the_anchor_is_what_the_gate_called_best() -> None:
    """Without a gate a version is its own anchor: nothing better is known."""
    assert anchor_of({"version": "000001", "gate": None}) == "000001"
    assert anchor_of({"version": "000003", "gate": gated(True, "000001")}) == "000003"
    assert anchor_of({"version": "000004", "gate": gated(False, "000003")}) == "000003"


def test_the_newest_what_is_needed_and_the_twin_stay() -> None:
    """Everything else goes, oldest first."""
    names = [f"{number:06d}" for number in range(1, 8)]

    assert removable(names, 2, {"000003"}) == ["000002", "000004", "000005"]
    assert removable(names, 99, set()) == []
    with pytest.raises(ValueError, match="keep 0"):
        removable(names, 0, set())


def test_without_a_name_a_rollback_goes_to_the_parent(directory: Path) -> None:
    """The version that served is withdrawn, and the epoch grows."""
    registry = line_of(directory, None, None, None)
    back = registry.rollback()

    assert (back.version, back.epoch, back.withdrawn) == ("000002", 4, ("000003",))
    assert registry.rollback().version == "000001"
    assert serving(registry).withdrawn == ("000002", "000003")
    with pytest.raises(VersionMissing, match="older than 000001"):
        registry.rollback()


def test_a_damaged_parent_is_passed_over(directory: Path) -> None:
    """What comes back must be whole; asked for by name it is refused and nothing changes."""
    registry = line_of(directory, None, None, None)
    (directory / "000002" / store.INDEX).write_bytes(b"")

    with pytest.raises(VersionDamaged, match=store.INDEX):
        registry.rollback("000002")
    assert serving(registry).version == "000003"
    assert registry.last_good() == "000001"
    assert registry.rollback().version == "000001"


def test_a_damaged_version_can_be_left(directory: Path) -> None:
    """The way back stays open when the manifest of what serves is gone."""
    registry = line_of(directory, None, None)
    (directory / "000002" / store.MANIFEST).unlink()

    assert registry.rollback().version == "000001"


def test_a_withdrawn_version_never_comes_back(directory: Path) -> None:
    """Not by a rollback, and its weights are not published under another name, pruned or not."""
    registry = line_of(directory, None, None)
    registry.rollback()
    registry.publish(trained(seed=3))

    with pytest.raises(VersionWithdrawn, match="000002"):
        registry.rollback("000002")
    registry.prune(1)
    with pytest.raises(VersionWithdrawn, match="weights"):
        registry.publish(trained(seed=2))
    assert serving(registry).version == "000003"


def test_a_rollback_goes_back_and_never_forward(directory: Path) -> None:
    """A newer version that was not withdrawn is no way back."""
    registry = line_of(directory, None, None, None)
    registry.rollback("000001")

    with pytest.raises(VersionMissing, match="newer"):
        registry.rollback("000002")


def test_a_rollback_of_what_no_longer_serves_changes_nothing(directory: Path) -> None:
    """A watch that decided late does not withdraw the version after the one it watched."""
    registry = line_of(directory, None, None, None)

    with pytest.raises(VersionMissing, match="000002 does not serve any more"):
        registry.rollback(serving="000002")
    assert serving(registry).version == "000003"


@pytest.mark.parametrize(
    ("where", "name", "done"),
    [(store, "read", False), (os, "fsync", False), (os, "replace", False), (store, "sync", True)],
)
def test_a_rollback_killed_at_any_step_is_done_or_not(
    directory: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str, done: bool
) -> None:
    """Before `current.json` is replaced the new version serves, after it the old one; then all goes on."""
    registry = line_of(directory, None, None)
    before = registry.current()

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, killed)
        with pytest.raises(Killed):
            registry.rollback("000001")

    assert serving(registry).version == ("000001" if done else "000002")
    assert done or registry.current() == before
    assert registry.publish(trained(seed=3)).epoch == (4 if done else 3)


def test_the_anchor_follows_what_serves(directory: Path) -> None:
    """A rollback over the best version makes the one before the best again."""
    registry = line_of(directory, None, gated(True, "000001"), gated(False, "000002"))
    found = [registry.anchor()]
    for _ in range(2):
        registry.rollback()
        found.append(registry.anchor())

    assert found == ["000002", "000002", "000001"]
    assert Registry(directory / "none").anchor() is None


def test_what_somebody_needs_is_never_removed(directory: Path) -> None:
    """The twin, the anchor, what serves and where a rollback goes stay, though only one is kept."""
    gates = [None, gated(False, "000001"), gated(True, "000001"), *[gated(False, "000003")] * 4]
    registry = line_of(directory, *gates)

    assert list(registry.prune(1)) == ["000002", "000004", "000005"]
    assert list(registry.list()) == ["000001", "000003", "000006", "000007"]
    assert list(registry.prune(1)) == []
    assert registry.rollback().version == "000006"
    assert registry.rollback().version == "000003"
    assert list(registry.prune(1)) == ["000006"]


def test_an_empty_registry_has_nothing_to_remove(directory: Path) -> None:
    """Asking is no error."""
    assert list(Registry(directory).prune(3)) == []


@pytest.mark.parametrize(("where", "name"), [(Path, "rename"), (store, "sync"), (shutil, "rmtree")])
def test_removing_killed_at_any_step_leaves_whole_versions(
    directory: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    """What is listed can be loaded, and the next publication clears the rest away."""
    registry = line_of(directory, *[None] * 5)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, killed)
        with pytest.raises(Killed):
            registry.prune(1)

    assert all(registry.load(listed).name == listed for listed in registry.list())
    registry.publish(trained(seed=9))
    assert not list(directory.glob(".removed-*"))


def test_what_did_not_reach_the_disk_whole_is_never_published(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that lost its end between writing and renaming is found by reading everything back."""
    registry = line_of(directory, None)
    sync = store.sync

    def losing(path: Path) -> None:
        sync(path)
        if (path / store.WEIGHTS).exists():
            os.truncate(path / store.WEIGHTS, 100)

    with monkeypatch.context() as patched:
        patched.setattr(store, "sync", losing)
        with pytest.raises(VersionDamaged, match=store.WEIGHTS):
            registry.publish(trained(seed=2))

    assert list(registry.list()) == ["000001"]
    assert serving(registry).version == "000001"


def test_the_manifest_tells_the_decision_and_both_ranges(directory: Path) -> None:
    """Gate and offsets come back as they were handed over, with more than nine partitions too."""
    offsets = Offsets(topic_id="t", trained_through={2: 5, 10: 7}, judged_by={2: (6, 9), 10: (8, 8)})
    gate = gated(True, "000001")
    version = Registry(directory).publish(replace(trained(), gate=gate, offsets=offsets))

    assert version.manifest["gate"] == gate
    assert version.manifest["offsets"] == {
        "topic_id": "t",
        "trained_through": {"2": 5, "10": 7},
        "judged_by": {"2": [6, 9], "10": [8, 8]},
    }
    assert Registry(directory).load("000001").manifest == version.manifest


def test_no_event_both_trains_and_judges() -> None:
    """Such offsets cannot even be written down."""
    with pytest.raises(ValueError, match="partition 1: judged from offset 7"):
        Offsets(topic_id="t", trained_through={1: 7}, judged_by={1: (7, 9)})


def test_a_rollback_stands_against_what_was_made_for_the_version_before_it(directory: Path) -> None:
    """A child of the version that was rolled back meanwhile is not published, and leaves no trace."""
    registry = line_of(directory, None, None)
    registry.rollback()
    before = registry.list(), serving(registry)
    with pytest.raises(VersionOvertaken, match="000001 serves, not 000002"):
        registry.publish(replace(trained(seed=3), parent="000002"), "000002")

    assert (registry.list(), serving(registry)) == before
    assert registry.publish(replace(trained(seed=4), parent="000001"), "000001").name == "000003"
