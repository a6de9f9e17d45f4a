"""Publishing and loading: complete or absent, and every file vouched for."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import registry as module
from model import store
from model.errors import CatalogueMismatch, ModelError, VersionDamaged, VersionMissing
from model.registry import Registry
from model.version import Trained
from tests.model.tiny_version import CONFIG, memory, trained


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def state(directory: Path) -> dict[str, bytes]:
    """Every visible file of a registry."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in files
        if not path.relative_to(directory).parts[0].startswith(".")
    }


def test_what_is_published_is_what_is_loaded(registry: Registry) -> None:
    """Weights, catalogue, index, themes, popularity and curve come back bit for bit."""
    made = trained()
    registry.publish(made)
    version = registry.load("000001")

    assert (version.name, version.epoch) == ("000001", 1)
    assert version.config == CONFIG
    assert version.catalogue.items == made.catalogue.items
    assert all(np.array_equal(version.weights[name], made.weights[name]) for name in made.weights)
    assert np.array_equal(version.index, made.index)
    assert np.array_equal(version.themes.logits_IK, made.themes.logits_IK)
    assert version.themes.labels == ["a", "b", "ç"]
    assert np.array_equal(version.popularity, made.popularity)
    assert version.learning_curve == made.learning_curve
    assert version.manifest["metrics"] == made.metrics
    assert version.manifest["gate"] is None


def test_a_versions_memory_comes_back_and_an_older_version_has_none(registry: Registry) -> None:
    """Every array bit for bit; a version without it loads all the same."""
    registry.publish(trained())
    registry.publish(replace(trained(seed=1), memory=None))

    back = registry.load_memory("000001")
    assert back is not None
    assert back.keys() == memory().keys()
    for name, array in memory().items():
        np.testing.assert_array_equal(back[name], array, strict=True)
    assert registry.load("000002").name == "000002"
    assert registry.load_memory("000002") is None


def test_an_empty_registry_has_nothing(registry: Registry) -> None:
    """Before the first publication there is no version, and asking is no error."""
    assert registry.current() is None
    assert registry.latest() is None
    assert list(registry.list()) == []


def test_the_epoch_grows_with_every_publish_and_rollback(registry: Registry) -> None:
    """Two publications and a rollback make epoch 3, with the older version serving."""
    registry.publish(trained(seed=1))
    second = registry.publish(trained(seed=2))
    back = registry.rollback("000001")

    assert (second.name, second.epoch) == ("000002", 2)
    assert (back.version, back.epoch, back.withdrawn) == ("000001", 3, ("000002",))
    assert registry.current() == back
    assert registry.latest() == "000001"
    assert registry.load("000001").epoch == 3
    assert registry.load("000002").epoch == 0


def test_a_version_after_a_rollback_has_a_new_name(registry: Registry) -> None:
    """A withdrawn name is never used again."""
    for seed in (1, 2):
        registry.publish(trained(seed=seed))
    registry.rollback("000001")
    third = registry.publish(trained(seed=3))

    assert (third.name, third.epoch) == ("000003", 4)
    assert registry.latest() == "000003"


@pytest.mark.parametrize("name", ["000002", "", "../x", "1", "current.json"])
def test_an_unknown_version_is_missing_and_says_what_there_is(registry: Registry, name: str) -> None:
    """Whatever is no published name is refused, without a look outside the directory."""
    registry.publish(trained())

    with pytest.raises(VersionMissing, match="000001"):
        registry.load(name)


def test_rolling_back_to_what_serves_is_refused(registry: Registry) -> None:
    """It would withdraw nothing and only raise the epoch."""
    registry.publish(trained())

    with pytest.raises(VersionMissing, match="already serves"):
        registry.rollback("000001")


@pytest.mark.parametrize("name", [*store.FILES, store.MEMORY, store.MANIFEST])
@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_every_damaged_file_is_named(registry: Registry, tmp_path: Path, name: str, harm: str) -> None:
    """A flipped byte, a cut end or a missing file is refused with the file's name."""
    registry.publish(trained())
    path = tmp_path / "models" / "000001" / name
    raw = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(raw[:-1])
    else:
        middle = len(raw) // 2
        path.write_bytes(raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :])

    with pytest.raises(VersionDamaged, match=name):
        registry.load("000001")


