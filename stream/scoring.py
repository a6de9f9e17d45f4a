"""The scorer's turn on requests in memory: learn, choose, rank, add up, and say what goes out.

Knows: the order of those steps, what a request that cannot be read becomes, which lists would go back.
Does not know: Kafka, torch, which version a ranker holds.

A turn answers everything it was handed and keeps nothing for the next. Of each batch, in arrival order, every
event is learned and the memory asked at once, so that a list knows its own event and nothing later; then the
batch is encoded, where order does not matter; then, in arrival order again, events judge the lists that wait
for them and the weight of that moment adds up the next list. So several states of one user may share a batch,
and how turns are cut changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from model.blend import NO_LINE
from stream.asking import Asking, Place, Ranker, Ranking, Unreadable
from stream.batcher import batches
from stream.contending import Contenders, judgements
from stream.floors import Floor, goes_on
from stream.leading import Leading
from stream.learning import Learner
from stream.lists import JUDGED_ITEMS, Made, excluded, make_judgement, make_list
from stream.metrics.scorer import ScorerMetrics
from stream.mixing import Mixed, Mixer
from stream.outgoing import Outgoing, dead_letter
from stream.records import Header, Judgement, Took, encode_list
from stream.remembering import Remembered, Remembering
from stream.standing_in import StandIns
from stream.tally import Tally

log = logging.getLogger("hopstream.scorer")


@dataclass(slots=True)
class _Question:
    """A request that gets a list."""

    asking: Asking
    remembered: Remembered
    outside: Collection[str]  # must not be shown, looked at for items outside the catalogue
    popular: list[str] | None  # None: only the fallback needs it


class Desk:
    """Answers requests with the version that serves."""

    def __init__(
        self,
        learner: Learner,
        *,
        topic: str,
        top_n: int,
        max_batch: int,
        filter_seen: bool,
        clock_ms: Callable[[], float],
        leading: Leading | None = None,
        stand_ins: StandIns | None = None,
        contenders: Contenders | None = None,
        metrics: ScorerMetrics | None = None,
    ) -> None:
        """``topic``: where requests come from, for dead letters; ``clock_ms``: the wall clock; ``leading``,
        ``stand_ins``, ``metrics`` None: fresh ones; ``contenders`` None: no other version is judged."""
        self.learner = learner
        self.leading = Leading() if leading is None else leading
        self.contenders = contenders
        self._judged: list[tuple[Asking, Judgement]] = []  # of lists that were made since `judged`
        self._forgotten: list[str] = []  # users, since `judged`
        self.stand_ins = StandIns() if stand_ins is None else stand_ins
        self.metrics = ScorerMetrics() if metrics is None else metrics
        self.tally = Tally()
        self.floors: dict[str, Floor] = {}  # newest lists another scorer made before we took over
        self._mix(None, Remembering(learner.memory))
        self._topic = topic
        self._top_n = top_n
        self._max_batch = max_batch
        self._filter_seen = filter_seen
        self._clock_ms = clock_ms

    def adopt(self, ranker: Ranker) -> None:
        """Serve with this version from the next turn on. If this raises, what served goes on serving."""
        if self.learner.may_start:
            self.learner.start_from(ranker.seed(self.learner.memory.config))
            lines_of = None if self.ranker is None else self.ranker.lines
            self._mix(self.ranker, Remembering(self.learner.memory, lines_of))
        remembering = Remembering(self.learner.memory, ranker.lines)
        self.stand_ins.adopt(ranker)  # the last thing that may fail, and it does so before it changes
        before = self.ranker
        self._mix(ranker, remembering)
        self.metrics.experts.reset()
        self.metrics.versions.adopted(ranker.version, ranker.epoch, self._clock_ms() / 1000)
        if self.contenders is not None:
            self.contenders.adopt(ranker.version, before)

    def _mix(self, ranker: Ranker | None, remembering: Remembering) -> None:
        self.ranker, self._remembering, self._mixer = ranker, remembering, Mixer(ranker, remembering)

    def learn(self, header: Header) -> bool:
        """Learn from a request that somebody else answers or has answered; whether it was new."""
        new = self.learner.learn(header)
        if new and header.item is not None:
            self._remembering.learned(header.item)
        return new

    def answer(self, waiting: Sequence[Asking]) -> list[Outgoing]:
        """Everything to send for these requests: lists, then judgements."""
        return [*self.lists(waiting), *self.judged()]

    def judged(self) -> list[Outgoing]:
        """Judgements of the lists that were made since the last call, contenders' lines among them."""
        judged, self._judged = self._judged, []
        forgotten, self._forgotten, out = self._forgotten, [], judgements(judged, self.contenders)
        if self.contenders is not None:
            for user in forgotten:  # only now: states before the forget have just been in their caches
                self.contenders.forget(user)
        return out

    def lists(self, waiting: Sequence[Asking]) -> list[Outgoing]:
        """Lists and dead letters for these requests, given in arrival order, a user's lists in that order.

        A request whose sequences cannot be read becomes a dead letter and does not touch its batch.
        """
        self.tally.requests += len(waiting)
        self.metrics.requests.inc(len(waiting))
        out, start = list[Outgoing](), 0
        for batch in batches(waiting, self._max_batch):
            stop = batch[-1] + 1
            out += self._answer_part(waiting[start:stop], {position - start for position in batch})
            start = stop
        return out

    def refuse(self, raw: bytes, partition: int, offset: int, key: bytes | None, why: Unreadable) -> Outgoing:
        """The dead letter for a request that lies at this place."""
        log.warning("request %d/%d refused: %s", partition, offset, why)
        self.tally.malformed += 1
        self.metrics.dead_letters.inc()
        return dead_letter(raw, key, self._topic, partition, offset, str(why))

    def _refuse(self, asking: Asking, why: Unreadable) -> Outgoing:
        return self.refuse(asking.raw, asking.partition, asking.offset, asking.user.encode(), why)

    def _answer_part(self, part: Sequence[Asking], answered: Collection[int]) -> list[Outgoing]:
        """One batch and the requests between its own that get no list, in arrival order."""
        began_ms = self._clock_ms()
        out: list[Outgoing] = []
        judging: list[bool] = []
        questions: dict[int, _Question] = {}
        for position, asking in enumerate(part):
            judging.append(self.learn(asking.header))
            if position in answered:
                try:
                    questions[position] = self._question(asking)
                except Unreadable as error:
                    out.append(self._refuse(asking, error))
        forgotten = [asking.user for asking in part if asking.header.forgotten]
        self._forgotten += forgotten
        self._drop(forgotten)
        started_ms = self._clock_ms()
        places, ranking, refused = self._rank(list(questions.values()))
        self._drop(forgotten)  # again: states before the forget may have been ranked beside it
        out += [self._refuse(asking, error) for asking, error in refused]
        mixing_ms = self._clock_ms()
        unreadable = {id(asking) for asking, _ in refused}
        for position, asking in enumerate(part):
            if judging[position] and asking.header.item is not None:
                self.leading.judge(asking.user, asking.header.item)
                self.stand_ins.clicked(asking.user, asking.header.item)
            if asking.header.forgotten:
                self.leading.forget(asking.user)
                self.stand_ins.forget(asking.user)
            question = questions.get(position)
            if question is None or id(asking) in unreadable:
                continue
            made = self._made(asking, ranking, started_ms)
            try:
                out += self._records(question, places.get(id(asking)), made)
            except Unreadable as error:
                out.append(self._refuse(asking, error))
        mix_ms = self._clock_ms() - mixing_ms
        self.tally.memory_ms += started_ms - began_ms
        self.tally.mix_ms += mix_ms
        for stage, took_ms in (("memory", started_ms - began_ms), ("mix", mix_ms)):
            self.metrics.stages[stage].observe(max(0.0, took_ms) / 1000)
        return out

    def _drop(self, users: Sequence[str]) -> None:
        """The caches of the version that serves hold nothing of these users."""
        if self.ranker is not None:
            for user in users:
                self.ranker.forget(user)

    def _question(self, asking: Asking) -> _Question:
        """What this moment's memory and popularity say to it. Raises Unreadable."""
        remembered = self._remembering.ask(asking.header)
        popular = self._popular(asking) if asking.sampled or self.ranker is None else None
        outside: Collection[str] = ()
        if self.ranker is None or (remembered.lines_R == NO_LINE).any():
            outside = excluded(asking.header, asking.history, self._filter_seen)
        return _Question(asking, remembered, outside, popular)

    def _made(self, asking: Asking, ranking: Ranking, started_ms: float) -> Made:
        ranker = self.ranker
        queue_ms = max(0.0, started_ms - asking.sent_ms)
        self.tally.queue_ms += queue_ms
        self.metrics.queue.observe(queue_ms / 1000)
        return Made(
            model=ranker.version if ranker else None,
            epoch=ranker.epoch if ranker else 0,
            labels=ranker.labels if ranker else (),
            made_ms=round(self._clock_ms()),
            took=Took(
                queue=round(queue_ms, 2), encode=round(ranking.encode_ms, 2), rank=round(ranking.rank_ms, 2)
            ),
            top_n=self._top_n,
        )

    def _popular(self, asking: Asking) -> list[str]:
        outside = excluded(asking.header, asking.history, self._filter_seen)
        return self.learner.counts.top(max(self._top_n, JUDGED_ITEMS), outside)

    def _rank(
        self, questions: Sequence[_Question]
    ) -> tuple[dict[int, Place], Ranking, list[tuple[Asking, Unreadable]]]:
        """(places by identity of the request, the ranking, what could not be read)."""
        refused: list[tuple[Asking, Unreadable]] = []
        empty = Ranking(places=[], encode_ms=0.0, rank_ms=0.0, positions=0, tokens=0)
        asked = [one for one in questions if one.asking.header.lengths[0] and not one.asking.header.forgotten]
        if self.ranker is None or not asked:
            return {}, empty, refused
        try:
            ranking = self._ranked(self.ranker, asked)
        except Unreadable:  # rare: find who it was, then rank the others
            readable = []
            for one in asked:
                self.ranker.forget(one.asking.user)  # its cache may have been left half written
                try:
                    one.asking.sequences()
                    readable.append(one)
                except Unreadable as error:
                    refused.append((one.asking, error))
            if not readable:
                return {}, empty, refused
            asked = readable
            ranking = self._ranked(self.ranker, asked)
        took = ranking.encode_ms, ranking.rank_ms
        self.tally.ranked(*took, ranking.positions, ranking.tokens)
        self.metrics.encoded(len(asked), *took, ranking.positions, ranking.tokens)
        self.metrics.experts.listed([place.experts for place in ranking.places])
        places = {id(one.asking): place for one, place in zip(asked, ranking.places, strict=True)}
        return places, ranking, refused

    def _ranked(self, ranker: Ranker, asked: Sequence[_Question]) -> Ranking:
        others = [one.remembered.lines_R for one in asked]
        return ranker.rank([one.asking for one in asked], max(self._top_n, JUDGED_ITEMS), others)

    def _records(self, question: _Question, place: Place | None, made: Made) -> list[Outgoing]:
        asking, popular = question.asking, question.popular
        header = asking.header
        key = asking.user.encode()
        mixed = self._mixed(question, place)
        if popular is None:  # only the fallback needs it: not judged, so its order does not matter
            popular = self._popular(asking) if place is None or not place.known else []
        out = []
        if goes_on(self.floors, header, made.epoch):
            self.tally.lists += 1
            made_list = make_list(header, place, mixed, popular, made)
            age_ms = None if asking.again else made.made_ms - header.produced_ms
            self.metrics.went_out(made_list.degraded, None if age_ms is None else age_ms / 1000)
            value = encode_list(made_list)
            out.append(Outgoing(topic="recommendations", partition=asking.partition, key=key, value=value))
        else:
            self.tally.held_back += 1
            self.metrics.held_back.inc()
        if header.sampled and not header.forgotten:
            self.tally.judgements += 1
            self.metrics.judgements.inc()
            self._judged.append((asking, make_judgement(header, place, mixed, popular, made)))
        return out

    def _mixed(self, question: _Question, place: Place | None) -> Mixed | None:
        """Model and memory added up under the weight that leads now, which this list will judge too."""
        header = question.asking.header
        if header.forgotten:
            return None
        num_items = max(self._top_n, JUDGED_ITEMS)
        rows = None if place is None else self.stand_ins.rows(place, self.learner.memory)
        outside = question.outside
        if rows is not None and not outside:
            outside = excluded(header, question.asking.history, self._filter_seen)
        blended = self._mixer.blend(place, question.remembered, outside, rows)
        if place is not None:
            self.stand_ins.seen(header.user, place)
        if place is None or not place.known:
            return self._mixer.mixed(blended, num_items, 0)
        num_events = header.lengths[0]
        self.leading.shown(header.user, num_events, *self._mixer.lists(blended))
        return self._mixer.mixed(blended, num_items, self.leading.serving(num_events))
