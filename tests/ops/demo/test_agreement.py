"""A scorer that answers one event at a time gives the lists that follow from the events alone."""

from __future__ import annotations

import numpy as np
import pytest

from model.columns import EventColumns
from model.config import ModelConfig
from model.cooccurrence import memory_of
from model.exposure import Exposure
from model.memory import Memory, MemoryConfig
from model.popularity import Popularity
from model.provisional import ProvisionalConfig
from model.slow_lists import After, lists_after
from model.version import MoSWeights, Version
from ops.datasets.table import EventTable
from ops.demo.agreement import Agreement, compared, disagreements, newest_of, replayed
from ops.demo.parts import divide
from stream.asking import Asking
from stream.events import Interaction
from stream.history import Rules, User
from stream.learning import Learner, Seed
from stream.records import Judgement, Line, StateRef, decode_judgement
from stream.requests import Cause, build
from stream.scoring import Desk
from stream.serving import Serving
from stream.standing_in import MAX_ROWS
from stream.themes import Router
from tests.model.published import trained as with_mos
from tests.model.published import world
from tests.model.untrained_version import untrained

CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=2, experts=2)
KNOWN = [f"i{number}" for number in range(60)]
NEW = [f"n{number}" for number in range(10)]
ROWS = ProvisionalConfig(max_items=MAX_ROWS)
WARM = 80


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Random weights over the known items."""
    return untrained(tmp_path_factory.mktemp("models"), CONFIG, KNOWN)


def walks(num: int = 240, num_users: int = 9, share_new: float = 1 / 7) -> EventColumns:
    """Users who walk along the items; from the warm part's end on such a share of clicks is on new ones."""
    random = np.random.default_rng(0)
    at = random.integers(0, 60, num_users)
    user, item = [], []
    for place in range(num):
        who = int(random.integers(num_users if place > WARM else num_users - 2))  # two come later
        at[who] = (at[who] + random.integers(1, 6)) % 60
        new = place >= WARM and random.random() < share_new
        user.append(who)
        item.append(60 + int(random.integers(10)) if new else int(at[who]))
    return EventColumns(
        users=[f"u{number}" for number in range(num_users)],
        items=KNOWN + NEW,
        user=np.array(user, np.int32),
        item=np.array(item, np.int32),
        time_ms=60_000 * (1 + np.arange(num)),
    )


class Remembers(Serving):
    """Brings the memory of the warm events."""

    warm: EventColumns

    def seed(self, config: MemoryConfig) -> Seed:
        through_ms = int(self.warm.time_ms[-1])
        return Seed(
            Popularity(), Memory.from_arrays(memory_of(self.warm).to_arrays(), config), through_ms + 1
        )


def live(version: Version, columns: EventColumns) -> dict[tuple[str, int], Judgement]:
    """Judgements of a scorer: a list for everybody at the warm part's end, then one after each event."""
    serving = Remembers(version, 1, device="cpu", cache_bytes=1 << 20, threads=1, filter_seen=True)
    serving.warm = columns.slice(0, WARM)
    desk = Desk(
        Learner(Popularity(), ()),
        topic="requests",
        top_n=10,
        max_batch=64,
        filter_seen=True,
        clock_ms=lambda: 0.0,
    )
    desk.adopt(serving)
    users = [User.new("t") for _ in columns.users]
    judged: list[Judgement] = []

    def ask(code: int, offset: int, kind: str) -> None:
        cause = Cause(user=columns.users[code], partition=0, type=kind, produced_ms=0)
        asking = Asking(build(users[code], Router(), cause, sample_share=1.0), 0, offset, 0)
        out = desk.answer([asking])
        judged.extend(decode_judgement(one.value) for one in out if one.topic == "judgements")

    rows = zip(columns.user.tolist(), columns.item.tolist(), columns.time_ms.tolist(), strict=True)
    for offset, (code, item, ts_ms) in enumerate(rows):
        if offset == WARM:
            for returning in sorted(set(columns.user[:WARM].tolist())):
                ask(returning, offset, "rescore")
        name = columns.users[code]
        event = Interaction(ts=ts_ms, user=name, item=columns.items[item], type="click")
        users[code].apply(event, "t", offset, Rules(), Router())
        if offset >= WARM:
            ask(code, offset, "click")
    return newest_of(judged)


def test_every_line_is_what_the_events_give(version: Version) -> None:
    """Cache, candidates and turns change no list: model, memory and what is served, new items among them."""
    columns = walks()
    memory = memory_of(columns.slice(0, WARM))
    again = list(lists_after(version, memory, columns, WARM, ROWS))
    found = compared(again, live(version, columns), version.name)

    assert found.missing == 0
    assert {name: line.lists for name, line in found.lines.items()} == dict.fromkeys(
        ("model", "memory", "served"), len(columns) - WARM
    )
    assert [line.first for line in found.lines.values()] == [None] * 3
    assert any(item in NEW for after in again for item in after.lines["served"])
    assert disagreements(found) == []


