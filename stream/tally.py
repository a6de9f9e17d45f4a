"""What the scorer did since its last report, and one line of the log about it.

Knows: what is counted and how it reads. Does not know: who counts, Kafka.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """What was done since the last report."""

    requests: int = 0
    lists: int = 0
    judgements: int = 0
    malformed: int = 0
    held_back: int = 0  # lists that would have gone back
    batches: int = 0
    positions: int = 0
    tokens: int = 0
    turns: int = 0
    confirm_ms: float = 0.0  # until the broker held records and offsets, sum over turns
    queue_ms: float = 0.0  # sum over lists
    memory_ms: float = 0.0  # learning and asking the memory, sum over requests
    mix_ms: float = 0.0  # adding up and writing lists, sum over requests
    encode_ms: float = 0.0  # sum over batches
    rank_ms: float = 0.0  # sum over batches

    def ranked(self, encode_ms: float, rank_ms: float, positions: int, tokens: int) -> None:
        """One batch by the model; ``positions`` were computed, ``tokens`` would be without a cache."""
        self.batches += 1
        self.encode_ms += encode_ms
        self.rank_ms += rank_ms
        self.positions += positions
        self.tokens += tokens


def told(tally: Tally, passed_s: float, lost_requests: int, leading: str) -> str:
    """One line of the log for ``passed_s`` seconds; ``lost_requests`` since the start; ``leading``: the
    weights that serve."""
    lists, num_batches, turns = max(1, tally.lists), max(1, tally.batches), max(1, tally.turns)
    hits = 1 - tally.positions / tally.tokens if tally.tokens else 0.0
    return (
        f"{tally.requests / passed_s:.0f} requests/s, {tally.lists} lists, "
        f"{tally.positions / lists:.1f} positions a list, {hits:.1%} from the cache, "
        f"queue {tally.queue_ms / lists:.1f} ms, encode {tally.encode_ms / num_batches:.1f} ms and "
        f"rank {tally.rank_ms / num_batches:.1f} ms a batch of {lists / num_batches:.1f}, "
        f"memory {tally.memory_ms / max(1, tally.requests):.2f} ms and "
        f"sum {tally.mix_ms / max(1, tally.requests):.2f} ms a request, "
        f"confirm {tally.confirm_ms / turns:.1f} ms a turn of {tally.requests / turns:.1f}, "
        f"{tally.malformed} malformed, {tally.held_back} held back, {lost_requests} requests lost, {leading}"
    )
