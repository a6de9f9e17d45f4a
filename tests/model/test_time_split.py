"""The cut in time on made-up logs: nothing later than the cut is trained on, everything after it is asked."""

import numpy as np
import pytest
import torch

from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.errors import NotEnoughData
from model.evaluate import judged_events, popularity_ranks
from model.families import build
from model.stages import Stage
from model.time_split import cut_at, impression_scores, live_popularity, stream_stage, time_split


def random_log(num: int = 100, users: int = 6, items: int = 15, seed: int = 0) -> EventColumns:
    """Events in pairs of one moment, pairs a second apart."""
    random = np.random.default_rng(seed)
    return EventColumns(
        users=[f"u{user}" for user in range(users)],
        items=[f"i{item:02d}" for item in range(items)],
        user=random.integers(0, users, num).astype(np.int32),
        item=random.integers(0, items, num).astype(np.int32),
        time_ms=1000 * (np.arange(num, dtype=np.int64) // 2),
    )


def trained(stage: Stage) -> list[int]:
    return sorted(stage.training.order.tolist())


def test_events_of_one_moment_stay_together() -> None:
    """The quantile falls into the second event of a pair, and the cut before the first."""
    log = random_log()

    assert cut_at(log, 0.9) == 90
    assert cut_at(log.slice(0, 99), 0.9) == 88


def test_variants_end_before_the_slice_and_before_the_test() -> None:
    """A trains on the first 80 of 100 events, B on 90; the catalogue is that of the training part."""
    log = random_log(items=60)
    a, b = time_split(log, 10)

    assert (trained(a), trained(b)) == (list(range(80)), list(range(90)))
    for stage, cut in ((a, 80), (b, 90)):
        assert set(stage.catalogue.items) == {log.items[code] for code in log.item[:cut]}
        assert stage.events.order[stage.places()].tolist() == judged_events(log, 90).tolist()
    assert len(a.validation.targets)
    assert set(a.validation.asked_ms.tolist()) <= {1000 * second for second in range(40, 45)}
    assert not len(b.validation.targets)


def test_last_and_successive_targets_are_told_apart() -> None:
    """Each user has one last question, and it is the newest of theirs."""
    log = random_log()
    a, _ = time_split(log, 10)
    users, last = a.users(), a.groups["last all"]

    assert next(iter(a.groups)) == "successive all"
    assert a.groups["successive all"].all()
    assert sorted(users[last].tolist()) == sorted(set(users.tolist()))
    for place in np.flatnonzero(last):
        assert place == np.flatnonzero(users == users[place])[-1]


def test_warm_and_cold_users_add_up() -> None:
    """Users without an event before the cut are cold, whatever they did since."""
    log = random_log()
    user = log.user.copy()
    user[:90][user[:90] == 5] = 4
    user[92:98] = 5
    stage = time_split(
        EventColumns(users=log.users, items=log.items, user=user, item=log.item, time_ms=log.time_ms), 10
    )[1]

    assert stage.users()[stage.groups["successive cold"]].tolist() == [5] * int(
        stage.groups["successive cold"].sum()
    )
    assert stage.groups["successive cold"].sum() >= 5
    assert (stage.groups["successive warm"] ^ stage.groups["successive cold"]).all()


def test_live_popularity_answers_the_same_questions() -> None:
    """One rank per question, as the stream protocol gives it."""
    log = random_log()
    a, _ = time_split(log, 10)
    found = live_popularity(log, 90, True)

    assert set(found) == {"popular", "popular-decayed"}
    assert found["popular"].ranks_E.tolist() == popularity_ranks(log, 90, None).tolist()
    assert len(found["popular"].ranks_E) == len(a.places())


def test_the_stream_stage_holds_out_validation_and_asks_the_last_fifth() -> None:
    """80 events, less one of each of up to two users; the questions are those of the stream protocol."""
    log = random_log()
    stage = stream_stage(log, 2)

    assert len(stage.training.rows) == 78
    assert max(trained(stage)) < 80
    assert stage.events.order[stage.places()].tolist() == judged_events(log, 80).tolist()
    assert next(iter(stage.groups)) == "all"


def test_an_item_of_the_warm_part_is_not_new_though_only_validation_has_it() -> None:
    """The stream's groups are those of the protocol: inside and outside the warm part."""
    log = random_log(items=60)
    stage = stream_stage(log, 6)
    items = log.item[stage.events.order[stage.places()]]
    held_out = set(log.item[:80]) - set(log.item[stage.training.order])

    assert held_out & set(items)
    assert stage.groups["new_item"].tolist() == [item not in log.item[:80] for item in items]
    assert (stage.groups["known"] ^ stage.groups["new_item"]).all()


def test_a_log_of_one_moment_cannot_be_cut() -> None:
    """Everything at once has no before and after."""
    log = random_log()
    flat = EventColumns(
        users=log.users, items=log.items, user=log.user, item=log.item, time_ms=0 * log.time_ms
    )

    with pytest.raises(NotEnoughData, match="too few moments"):
        time_split(flat, 10)


def test_impressions_are_scored_in_the_state_before_them() -> None:
    """Each score is the product of the item with the vector of the user's events before the impression; users
    without any, and items outside the catalogue, have none."""
    torch.manual_seed(0)
    log = random_log(items=40)
    stage = time_split(log, 10)[1]
    model = build(
        ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=1, max_events=64), stage.catalogue.num_rows
    ).eval()
    random = np.random.default_rng(1)
    before = np.sort(random.integers(0, 101, 30))
    shown = EventColumns(
        users=[*log.users, "nobody"],
        items=log.items,
        user=np.append(random.integers(0, 6, 29), 6).astype(np.int32),
        item=random.integers(0, 40, 30).astype(np.int32),
        time_ms=np.zeros(30, np.int64),
    )
    found = impression_scores(model, stage, shown, before)
    index = model.item_index().detach()
    for place in range(30):
        mine = np.flatnonzero(log.user[: before[place]] == shown.user[place])
        item = log.items[shown.item[place]]
        if not len(mine) or item not in stage.catalogue:
            assert np.isnan(found[place])
            continue
        rows = torch.tensor([stage.catalogue.rows(log.items[code] for code in log.item[mine])])
        with torch.inference_mode():
            states = model.encode(
                rows, torch.from_numpy(log.time_ms[mine])[None], torch.tensor([len(mine)])
            ).states_BNMd
            expected = model.vectors(states[0, -1]) @ index[stage.catalogue.row(item) - FIRST_ITEM_ROW]
        assert found[place] == pytest.approx(float(expected), abs=1e-5)
    assert np.isnan(found[29])
    assert np.isfinite(found).sum() > 10
