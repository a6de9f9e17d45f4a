"""What changed between two versions whose difference is written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW
from model.difference import difference, theme_drift
from model.registry import Registry
from model.themes import ThemeTable
from model.version import Trained, Version
from tests.model.tiny_version import trained


def published(directory: Path, *versions: Trained) -> list[Version]:
    return [Registry(directory).publish(one) for one in versions]


def grown(before: Trained) -> Trained:
    """One item more; row 1 turned round, row 2 by a right angle, the others as they were."""
    catalogue = Catalogue([*before.catalogue.items, "new"])
    rows = np.concatenate([before.weights["items"], np.ones((1, 2, 4), np.float32)])
    rows[FIRST_ITEM_ROW + 1] *= -1
    turned = rows[FIRST_ITEM_ROW + 2].reshape(4, 2)
    rows[FIRST_ITEM_ROW + 2] = np.stack([-turned[:, 1], turned[:, 0]], axis=1).reshape(2, 4)
    logits = np.concatenate([before.themes.logits_IK, np.zeros((1, 3), np.float32)])
    return replace(
        before,
        catalogue=catalogue,
        weights={**before.weights, "items": rows},
        index=rows[FIRST_ITEM_ROW:].reshape(6, 8),
        themes=ThemeTable(catalogue, logits, ["a", "other", "ç"]),
        popularity=np.arange(6, dtype=np.int64),
        metrics={"validation_ndcg@10": 0.5, "steps": 7.0},
        train_config=replace(before.train_config, lr=0.5),
        num_events=120,
    )


def test_every_change_is_told(tmp_path: Path) -> None:
    """Settings, metrics, the new item, the two rows that moved and by how much, the new label."""
    before = trained()
    told = difference(*published(tmp_path, before, grown(before)))

    assert told["config"] == {}
    assert told["train_config"] == {"lr": [before.train_config.lr, 0.5]}
    assert told["metrics"] == {"validation_ndcg@10": [0.25, 0.5], "steps": [None, 7.0]}
    assert told["events"] == [100, 120]
    assert told["catalogue"] == {
        "items": [5, 6],
        "appended": True,
        "added": 1,
        "added_items": ["new"],
        "removed": 0,
        "removed_items": [],
    }
    assert (told["rows"]["compared"], told["rows"]["untouched"]) == (5, 3)
    assert [place["item"] for place in told["rows"]["most"]] == ["i1", "i2"]
    assert [place["moved"] for place in told["rows"]["most"]] == pytest.approx([2, 1], abs=1e-6)
    assert told["rows"]["mean"] == pytest.approx(0.6)
    assert told["themes"]["relabelled"] == [{"theme": 1, "before": "b", "now": "other"}]
    assert {share for share in told["themes"]["moved"] if share is not None} == {0.0}


def test_a_version_does_not_differ_from_itself(tmp_path: Path) -> None:
    """Nothing changed, nothing moved."""
    (version,) = published(tmp_path, trained())
    told = difference(version, version)

    assert [told[part] for part in ("config", "train_config", "metrics")] == [{}, {}, {}]
    assert (told["rows"]["untouched"], told["rows"]["max"], told["rows"]["most"]) == (5, 0, [])
    assert told["themes"]["relabelled"] == []


def test_catalogues_without_a_common_item_have_no_rows_to_compare(tmp_path: Path) -> None:
    """All items are new, and nothing is made up about their movement."""
    told = difference(*published(tmp_path, trained(), trained(prefix="other")))

    assert told["rows"] is None
    assert told["themes"]["moved"] is None
    assert (told["catalogue"]["added"], told["catalogue"]["removed"]) == (5, 5)
    assert not told["catalogue"]["appended"]


def test_themes_of_another_number_are_not_compared(tmp_path: Path) -> None:
    """Three themes and two: the labels that both have are told, movement is not."""
    before = trained()
    fewer = ThemeTable(before.catalogue, before.themes.logits_IK[:, :2], ["a", "b"])
    told = difference(*published(tmp_path, before, replace(before, themes=fewer)))

    assert told["themes"] == {"num": [3, 2], "relabelled": [], "moved": None}


def test_a_theme_whose_items_turned_has_drifted_and_the_others_have_not(tmp_path: Path) -> None:
    """Theme 1 turned round, theme 0 stayed, theme 2 lost its items: 2, 0 and nothing to compare."""

    def made(index: npt.NDArray[np.float32], theme_of: list[int]) -> Trained:
        table = ThemeTable(before.catalogue, np.eye(3, dtype=np.float32)[theme_of], ["a", "b", "c"])
        return replace(before, index=index, themes=table)

    before = trained()
    lines = before.index.copy()
    lines[2] = lines[3] = lines[0]  # item 3 goes to theme 0 without turning it
    turned = lines.copy()
    turned[[1, 4]] *= -1

    drift = theme_drift(*published(tmp_path, made(lines, [0, 1, 0, 2, 1]), made(turned, [0, 1, 0, 0, 1])))

    assert drift[:2] == [pytest.approx(0, abs=1e-6), pytest.approx(2)]
    assert drift[2] is None


def test_versions_of_another_width_have_no_drift(tmp_path: Path) -> None:
    """Two spaces cannot be compared."""
    (version,) = published(tmp_path, trained())
    wider = replace(version, config=replace(version.config, dim=16))

    assert theme_drift(wider, version) == [None, None, None]
