"""What is trained is what is asked for: sequences of every moment, against the worker's own requests."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from model.catalogue import Catalogue
from model.columns import EventColumns
from model.mos_sequences import MIN_EVENTS, Read, Rules, by_theme, ranges, sessions_of, themes_apply
from model.prototypes import NO_THEME, choose, probabilities, session_logits
from model.sequences import Histories, histories
from model.themes import ThemeTable
from stream import history, requests, themes
from stream.events import Interaction
from stream.records import Request
from stream.sessions import closes
from stream.windows import moved_global, moved_history, moved_theme

GAP_MS, MAX_OPEN, KEPT = 60_000, 6, 140
WORKER = history.Rules(gap_ms=GAP_MS, max_events=MAX_OPEN, keep_events=KEPT)
RULES = Rules(
    closes=lambda num, last_ms, ts_ms: closes(num, last_ms, ts_ms, GAP_MS, MAX_OPEN),
    moved_global=moved_global,
    moved_theme=moved_theme,
    moved_history=lambda lengths: moved_history(lengths, KEPT),
)
NUM_ITEMS, K = 30, 3


def clicks(seed: int, num: int = 500, users: int = 2) -> EventColumns:
    """Users who click in bursts, mostly within one third of the items."""
    random = np.random.default_rng(seed)
    gap = np.where(random.random(num) < 0.25, 4 * GAP_MS, 900)
    favourite = np.repeat(random.integers(0, K, num // 10 + 1), 10)[:num]
    item = np.where(random.random(num) < 0.7, favourite * 10 + random.integers(0, 10, num), 0)
    return EventColumns(
        users=[f"u{number}" for number in range(users)],
        items=[f"i{number}" for number in range(NUM_ITEMS)],
        user=(random.random(num) < 0.2).astype(np.int32),
        item=item.astype(np.int32),
        time_ms=1_700_000_000_000 + np.cumsum(gap).astype(np.int64),
    )


def a_table(catalogue: Catalogue) -> ThemeTable:
    """Items lean to their third, some hardly; one item has no logits at all (it is not in the catalogue)."""
    random = np.random.default_rng(7)
    logits = random.normal(0, 0.4, (len(catalogue), K))
    logits[np.arange(len(catalogue)), [int(item[1:]) // 10 for item in catalogue.items]] += 0.8
    return ThemeTable(catalogue, logits.astype(np.float32), ["a", "b", "c"])


class World:
    """Histories, their sessions, and the themes of every moment."""

    def __init__(self, columns: EventColumns) -> None:
        self.catalogue = Catalogue([f"i{number}" for number in range(1, NUM_ITEMS)])  # i0 is unknown
        self.table = a_table(self.catalogue)
        self.columns = columns
        self.events = histories(columns, self.catalogue)
        self.sessions = sessions_of(self.events, RULES)
        self.cuts = np.arange(len(self.events.rows))
        chosen = [self.themes_at(at, at + 1) for at in self.cuts]
        self.themes = np.array([pair for pair, _ in chosen])
        self.theme_S = np.array([self.themes_at(stop - 1, stop)[0][0] for stop in self.sessions.starts[1:]])
        self.read = by_theme(self.sessions, RULES, self.cuts, self.theme_S, self.themes)

    def themes_at(self, at: int, stop: int) -> tuple[list[int], list[float]]:
        """Of the session that holds ``at``, from its events before ``stop``."""
        rows = self.events.rows[self.sessions.starts[self.sessions.of_event[at]] : stop]
        places = [row - 65 for row in rows.tolist() if row >= 65]
        mean = session_logits(self.table.logits_IK, places)
        found = choose(
            probabilities(np.zeros(K) if mean is None else mean)[None], np.array([mean is not None])
        )
        return found.themes_T2[0].tolist(), found.weights_T2[0].tolist()


def told(events: Histories, read: Read, cut: int, column: int) -> list[int]:
    """Times of the events that a cut reads: they are all different, so they name the events."""
    line = read.line_TJ[cut, column]
    if line < 0:
        return []
    return events.times_ms[read.sequences[line][: read.position_TJ[cut, column] + 1]].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_every_moment_reads_what_the_worker_asks(seed: int) -> None:
    """Global, local and theme sequences, their order and the themes: event by event the worker's request."""
    world = World(clicks(seed))
    columns, events, sessions = world.columns, world.events, world.sessions
    router = themes.Router(world.table, "000001")
    users = [history.User.new("t") for _ in columns.users]
    read = {
        "global": ranges(sessions.global_from[sessions.of_event], world.cuts),
        "local": ranges(sessions.local_from[sessions.of_event], world.cuts),
    }
    place = np.empty(len(columns), np.int64)
    place[events.order] = world.cuts
    seen_lengths = []
    for number, (user, item, ts_ms) in enumerate(
        zip(columns.user, columns.item, columns.time_ms.tolist(), strict=True)
    ):
        event = Interaction(user=columns.users[user], item=columns.items[item], ts=ts_ms, type="click")
        users[user].apply(event, "t", number, WORKER, router)
        cause = requests.Cause(user=columns.users[user], partition=0, type="click", produced_ms=0)
        request = msgspec.msgpack.decode(
            requests.build(users[user], router, cause, sample_share=0.0), type=Request
        )
        header, body = request.header, request.sequences()
        wanted = {}
        for kind, flat in zip(header.kinds[1:], body.ranges, strict=True):
            wanted[kind] = [
                ms for a, b in zip(flat[::2], flat[1::2], strict=True) for ms in body.times_ms()[a:b]
            ]
        cut = int(place[number])
        named = [theme for theme in world.themes[cut].tolist() if theme != NO_THEME]
        assert [theme for theme, _ in header.themes] == named
        assert {kind: told(events, each, cut, 0) for kind, each in read.items()} == {
            kind: wanted[kind] for kind in read
        }
        for column, theme in enumerate(named):
            assert told(events, world.read, cut, column) == wanted[f"theme:{theme}"]
        lengths = dict(zip(header.kinds, header.lengths, strict=True))
        assert sessions.applies[cut] == themes_apply(lengths["history"], lengths["local"])
        seen_lengths.append(lengths["history"] - lengths["global"])
    assert (world.themes[:, 1] >= 0).sum() > 20  # two themes do occur
    assert max(seen_lengths) == 0  # histories this short are all global; the next test has long ones