def test_rows_that_are_held_back_are_held_back_alike(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New items that few click stand lower after a while, in a scorer as in what is made again."""
    columns = walks(400, share_new=0.04)
    warm = columns.slice(0, WARM)
    again = list(lists_after(version, memory_of(warm), columns, WARM, ROWS))
    found = compared(again, live(version, columns), version.name)

    assert [(name, line.same) for name, line in found.lines.items()] == [
        (name, len(columns) - WARM) for name in ("model", "memory", "served")
    ]
    monkeypatch.setattr(Exposure, "turned", lambda _, lines_PD, items: lines_PD)
    assert list(lists_after(version, memory_of(warm), columns, WARM, ROWS)) != again


def test_only_what_was_replayed_is_made_again() -> None:
    """Users of the stream with all their events up to its end, and nobody else's."""
    columns = walks()
    table = EventTable(
        users=columns.users,
        items=columns.items,
        types=["click"],
        user=columns.user,
        item=columns.item,
        time_ms=columns.time_ms,
        type=np.zeros(len(columns), np.int8),
    )
    parts = divide(table, (), (), 30)
    found, start = replayed(columns, parts)
    returning = set(columns.user[192:222].tolist())

    assert found.user[start:].tolist() == columns.user[192:222].tolist()
    assert found.item[start:].tolist() == columns.item[192:222].tolist()
    assert found.user[:start].tolist() == [one for one in columns.user[:192].tolist() if one in returning]


def test_the_past_alone_makes_a_list(version: Version) -> None:
    """Other events after it leave every list before as it was."""
    columns = walks()
    cut = 160
    short = list(lists_after(version, memory_of(columns.slice(0, WARM)), columns.slice(0, cut), WARM, ROWS))
    whole = list(lists_after(version, memory_of(columns.slice(0, WARM)), columns, WARM, ROWS))

    assert short == whole[: cut - WARM]
    assert len(short) == cut - WARM


def test_a_version_that_reads_sessions_is_refused() -> None:
    """MoS routes sessions, and columns have none."""
    made = world()
    published = with_mos(made)
    assert isinstance(published.mos, MoSWeights)
    version = Version(
        name="000007",
        epoch=0,
        manifest={},
        config=published.config,
        catalogue=published.catalogue,
        weights=published.weights,
        index=published.index,
        themes=published.themes,
        popularity=published.popularity,
        mos=published.mos,
    )
    with pytest.raises(ValueError, match="000007 reads sessions"):
        next(lists_after(version, Memory(), made.columns, 0, ROWS))


TEN = [f"place {number}" for number in range(1, 11)]


def judgement(items: list[str], version: str = "000001", events: int = 3) -> Judgement:
    line = Line(version=version, items=items)
    state = StateRef(topic_id="t", partition=0, offset=9, events=events)
    return Judgement(user="ann", state=state, epoch=1, lines={"served": line, "model": line}, made_ms=0)


def test_what_differs_is_counted_and_shown() -> None:
    """One list of two came in another order; the third was another version's, the fourth a long history's."""
    again = [After("ann", number, {"model": ["a", "b"]}) for number in (2, 3, 4)]
    judged = [judgement(["a", "b"], events=2), judgement(["b", "a"]), judgement(["a", "b"], "000002", 4)]
    found = compared([*again, After("ann", 201, {"model": ["a", "b"]})], newest_of(judged), "000001")
    line = found.lines["model"]

    assert (line.lists, line.same, line.shared, found.missing, found.long) == (2, 1, 2.0, 1, 1)
    assert disagreements(found) == []  # one pair of neighbours may always change places
    line.lists, line.same = 150, 148
    [problem] = disagreements(found)
    assert "Of 150 lists of the line model, 2 are not" in problem
    assert "ann after 3 events: ['b', 'a'] live, ['a', 'b'] offline" in problem


@pytest.mark.parametrize(
    ("offline", "live", "same", "shared"),
    [
        (["a"], ["a", "b"], 0, 1.0),
        ([], ["a"], 0, 0.0),
        ([], [], 1, 1.0),
        (TEN, [*TEN, "eleventh"], 1, 1.0),
    ],
    ids=["goes on", "empty offline", "both empty", "eleventh place"],
)
def test_lists_are_held_against_each_other_to_the_tenth_place(
    offline: list[str], live: list[str], same: int, shared: float
) -> None:
    """A list that ends earlier is another one; two empty ones are alike."""
    found = compared([After("ann", 3, {"model": offline})], newest_of([judgement(live)]), "000001")
    line = found.lines["model"]

    assert (line.same, line.shared) == (same, shared)


def test_a_fall_back_is_not_compared() -> None:
    """Without lists to make again nothing is said of an event."""
    found = compared([After("ann", 3, {})], newest_of([judgement(["a"])]), "000001")

    assert found == Agreement()
