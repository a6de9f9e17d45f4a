"""Other versions judged beside the one that serves: the twin for ever, the previous one for a while.

Knows: which versions contend, when they are loaded and given up, their lines of a judgement.
Does not know: Kafka, torch, what is served, who judges.

Contenders rank alone, without memory and rows, after the lists of a turn are on their way. The twin is the
first version; while it serves itself its line is the model's. A contender that cannot be loaded has no line,
one that fails while it ranks has none for the rest of that turn; either is said once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Final

from model.lineage import TWIN
from stream.asking import Asking, Ranker, Unreadable
from stream.lists import JUDGED_ITEMS
from stream.outgoing import Outgoing
from stream.records import Judgement, Line, encode_judgement

log = logging.getLogger("hopstream.scorer")

#: Judged states for which a version contends after it was replaced: the last look of a watch is at 4,000.
PREVIOUS_STATES: Final = 5000


class Contenders:
    """At most two versions beside the one that serves."""

    def __init__(self, load: Callable[[str], Ranker], executor: Executor, max_batch: int) -> None:
        """``load``: a version by name, digests checked, with a cache of its own."""
        self._load = load
        self._executor = executor
        self._max_batch = max_batch
        self.refused = 0  # versions that could not be loaded
        self._serving: str | None = None
        self._previous: str | None = None
        self._left = 0  # states for which the previous version still contends
        self._rankers: dict[str, Ranker] = {}
        self._coming: dict[str, Future[Ranker]] = {}
        self._missing: set[str] = set()
        self._failed: set[str] = set()  # while ranking, at least once

    def adopt(self, version: str, before: Ranker | None = None) -> None:
        """This version serves from now on; ``before``: what served until now, judged on as it stands, with
        everybody still in its cache."""
        if self._serving is not None and self._serving != version:
            self._previous, self._left = self._serving, PREVIOUS_STATES
            if before is not None and before.version == self._serving:
                self._rankers[before.version] = before
        self._serving = version

    def poll(self) -> None:
        """Between turns: start to load what is needed, take what is there, give up what is not."""
        needed = set(self._wanted().values()) - {self._serving} - self._missing
        self._rankers = {name: one for name, one in self._rankers.items() if name in needed}
        for name in needed - self._rankers.keys() - self._coming.keys():
            self._coming[name] = self._executor.submit(self._load, name)
        for name in [name for name, coming in self._coming.items() if coming.done()]:
            try:
                self._rankers[name] = self._coming.pop(name).result()
            except Exception as error:  # noqa: BLE001  whatever a version's files make the code do, lists go on
                self.refused += 1
                self._missing.add(name)
                kind = type(error).__name__
                log.warning("version %s has no line in judgements: %s: %s", name, kind, error)

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        for ranker in self._rankers.values():
            ranker.forget(user)

    def lines(self, asking: Sequence[Asking], judged: Sequence[Mapping[str, Line]]) -> list[dict[str, Line]]:
        """Per request what the contenders would show; ``judged``: the lines made so far, those of a request
        without one of the model get none."""
        found: list[dict[str, Line]] = [{} for _ in asking]
        asked = [place for place, lines in enumerate(judged) if "model" in lines]
        failed: set[str] = set()
        for start in range(0, len(asked), self._max_batch):
            part = asked[start : start + self._max_batch]
            by_version: dict[str, dict[int, Line]] = {}
            for line, version in self._wanted().items():
                if version == self._serving:
                    made = {place: judged[place]["model"] for place in part}
                elif version in by_version:  # the twin may be the one before, too
                    made = by_version[version]
                elif version in self._rankers and version not in failed:
                    try:
                        made = _ranked(self._rankers[version], {place: asking[place] for place in part})
                        by_version[version] = made
                    except Exception as error:  # noqa: BLE001  no contender may cost a judgement
                        failed.add(version)
                        self._fails(version, error)
                        continue
                else:
                    continue
                for place, told in made.items():
                    found[place][line] = told
            self._left -= len(part)
        for version in failed:
            for place in asked:
                self._rankers[version].forget(asking[place].user)  # caches may have been left half written
        return found

    def _fails(self, version: str, error: Exception) -> None:
        if version not in self._failed:
            self._failed.add(version)
            kind = type(error).__name__
            log.warning(
                "version %s has no further line in judgements of this turn: %s: %s", version, kind, error
            )

    def _wanted(self) -> dict[str, str]:
        """Line → version."""
        wanted = {} if self._serving is None else {"twin": TWIN}
        if self._previous not in {None, self._serving} and self._left > 0:
            wanted["previous"] = str(self._previous)
        return wanted


def judgements(judged: Sequence[tuple[Asking, Judgement]], contenders: Contenders | None) -> list[Outgoing]:
    """Records of these judgements, with the contenders' lines added to them."""
    if contenders is not None:
        more = contenders.lines([one for one, _ in judged], [made.lines for _, made in judged])
        for (_, made), lines in zip(judged, more, strict=True):
            made.lines.update(lines)
    return [
        Outgoing(
            topic="judgements", partition=one.partition, key=one.user.encode(), value=encode_judgement(made)
        )
        for one, made in judged
    ]


def _ranked(ranker: Ranker, asking: Mapping[int, Asking]) -> dict[int, Line]:
    """Lines by place; a request that only this version has to decode, and cannot, has none."""
    try:
        places = ranker.rank(list(asking.values()), JUDGED_ITEMS).places
    except Unreadable:
        for one in asking.values():
            ranker.forget(one.user)  # its cache may have been left half written
        readable = {place: one for place, one in asking.items() if one.readable()}
        return _ranked(ranker, readable) if 0 < len(readable) < len(asking) else {}
    return {
        at: Line(version=ranker.version, items=list(place.items[:JUDGED_ITEMS]))
        for at, place in zip(asking, places, strict=True)
    }