def test_windows_move_as_the_workers() -> None:
    """In a long history the global window leaves its oldest sessions, and themes theirs."""
    world = World(clicks(5, num=1200, users=2))
    wide = Rules(
        closes=RULES.closes,
        moved_global=moved_global,
        moved_theme=moved_theme,
        moved_history=lambda lengths: moved_history(lengths, 512),
    )
    sessions = sessions_of(world.events, wide)
    user = history.User.new("t")
    router = themes.Router(world.table, "000001")
    rules = history.Rules(gap_ms=GAP_MS, max_events=MAX_OPEN, keep_events=512)
    read = ranges(sessions.global_from[sessions.of_event], world.cuts)
    theme_read = by_theme(sessions, wide, world.cuts, world.theme_S, world.themes)
    dropped = 0
    for number, cut in enumerate(range(int(world.events.starts[0]), int(world.events.starts[1]))):
        item = world.columns.items[world.columns.item[world.events.order[cut]]]
        event = Interaction(user="u0", item=item, ts=int(world.events.times_ms[cut]), type="click")
        user.apply(event, "t", number, rules, router)
        cause = requests.Cause(user="u0", partition=0, type="click", produced_ms=0)
        raw = requests.build(user, router, cause, sample_share=0.0)
        header = msgspec.msgpack.decode(raw, type=Request).header
        lengths = dict(zip(header.kinds, header.lengths, strict=True))
        assert len(told(world.events, read, cut, 0)) == lengths["global"]
        for column, (theme, _) in enumerate(header.themes):
            assert len(told(world.events, theme_read, cut, column)) == lengths[f"theme:{theme}"]
        dropped += lengths["global"] < lengths["history"]
    assert dropped > 100


def test_one_pass_answers_many_moments() -> None:
    """Sequences together hold a few times as many positions as there are events, not one history per cut."""
    world = World(clicks(1))
    total = sum(len(sequence) for sequence in world.read.sequences)
    asked = int((world.read.position_TJ + 1).sum())

    assert total < 4 * len(world.events.rows)
    assert asked > 5 * total


def test_what_comes_after_a_moment_changes_nothing_it_reads() -> None:
    """Other events after a cut leave its sequences as they were, whatever the session closes with."""
    one = clicks(2)
    cut = 300
    random = np.random.default_rng(9)
    item = one.item.copy()
    item[cut + 1 :] = random.integers(0, NUM_ITEMS, len(one) - cut - 1)
    other = EventColumns(users=one.users, items=one.items, user=one.user, item=item, time_ms=one.time_ms)
    worlds = [World(one), World(other)]

    for place in np.flatnonzero(worlds[0].events.order <= cut).tolist():
        a, b = (
            [world.themes[place].tolist(), *(told(world.events, world.read, place, j) for j in (0, 1))]
            for world in worlds
        )
        assert a == b


def test_short_histories_skip_themes() -> None:
    """Fewer than 20 events or two closed sessions: no themes, whatever the rest says."""
    world = World(clicks(0))
    number = world.cuts - world.events.starts[np.searchsorted(world.events.starts, world.cuts, "right") - 1]

    assert not world.sessions.applies[number < MIN_EVENTS - 1].any()
    assert world.sessions.applies[number >= 40].all()  # 40 events are more than five sessions here
    assert not themes_apply(30, 30)
