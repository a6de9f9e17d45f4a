"""What a score is made of, as the API tells it.

Knows: names, types and meaning of these fields. Does not know: where values come from (reasons.py).
"""

from __future__ import annotations

from msgspec import Struct, field


class NearTold(Struct, frozen=True, kw_only=True):
    """An item of the user's history, and how close it stands to a place of the list in one facet."""

    item: str
    title: str | None
    cosine: float


class FacetTold(Struct, frozen=True, kw_only=True):
    """One facet's part of the model's score."""

    facet: int
    term: float  # what it adds; all of them add up to the model's part of the score
    nearest: NearTold | None  # null: the version knows nothing of the user's history


class Why(Struct, frozen=True, kw_only=True):
    """What a score is made of: (weight / temperature) cosine + (1 - weight) log(memory) + boost."""

    cosine: float | None  # of user and item, by the model
    memory: float | None  # what the fast memory says; null where lists are the model's alone
    weight: float | None  # of the model against the memory; null: the score is the cosine
    boost: float  # added by rules
    facets: list[FacetTold] = field(default_factory=list)  # heaviest first
