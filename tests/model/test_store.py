"""MoS in the files of a version: complete, vouched for; the table that a worker reads is the router's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import store
from model.backbone import unit
from model.config import FIRST_ITEM_ROW, MoSConfig
from model.errors import CatalogueMismatch, VersionDamaged
from model.prototypes import probabilities
from model.registry import Registry
from model.version import MoSWeights, Trained
from stream.themes import Router, choose
from tests.model.published import World, trained, world


@pytest.fixture(scope="module")
def made() -> World:
    return world(users=2, sessions=6)


def test_mos_comes_back_bit_for_bit(made: World, tmp_path: Path) -> None:
    """Configuration and every array, types kept; a version without it says so."""
    Registry(tmp_path).publish(trained(made))
    Registry(tmp_path).publish(replace(trained(made), mos=None))
    back = Registry(tmp_path).load("000001")

    assert back.mos is not None
    assert back.mos.config == made.mos.config
    assert back.mos.weights.keys() == made.mos.weights().keys()
    for name, array in made.mos.weights().items():
        assert np.array_equal(back.mos.weights[name], array)
        assert back.mos.weights[name].dtype == array.dtype
    assert back.manifest["files"].keys() == {*store.FILES, store.MOS}
    assert Registry(tmp_path).load("000002").mos is None


def test_numpy_says_of_a_session_what_torch_says(made: World, tmp_path: Path) -> None:
    """Themes of random sessions from the published table, as a worker computes them, are the router's to
    1e-5."""
    Registry(tmp_path).publish(trained(made))
    router = Router(Registry(tmp_path).load_themes("000001"), "000001")
    unit_ID = unit(made.network.item_index())
    random = np.random.default_rng(0)
    for num in range(1, 30):
        lines = random.integers(0, len(unit_ID), num)
        items = [made.catalogue.items[line] for line in lines.tolist()]
        with torch.no_grad():
            expected_K = made.mos.router(unit_ID[torch.from_numpy(lines)].mean(0)).softmax(-1).numpy()

        total, known = router.session_logits([*items, "unheard of"])
        assert total is not None
        found_K = probabilities(np.array(total) / known)

        np.testing.assert_allclose(found_K, expected_K, atol=1e-5)
        for theme, weight in choose(total, known):
            assert weight == pytest.approx(float(expected_K[theme]), abs=1e-5)


@pytest.mark.parametrize("harm", ["flipped", "gone"])
def test_a_damaged_mos_file_is_named(made: World, tmp_path: Path, harm: str) -> None:
    """Another byte, or no file: nothing of the version is loaded."""
    Registry(tmp_path).publish(trained(made))
    path = tmp_path / "000001" / store.MOS
    whole = path.read_bytes()
    path.unlink()
    if harm == "flipped":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    with pytest.raises(VersionDamaged, match=store.MOS):
        Registry(tmp_path).load("000001")


def of(made: World, **arrays: np.ndarray) -> MoSWeights:
    weights = {**made.mos.weights(), **{name.replace("__", "."): array for name, array in arrays.items()}}
    return MoSWeights(config=made.mos.config, weights=weights)


WRONG: dict[str, tuple[Callable[[World, Trained], Trained], str]] = {
    "shape": (lambda made, whole: replace(whole, mos=of(made, router__c_KD=np.zeros((4, 3)))), "router.c_KD"),
    "no number": (lambda made, whole: replace(whole, mos=of(made, b_f_S=np.full(3, np.nan))), "no numbers"),
    "unknown": (lambda made, whole: replace(whole, mos=of(made, more=np.zeros(1))), "more"),
    "missing": (
        lambda made, whole: replace(whole, mos=MoSWeights(config=made.mos.config, weights={})),
        "b_f_S",
    ),
    "themes": (
        lambda made, whole: replace(
            whole, mos=MoSWeights(config=MoSConfig(num_themes=5), weights=made.mos.weights())
        ),
        "5 themes",
    ),
    "routing": (
        lambda made, whole: replace(
            whole, mos=MoSWeights(config=MoSConfig(num_themes=4, routing="random"), weights={})
        ),
        "only themes",
    ),
    "network": (
        lambda made, whole: replace(whole, config=replace(whole.config, family="hstu")),
        "fuxi-mme",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_not_published(made: World, tmp_path: Path, case: str) -> None:
    """Shapes, names, numbers of themes, a routing or a network that cannot be served."""
    change, told = WRONG[case]

    with pytest.raises(VersionDamaged, match=told):
        Registry(tmp_path).publish(change(made, trained(made)))
    assert list(Registry(tmp_path).list()) == []


def test_mos_of_another_catalogue_is_refused(made: World, tmp_path: Path) -> None:
    """Its file carries the digest of the items it was trained over."""
    whole = trained(made)
    names = ("one", "other")
    for name in names:
        (tmp_path / name).mkdir()
    store.write(tmp_path / "one", whole)
    items = [*made.catalogue.items[1:], "stranger"]
    store.write(tmp_path / "other", replace(whole, catalogue=type(made.catalogue)(items)))
    (tmp_path / "one" / store.MOS).write_bytes((tmp_path / "other" / store.MOS).read_bytes())
    digests = {path.name: store._digest(path) for path in (tmp_path / "one").iterdir()}
    store.write_manifest(tmp_path / "one", whole, "one", digests)

    with pytest.raises(CatalogueMismatch, match=store.MOS):
        store.read(tmp_path / "one")


def test_a_version_of_the_layout_before_is_read(made: World, tmp_path: Path) -> None:
    """It never had MoS; what was published goes on serving after an upgrade."""
    whole = replace(trained(made), mos=None)
    directory = tmp_path / "000001"
    directory.mkdir()
    store.write_manifest(directory, whole, "000001", store.write(directory, whole))
    manifest = json.loads((directory / store.MANIFEST).read_text())
    older = {key: value for key, value in manifest.items() if key not in ("mos", "digest")} | {"format": 2}
    (directory / store.MANIFEST).write_bytes(store._canonical(older))

    version = store.read(directory)

    assert version.mos is None
    assert len(version.weights["items"]) == len(made.catalogue) + FIRST_ITEM_ROW
