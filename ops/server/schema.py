"""What the API takes and gives: one definition for the bytes on the wire and for the OpenAPI page.

Knows: names, types and meaning of every field. Does not know: routes, where values come from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from ops.server.pulse import Tick
from ops.server.why import Why
from ops.status import Status
from stream.events import MAX_ID_BYTES
from stream.records import Quality, RecommendationList, StateRef, ThemeWeight

#: Most items that one answer holds, and most candidates that one question brings.
MAX_N = 1000
MAX_CANDIDATES = 5000

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES)]
#: As many as bound the length of an address that is still read.
Ids = Annotated[list[str], Meta(max_length=MAX_N)]


class Shown(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place of an answer."""

    item: str
    score: float | None  # null: nothing is known to score it by; such candidates come last
    title: str | None = None
    why: Why | None = None


class LeftOut(Struct, frozen=True, kw_only=True):
    """A candidate that a rule kept out on the way to the last place."""

    item: str
    rule: Literal["hide", "exclude", "seen", "rejected", "category", "cap"]


class Answer(Struct, frozen=True, kw_only=True):
    """A list for a user, and what it was made from and by."""

    user: str
    id: str | None = field(name="list")  # of the list on the topic; null: none was used
    items: list[Shown]
    model: str | None  # version
    epoch: int
    state: StateRef | None  # the newest event the list knows; null for popular items of nobody's list
    themes: list[ThemeWeight]
    degraded: Literal["no model yet", "memory", "popular", "as stored", "behind", "broker away"] | None
    reason: str | None  # why, where it is degraded
    made_ms: int  # when the list was made, Unix ms; 0: no list
    left_out: list[LeftOut] = field(default_factory=list)


class RecommendAsked(Struct, frozen=True, kw_only=True):
    """What the query of GET /recommend may say."""

    n: Annotated[int, Meta(ge=1, le=MAX_N, description="Items at most.")] = 10
    exclude: Ids = []
    include: Ids | None = None
    category: str | None = None
    min_offset: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None
    explain: bool = False


class RankAsked(Struct, frozen=True, kw_only=True):
    """Candidates to be ordered for a user."""

    user: Id
    items: Annotated[list[Id], Meta(max_length=MAX_CANDIDATES)]
    n: Annotated[int, Meta(ge=1, le=MAX_CANDIDATES)] | None = None  # null: all of them
    exclude: Annotated[list[Id], Meta(max_length=MAX_CANDIDATES)] = field(default_factory=list)
    category: str | None = None
    explain: bool = False


class Similar(Struct, frozen=True, kw_only=True):
    """Items nearest to one, by the cosine of their rows."""

    item: str
    model: str | None
    items: list[Shown]
    degraded: str | None  # why there are none


class Named(Struct, frozen=True, kw_only=True):
    """An item with its title."""

    item: str
    title: str | None


class Theme(Struct, frozen=True, kw_only=True):
    """A theme by number and name."""

    id: int
    label: str


class Touched(Struct, frozen=True, kw_only=True):
    """One event of a session."""

    item: str
    title: str | None
    ts: int  # Unix ms
    type: str


class Session(Struct, frozen=True, kw_only=True):
    """A user's events without a long gap."""

    number: int
    open: bool
    theme: Theme | None  # a closed session's is frozen with the version that chose it
    routed_by: str | None
    events: list[Touched]


class UserTold(Struct, frozen=True, kw_only=True):
    """What is remembered of a user."""

    user: str
    events: int  # applied
    counts: dict[str, int]  # events by what became of them
    sessions: list[Session]  # oldest first
    themes: list[ThemeWeight]  # of the open session, now
    rejected: list[str]
    newest: RecommendationList | None  # the list as it lies on the topic


class ItemTold(Struct, frozen=True, kw_only=True):
    """What is known of an item."""

    item: str
    title: str | None
    categories: list[str]
    text: str | None
    model: str | None  # the version that was asked
    known: bool  # whether it has a row there
    events: int  # it was trained with
    theme: Theme | None


class Items(Struct, frozen=True, kw_only=True):
    """Items whose titles hold the words, best known first."""

    items: list[ItemTold]


class ThemeTold(Struct, frozen=True, kw_only=True):
    """A theme of the version that serves."""

    id: int
    label: str
    num_items: int
    share_of_items: float
    share_of_events: float
    drift: float | None  # 1 - cosine of its centre in the version before and now; null: nothing to compare
    typical: list[Named]
    best_known: list[Named]


class Themes(Struct, frozen=True, kw_only=True):
    """All themes of the version that serves."""

    model: str | None
    before: str | None  # the version that drift is measured from
    themes: list[ThemeTold]


class Published(Struct, frozen=True, kw_only=True):
    """One version of the registry, by its manifest."""

    version: str
    serves: bool
    withdrawn: bool
    published_ms: int  # when its files were complete, Unix ms; 0: unknown
    parent: str | None
    events: int
    metrics: dict[str, Any]
    gate: dict[str, Any] | None


class Models(Struct, frozen=True, kw_only=True):
    """The registry."""

    current: str | None
    epoch: int
    versions: list[Published]  # oldest first


class RollbackAsked(Struct, frozen=True, kw_only=True):
    """Which version is to serve again."""

    to: Annotated[str, Meta(pattern=r"^\d{6,18}$")] | None = None  # null: the newest good one before


class RolledBack(Struct, frozen=True, kw_only=True):
    """What the registry says now."""

    current: str
    epoch: int
    withdrawn: list[str]


class Stored(Struct, frozen=True, kw_only=True):
    """Where an accepted event lies; ask for lists with `min_offset` = its offset to read your own click."""

    index: int  # place in the request
    partition: int
    offset: int


class Refused(Struct, frozen=True, kw_only=True):
    """An event that was not stored."""

    index: int
    reason: str  # one of the reasons of dead letters
    detail: str


class Events(Struct, frozen=True, kw_only=True):
    """Every event of the request on one of two lists; the accepted ones are with the broker."""

    accepted: list[Stored]
    rejected: list[Refused]


class Forgotten(Struct, frozen=True, kw_only=True):
    """The erasure lies on the events topic; state and lists follow within moments."""

    user: str
    partition: int
    offset: int


class Now(Struct, frozen=True, kw_only=True):
    """What is remembered of the last minutes, for charts; `GET /stream` tells what follows."""

    at_ms: int
    bounds_ms: list[float]  # upper bounds of the classes of `latency`
    ticks: list[Tick]  # oldest first, one per second
    quality: list[Quality]  # as they came
    run: Status | None  # what a demo says of itself; null: nobody does


class Live(Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["live"] = "live"


class Ready(Struct, frozen=True, kw_only=True):
    """Whether questions can be answered from a complete view, and what is missing."""

    ready: bool
    reasons: list[str]
    lists: int
    states: int
    items: int
    model: str | None


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    rejected: list[Refused] = []


#: Everything that stands under components/schemas.
ALL: tuple[type[Struct], ...] = (
    Answer,
    RankAsked,
    Similar,
    UserTold,
    ItemTold,
    Items,
    Themes,
    Models,
    RollbackAsked,
    RolledBack,
    Events,
    Forgotten,
    Now,
    Live,
    Ready,
    Problem,
)

encode = msgspec.json.Encoder().encode