@pytest.mark.parametrize("name", [store.CATALOGUE, store.THEMES, store.THEME_LABELS, store.MANIFEST])
def test_damaged_themes_are_refused_where_only_themes_are_read(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    """A worker never routes by a damaged table."""
    registry.publish(trained())
    (tmp_path / "models" / "000001" / name).write_bytes(b"[]")

    with pytest.raises(VersionDamaged, match=name):
        registry.load_themes("000001")


def test_themes_alone_are_the_themes_of_the_version(registry: Registry) -> None:
    """Loaded alone or with everything, the table is one."""
    registry.publish(trained())
    table = registry.load_themes("000001")

    assert np.array_equal(table.logits_IK, registry.load("000001").themes.logits_IK)
    assert table.logits_of("i3") is not None


def resigned(directory: Path, changed: dict[str, object]) -> None:
    """A manifest that vouches for what now lies there: somebody swapped files with care."""
    manifest = json.loads((directory / store.MANIFEST).read_text())
    manifest.pop("digest")
    manifest |= changed
    manifest["files"] = {name: store._digest(directory / name) for name in store.FILES}
    (directory / store.MANIFEST).write_bytes(store._canonical(manifest))


def test_weights_of_another_catalogue_are_refused(registry: Registry, tmp_path: Path) -> None:
    """Same shapes, valid digests, but weights that were trained for other ids."""
    for seed, prefix in ((1, "i"), (2, "other")):
        registry.publish(trained(seed=seed, prefix=prefix))
    first, second = (tmp_path / "models" / name for name in ("000001", "000002"))
    shutil.copy(second / store.WEIGHTS, first / store.WEIGHTS)
    resigned(first, {})

    with pytest.raises(CatalogueMismatch, match=store.WEIGHTS):
        registry.load("000001")


def test_a_catalogue_that_the_manifest_does_not_name_is_refused(registry: Registry, tmp_path: Path) -> None:
    """The manifest names the catalogue by its ids, not only by its bytes."""
    registry.publish(trained())
    directory = tmp_path / "models" / "000001"
    (directory / store.CATALOGUE).write_text('["a","b","c","d","e"]')
    resigned(directory, {})

    with pytest.raises(CatalogueMismatch, match=store.CATALOGUE):
        registry.load("000001")


def test_a_newer_layout_is_refused(registry: Registry, tmp_path: Path) -> None:
    """What this code cannot read, it says so."""
    registry.publish(trained())
    resigned(tmp_path / "models" / "000001", {"format": store.FORMAT + 1})

    with pytest.raises(VersionDamaged, match=f"format {store.FORMAT + 1}"):
        registry.load("000001")


NAN = np.float32("nan")


@pytest.mark.parametrize(
    ("broken", "error", "named"),
    [
        (replace(trained(), index=np.zeros((4, 8), np.float32)), VersionDamaged, "index.npy"),
        (replace(trained(), index=np.full((5, 8), NAN)), VersionDamaged, "index.npy"),
        (replace(trained(), popularity=np.zeros(4, np.int64)), VersionDamaged, "popularity.npy"),
        (replace(trained(), weights=trained(6).weights), CatalogueMismatch, "71 item rows"),
        (replace(trained(), weights={"items": np.full((70, 2, 4), NAN)}), VersionDamaged, "weights"),
        (replace(trained(), weights={"streams_Md": np.ones((2, 4), np.float32)}), VersionDamaged, "weights"),
    ],
)
def test_parts_that_do_not_fit_are_never_published(
    registry: Registry, broken: Trained, error: type[ModelError], named: str
) -> None:
    """Shapes and finite values are checked before anything is written."""
    with pytest.raises(error, match=named):
        registry.publish(broken)

    assert registry.current() is None


def test_parts_that_do_not_fit_are_refused_when_loaded(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher that did not check, with digests in order: the reader checks again."""
    with monkeypatch.context() as patched:
        for checking in (module, store):
            patched.setattr(checking, "check_fit", lambda *_: None)
        registry.publish(replace(trained(), index=np.full((5, 8), NAN)))

    with pytest.raises(VersionDamaged, match=r"000001/index.npy"):
        registry.load("000001")


def test_a_broken_current_file_is_refused_and_named(registry: Registry, tmp_path: Path) -> None:
    """It is replaced at once, so half of one means somebody else wrote it."""
    registry.publish(trained())
    (tmp_path / "models" / "current.json").write_text('{"version": "0000')

    with pytest.raises(VersionDamaged, match=r"current\.json"):
        registry.current()


def test_the_index_is_mapped_and_can_be_handed_to_torch(registry: Registry) -> None:
    """Pages come from the file; writing to them changes memory only."""
    registry.publish(trained())
    version = registry.load("000001")
    version.index[0, 0] = 7.0

    assert isinstance(version.index, np.memmap)
    assert registry.load("000001").index[0, 0] != 7.0


def test_files_of_a_version_can_be_read_by_other_users(registry: Registry, tmp_path: Path) -> None:
    """Trainer and scorer may run under different accounts."""
    registry.publish(trained())
    paths = [path for path in (tmp_path / "models").rglob("*") if not path.name.startswith(".")]

    assert paths
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in paths)
