"""What may not be shown, what is pushed, and how much of one category a list may hold.

Knows: the rules of the settings and of one question, and what became of each candidate under them.
Does not know: how candidates got their scores, HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stream.errors import SettingsInvalid

#: Why a candidate is not in an answer; a bounded metric label.
RULES = ("hide", "exclude", "seen", "rejected", "category", "cap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What configuration says."""

    hidden_items: frozenset[str] = frozenset()
    hidden_categories: frozenset[str] = frozenset()
    item_boosts: Mapping[str, float] = field(default_factory=dict)
    category_boosts: Mapping[str, float] = field(default_factory=dict)
    cap_per_category: int = 0  # 0: no cap

    @classmethod
    def parsed(cls, hide: Sequence[str], boost: Sequence[str], cap_per_category: int) -> Rules:
        """From "item:ID", "category:NAME" and the same with "=NUMBER". Raises SettingsInvalid."""
        hidden: dict[str, set[str]] = {"item": set(), "category": set()}
        for text in hide:
            kind, name = _named(text, "rules.hide")
            hidden[kind].add(name)
        boosts: dict[str, dict[str, float]] = {"item": {}, "category": {}}
        for text in boost:
            target, _, number = text.rpartition("=")
            kind, name = _named(target, "rules.boost")
            try:
                boosts[kind][name] = float(number)
            except ValueError:
                raise SettingsInvalid(f"rules.boost: {text!r} does not end in =NUMBER.") from None
        return cls(
            hidden_items=frozenset(hidden["item"]),
            hidden_categories=frozenset(hidden["category"]),
            item_boosts=boosts["item"],
            category_boosts=boosts["category"],
            cap_per_category=cap_per_category,
        )

    @property
    def boosts(self) -> bool:
        """Whether any score is changed."""
        return bool(self.item_boosts or self.category_boosts)

    def boost_of(self, item: str, categories: Iterable[str]) -> float:
        """What is added to the item's score."""
        if not self.boosts:
            return 0.0
        return self.item_boosts.get(item, 0.0) + sum(
            self.category_boosts.get(name, 0.0) for name in categories
        )


def _named(text: str, key: str) -> tuple[str, str]:
    kind, _, name = text.partition(":")
    if kind not in ("item", "category") or not name:
        raise SettingsInvalid(f"{key}: {text!r} is neither item:ID nor category:NAME.")
    return kind, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one question adds to the rules."""

    n: int
    exclude: Collection[str] = frozenset()
    category: str | None = None
    num_in_category: int | None = None  # items that are of it; None: nobody counted
    seen: Collection[str] = frozenset()  # the user's own items, where they are left out
    rejected: Collection[str] = frozenset()  # items the user said no to lately


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item with its score; None where nothing is known to score it by."""

    item: str
    score: float | None
    boost: float = 0.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is shown, and what was left out by which rule on the way."""

    shown: list[Candidate]
    left_out: list[tuple[str, str]]  # (item, rule)

    @property
    def hits(self) -> Counter[str]:
        return Counter(rule for _, rule in self.left_out)


def choose(
    candidates: Iterable[Candidate],
    categories_of: Callable[[str], Sequence[str]],
    rules: Rules,
    asked: Asked,
) -> Chosen:
    """The first ``asked.n`` candidates that no rule keeps out; they come best first."""
    shown: list[Candidate] = []
    left_out: list[tuple[str, str]] = []
    in_category: Counter[str] = Counter()
    if asked.n < 1:
        return Chosen(shown, left_out)
    left = asked.num_in_category
    for candidate in candidates:
        if left == 0:
            break  # all of the category are through; else one that nobody has costs the whole catalogue
        categories = categories_of(candidate.item)
        if left is not None and asked.category in categories:
            left -= 1
        rule = _barred(candidate.item, categories, rules, asked)
        cap = rules.cap_per_category
        if rule is None and cap and any(in_category[name] >= cap for name in categories):
            rule = "cap"
        if rule is not None:
            left_out.append((candidate.item, rule))
            continue
        in_category.update(categories)
        shown.append(candidate)
        if len(shown) == asked.n:
            break
    return Chosen(shown, left_out)


def _barred(item: str, categories: Sequence[str], rules: Rules, asked: Asked) -> str | None:
    if item in rules.hidden_items or not rules.hidden_categories.isdisjoint(categories):
        return "hide"
    if item in asked.exclude:
        return "exclude"
    if asked.category is not None and asked.category not in categories:
        return "category"
    if item in asked.rejected:
        return "rejected"
    if item in asked.seen:
        return "seen"
    return None
