"""Users who shop as a scorer meets them, a version in memory, and the answer that full encoding gives.

Knows: sequences, fingerprints, questions. Does not know: caches, what a test is about.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import last, unit, user_vector
from model.batch import padded
from model.cache import slot_bytes
from model.catalogue import Catalogue
from model.config import ModelConfig
from model.encoding import Asked, Decoded
from model.experts import margins
from model.mme import FuxiMME
from model.scorer import Scorer

ITEMS = 200

Events = list[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class FakeVersion:
    """A version in memory, and the model its weights came from."""

    name: str
    config: ModelConfig
    catalogue: Catalogue
    weights: dict[str, npt.NDArray[np.float32]]
    index: npt.NDArray[np.float32]
    model: FuxiMME
    mos: None = None


def extend(fingerprint: int, item: str, ts_ms: int) -> int:
    return hash((fingerprint, item, ts_ms))


def fingerprint_of(events: Iterable[tuple[str, int]]) -> int:
    fingerprint = 0
    for item, ts_ms in events:
        fingerprint = extend(fingerprint, item, ts_ms)
    return fingerprint


def scorer_of(version: FakeVersion, slots: int = 50, filter_seen: bool = True) -> Scorer:
    return Scorer(
        version,
        device="cpu",
        cache_bytes=slots * slot_bytes(version.model),
        threads=1,
        extend=extend,
        filter_seen=filter_seen,
    )


@dataclass
class Question:
    """Sequences by kind, from which a question and its decoding are made."""

    user: str
    sequences: dict[str, Events]
    newest: tuple[str, int] | None
    hidden: tuple[str, ...] = ()
    decoded: int = field(default=0, init=False)

    def asked(self) -> Asked:
        return Asked(
            user=self.user,
            kinds=tuple(self.sequences),
            lengths=tuple(len(events) for events in self.sequences.values()),
            fingerprints=tuple(fingerprint_of(events) for events in self.sequences.values()),
            item=self.newest[0] if self.newest else None,
            ts_ms=self.newest[1] if self.newest else 0,
            hidden=self.hidden,
            sequences=self.decode,
        )

    def decode(self) -> Decoded:
        self.decoded += 1
        return {
            kind: ([item for item, _ in events], [ts_ms for _, ts_ms in events])
            for kind, events in self.sequences.items()
        }


def plain(events: Events, user: str = "ann", hidden: tuple[str, ...] = ()) -> Question:
    """A user whose history and global sequence are the same events."""
    newest = events[-1] if events else None
    return Question(user, {"history": list(events), "global": list(events)}, newest, hidden)


def events_of(length: int, seed: int = 0) -> Events:
    rng = random.Random(seed)
    return [(f"item-{rng.randrange(ITEMS)}", 10**12 + 60_000 * number) for number in range(length)]


class Shopper:
    """A user whose sessions end, whose windows move at session ends, whose open session changes its theme."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = name
        self.rng = rng
        self.sessions: list[tuple[int, Events]] = []  # (theme, events), the last one open
        self.global_from = 0
        self.clock_ms = 10**12

    def act(self) -> None:
        rng = self.rng
        if not self.sessions or rng.random() < 0.15:
            self._close()
        elif rng.random() < 0.1:
            self.sessions[-1] = (rng.randrange(3), self.sessions[-1][1])
        self.clock_ms += rng.choice([-3000, 0, 5000, 10**5, 10**7])
        item = f"stranger-{rng.randrange(5)}" if rng.random() < 0.1 else f"item-{rng.randrange(ITEMS)}"
        self.sessions[-1][1].append((item, self.clock_ms))

    def _close(self) -> None:
        """Whole sessions leave the global window above 20 events, down to 12; the oldest are forgotten."""
        lengths = [len(events) for _, events in self.sessions[self.global_from :]]
        if sum(lengths) > 20:
            while sum(lengths) > 12:
                self.global_from += 1
                lengths.pop(0)
        if len(self.sessions) > 12:
            del self.sessions[0]
            self.global_from = max(0, self.global_from - 1)
        self.sessions.append((self.rng.randrange(3), []))

    def question(self) -> Question:
        def joined(sessions: list[tuple[int, Events]]) -> Events:
            return [event for _, events in sessions for event in events]

        theme = self.sessions[-1][0]
        sequences = {
            "history": joined(self.sessions),
            "global": joined(self.sessions[self.global_from :]),
            "local": joined(self.sessions[-2:]),
        }
        for other in (theme, (theme + 1) % 3):
            sequences[f"theme:{other}"] = joined([one for one in self.sessions if one[0] == other])
        hidden = (f"item-{self.rng.randrange(ITEMS)}", "nobody-knows-me") if self.rng.random() < 0.3 else ()
        return Question(self.name, sequences, self.sessions[-1][1][-1], hidden)


def reference(version: FakeVersion, question: Question) -> tuple[npt.NDArray[np.float32], float]:
    """(user vector by full encoding, smallest routing margin on the way)."""
    encoded_kinds = [events for kind, events in question.sequences.items() if kind != "history" and events]
    rows_of = version.catalogue.rows
    batch = padded(
        [(rows_of(item for item, _ in events), [ts for _, ts in events]) for events in encoded_kinds],
        version.config.max_events,
    )
    encoded = version.model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
    valid = torch.arange(batch.rows_BN.shape[1]) < batch.lengths_B[:, None]
    lead = margins(encoded.logits_LBNME).masked_fill(~valid[None, :, :, None], torch.inf)
    states = last(encoded.states_BNMd, batch.lengths_B)
    return user_vector(unit(states.sum(0, keepdim=True)))[0].numpy(), lead.min().item()
