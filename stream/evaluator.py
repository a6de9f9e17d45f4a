"""The evaluator in memory: records of events, judgements and lists in; verdicts added up; one report out.

Knows: which record tells which part what, what a snapshot holds. Does not know: Kafka, files, clocks.

Judgements of a partition must come after the events that they know (intake.py sees to it); then what is
judged by what, and the order of verdicts inside a partition, depend on the records alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from model.metrics import Interval
from stream.exposure import Exposure
from stream.following import Became, Following, Told
from stream.groups import WarmStart, groups_of
from stream.history import Rules
from stream.judging import Judge, Judged, Verdict
from stream.lists import JUDGED_ITEMS
from stream.newcomers import Newcomers
from stream.overlap import Overlap, Through
from stream.progress import Progress
from stream.requests import sampled
from stream.standings import TOP, Standings, joined

#: Users whose first record's time is remembered; past it the longest known goes and would count as cold.
MAX_USERS: Final = 200_000
#: Events of one partition without a verdict; past it the oldest is judged by what there is.
MAX_WAITING: Final = 100_000


class _State(msgspec.Struct):
    topic_id: str
    offset: int


class _Head(msgspec.Struct):
    """The part of a judgement that says where it belongs."""

    user: str
    state: _State


class _Item(msgspec.Struct):
    item: str


class _Listed(msgspec.Struct):
    """The part of a recommendation list that matters here."""

    items: list[_Item]
    epoch: int
    state: _State


_heads = msgspec.msgpack.Decoder(_Head)
_lists = msgspec.json.Decoder(_Listed)


class Evaluator:
    """Feed it records in the order of each partition; `report`, `state` and `judged_through` at any time."""

    def __init__(
        self,
        rules: Rules,
        topic_id: str,
        partitions: int,
        *,
        sample_share: float,
        filter_seen: bool,
        window: int,
        trained_through: Callable[[str], Through | None],
    ) -> None:
        """``topic_id``: of the events topic; what belongs to another generation of it is passed over;
        ``trained_through``: how far a version was trained, None for one that cannot be read."""
        self.warm: WarmStart | None = None
        self.counts = dict.fromkeys(("judged", "late", "without_list", "bad_records", "foreign", "missed"), 0)
        self.upto: dict[int, int] = {}  # partition → offset of the newest judged event
        self.progress = {partition: Progress() for partition in range(partitions)}
        self.topic_id = topic_id
        self._share = sample_share
        self._filter_seen = filter_seen
        self._following = Following(rules)
        self._judge = Judge(self._verdict)
        self._since_ms: dict[str, int] = {}
        self._standings = Standings(window, partitions)
        self._exposure = Exposure()
        self._newcomers = Newcomers()
        self._overlap = Overlap(trained_through)
        self._bands: dict[str, dict[str, Interval]] = {"all": {}, "window": {}}
        self._lost: set[int] = set()  # offsets whose verdict is not counted

    @property
    def waiting(self) -> int:
        """Events without a verdict."""
        return sum(len(progress.waiting) for progress in self.progress.values())

    def judged_through(self) -> dict[int, int]:
        """Partition → offset before which every event was judged or declared unjudged."""
        return {number: progress.judged_through for number, progress in self.progress.items()}

    def event(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        offset: int,
        written_ms: int,
        *,
        backfill: bool = False,
    ) -> None:
        """A record of the events topic; ``backfill``: it asks for no list."""
        progress = self.progress[partition]
        progress.position = offset + 1
        told = self._following.tell(key, value, offset, self.topic_id, written_ms)
        if told.became is Became.REFUSED:  # the worker keeps it as a dead letter
            return
        since_ms = self._since_ms.setdefault(told.user, written_ms)
        if len(self._since_ms) > MAX_USERS:
            del self._since_ms[next(iter(self._since_ms))]
        if told.became is Became.FORGOT:
            del self._since_ms[told.user]
            self._standings.forget(told.user)
        event = Judged(
            user=told.user,
            item=told.item,
            offset=offset,
            written_ms=written_ms,
            partition=partition,
            repeat=told.repeat,
            taken=self._exposure.had_events(told.item),
            since_ms=since_ms,
        )
        if sampled(told.user, self._share):
            self._follow(told, event, backfill)
        if told.became is Became.APPLIED and told.positive:
            self._exposure.took(told.item)
            if self.warm is not None and written_ms >= self.warm.since_ms and self.warm.new(told.item):
                self._newcomers.took(told.item, written_ms)

    def _follow(self, told: Told, event: Judged, backfill: bool) -> None:
        """What the judge must know of a record of a sampled user."""
        user, offset = event.user, event.offset
        if told.became is Became.FORGOT:
            self._judge.forgot(user, self.topic_id, offset)
        elif told.became is Became.APPLIED:
            progress = self.progress[event.partition]
            judges = told.positive and not backfill and offset > progress.begins_after
            progress.waiting[offset] = user  # before the judge is told: its verdict may come at once
            if not self._judge.applied(
                user, self.topic_id, offset, event if judges else None, asks=not backfill
            ):
                del progress.waiting[offset]
            elif len(progress.waiting) > MAX_WAITING:
                oldest, whose = next(iter(progress.waiting.items()))
                self._judge.passed(whose, oldest)
        elif not backfill:
            self._judge.asked(user, self.topic_id)

    def judgement(self, partition: int, value: bytes | None, written_ms: int) -> str | None:
        """A record of the judgements topic; returns what is wrong with it, None if nothing is."""
        try:
            head = _heads.decode(value or b"")
            if head.state.topic_id != self.topic_id or not sampled(head.user, self._share):
                self.counts["foreign"] += 1
                return None
            self._judge.judgement(value or b"", written_ms)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.counts["bad_records"] += 1
            return str(error)
        for offset, user in self.progress[partition].judgement(head.state.offset, written_ms):
            self._judge.passed(user, offset)
        return None

    def knows(self, value: bytes | None) -> int:
        """The newest event that a judgement knows; -1 for a record that is none of ours."""
        try:
            state = _heads.decode(value or b"").state
        except (msgspec.DecodeError, UnicodeDecodeError):
            return -1
        return state.offset if state.topic_id == self.topic_id else -1

    def recommendation(self, value: bytes | None, written_ms: int) -> str | None:
        """A record of the recommendations topic; returns what is wrong with it, None if nothing is."""
        if value is None:  # a deletion
            return None
        try:
            made = _lists.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.counts["bad_records"] += 1
            return str(error)
        warm = self.warm
        if warm is not None and written_ms >= warm.since_ms and made.state.topic_id == self.topic_id:
            new = [place.item for place in made.items[:JUDGED_ITEMS] if warm.new(place.item)]
            self._newcomers.listed(new, made.epoch, written_ms)
        return None

    def missed(self, partition: int, num: int, knows: int) -> None:
        """``num`` judgements were gone before they were read; the next one knows the event at ``knows``.

        Events up to there that are not read yet have lost their lists to the topic's retention, not to the
        scorer: they judge nothing.
        """
        self.counts["missed"] += num
        progress = self.progress[partition]
        progress.begins_after = max(progress.begins_after, knows)
        lost = {offset: user for offset, user in progress.waiting.items() if offset <= knows}
        if progress.newest < 0:  # nothing was judged here so far: what waits has no list that ever was
            self._lost |= lost.keys()
        for offset, user in lost.items():
            self._judge.passed(user, offset)
        self._lost.clear()

    def _verdict(self, verdict: Verdict) -> None:
        event, made = verdict.event, verdict.judgement
        self.progress[event.partition].waiting.pop(event.offset, None)
        self.upto[event.partition] = max(event.offset, self.upto.get(event.partition, -1))
        if made is None:
            self.counts["without_list"] += event.offset not in self._lost
            return
        self.counts["judged"] += 1
        self.counts["late"] += verdict.late
        self._overlap.judged(event, made)
        shown = {name: self._exposure.codes(line.items[:TOP]) for name, line in made.lines.items()}
        kinds = groups_of(event, self.warm, filter_seen=self._filter_seen)
        self._standings.count(verdict, kinds, shown)
        for name in shown.keys() & self._standings.lines.keys():
            self._exposure.show(name, shown[name])

    def draw_bands(self) -> None:
        """Make the intervals of the next reports anew: a bootstrap for each line, which takes a while."""
        self._bands = {"all": self._standings.bands(), "window": self._standings.window_bands()}

    def report(self) -> dict[str, Any]:
        """All figures so far; intervals are those of the last `draw_bands`."""
        counts, standings = self.counts, self._standings
        total = counts["judged"] + counts["without_list"]
        return {
            "lines": joined(standings.figures(), self._bands["all"], self._exposure.all_time()),
            "window": joined(
                standings.window_figures(),
                self._bands["window"],
                self._exposure.over(standings.window_shown()),
            ),
            "groups": standings.groups(),
            "judged": {
                "events": counts["judged"],
                "without_list": counts["without_list"],
                "share_without_list": round(counts["without_list"] / total, 5) if total else 0.0,
                "late": counts["late"],
                "share_in_time": round((counts["judged"] - counts["late"]) / total, 5) if total else None,
                "waiting": self.waiting,
            },
            "overlap": self._overlap.report(),
            "new_items": self._newcomers.figures(),
            "warm_start": self.warm.version if self.warm else None,
            "records": {name: counts[name] for name in ("bad_records", "foreign", "missed")},
            "lines_left_out": standings.lines_left_out,
            "judged_through": {str(number): offset for number, offset in self.judged_through().items()},
            "upto": {str(number): offset for number, offset in sorted(self.upto.items())},
        }

    def state(self) -> dict[str, Any]:
        """Everything, for a snapshot."""
        warm = self.warm
        return {
            "topic_id": self.topic_id,
            "counts": self.counts,
            "upto": list(self.upto.items()),
            "progress": [[number, progress.state()] for number, progress in self.progress.items()],
            "warm": None if warm is None else [warm.version, list(warm.items), warm.since_ms],
            "since": list(self._since_ms.items()),
            "following": self._following.state(),
            "judge": self._judge.state(),
            "standings": self._standings.state(),
            "exposure": self._exposure.state(),
            "newcomers": self._newcomers.state(),
            "overlap": self._overlap.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, on an evaluator that was just made. Raises StateDamaged."""
        self.counts |= state["counts"]
        self.upto = dict(state["upto"])
        self.progress |= {number: Progress.restored(found) for number, found in state["progress"]}
        if state["warm"] is not None:
            version, items, since_ms = state["warm"]
            self.warm = WarmStart(version, frozenset(items), since_ms)
        self._since_ms = dict(state["since"])
        self._following.restore(state["following"])
        self._judge.restore(state["judge"])
        self._standings.restore(state["standings"])
        self._exposure.restore(state["exposure"])
        self._newcomers.restore(state["newcomers"])
        self._overlap.restore(state["overlap"])
