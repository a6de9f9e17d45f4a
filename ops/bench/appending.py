"""Made-up users whose sequences grow by pure appends, as a scorer is asked about them.

Knows: random items, rising times, fingerprints. Does not know: networks, caches, what is measured.
"""

from __future__ import annotations

import random

from model.encoding import HISTORY, Asked, Decoded
from stream.sessions import extend, fingerprint_of


class Users:
    """Users whose sequences get each new event at their ends."""

    def __init__(
        self,
        items: list[str],
        lengths: dict[str, int],
        rng: random.Random,
        *,
        num: int,
        routed_by: str,
        still: str | None = None,
    ) -> None:
        """``lengths``: events per kind to begin with; ``still``: a kind that no event is added to."""
        self._routed_by = routed_by
        self._items = items
        self._still = still
        self._rng = rng
        self._now_ms = 1_700_000_000_000
        self._names = [f"user-{number}" for number in range(num)]
        self.kinds = (HISTORY, *lengths)
        sizes = (lengths["global"], *lengths.values())
        self.sequences: list[list[list[tuple[str, int]]]] = [
            [[self._event() for _ in range(size)] for size in sizes] for _ in self._names
        ]
        self._fingerprints = [[fingerprint_of(events) for events in own] for own in self.sequences]

    def _event(self) -> tuple[str, int]:
        self._now_ms += self._rng.randrange(100, 60_000)
        return self._rng.choice(self._items), self._now_ms

    def grow(self) -> None:
        """One new event for everyone."""
        for own, fingerprints in zip(self.sequences, self._fingerprints, strict=True):
            item, ts_ms = self._event()
            for kind, events in enumerate(own):
                if self.kinds[kind] != self._still:
                    events.append((item, ts_ms))
                    fingerprints[kind] = extend(fingerprints[kind], item, ts_ms)

    def ask(self) -> list[Asked]:
        return [self._asked(number) for number in range(len(self._names))]

    def _asked(self, number: int) -> Asked:
        own = self.sequences[number]

        def decoded() -> Decoded:
            return {
                kind: ([item for item, _ in events], [ts_ms for _, ts_ms in events])
                for kind, events in zip(self.kinds, own, strict=True)
            }

        return Asked(
            user=self._names[number],
            kinds=self.kinds,
            lengths=tuple(len(events) for events in own),
            fingerprints=tuple(self._fingerprints[number]),
            item=own[0][-1][0],
            ts_ms=own[0][-1][1],
            hidden=(),
            sequences=decoded,
            themes=((0, 0.4), (1, 0.35)),
            routed_by=self._routed_by,
        )
