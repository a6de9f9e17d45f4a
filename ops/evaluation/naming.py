"""Models as typed: `sasrec,fuxi-mme:streams=2,experts=1` → recipes with some fields changed.

Knows: the syntax, which fields there are and of which type. Does not know: what a field does, data, training.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from model.config import ModelConfig, TrainConfig
from model.families import RECIPES, Recipe
from ops.errors import OpsError
from ops.exit_codes import USAGE


class ModelNameInvalid(OpsError):
    """--models cannot be read:"""

    exit_code = USAGE


@dataclass(frozen=True, slots=True)
class Named:
    """A recipe and what is changed of it."""

    name: str  # of the recipe
    changes: Mapping[str, Any] = field(default_factory=dict)  # field -> value, of model, training or MEMBERS

    def __str__(self) -> str:
        changed = ",".join(f"{key}={_shown(value)}" for key, value in self.changes.items())
        return f"{self.name}:{changed}" if changed else self.name

    @property
    def members(self) -> int:
        """Networks that are trained apart and answer together."""
        return int(self.changes.get(MEMBERS, 1))

    def seeds(self, seed: int) -> list[int]:
        """The seed of each member in a run with this seed: the first has the run's own."""
        return [seed + MEMBER_SEEDS * number for number in range(self.members)]

    def recipe(self, defaults: Mapping[str, Any] | None = None) -> Recipe:
        """The recipe with ``defaults``, then its own changes put in.

        Raises ModelNameInvalid when the values do not go together.
        """
        changes = {**(defaults or {}), **self.changes}
        found = RECIPES[self.name]
        try:
            return Recipe(
                replace(found.model, **{key: value for key, value in changes.items() if key in MODEL}),
                replace(found.train, **{key: value for key, value in changes.items() if key in TRAIN}),
            )
        except ValueError as error:
            raise ModelNameInvalid(f"{self}: {error}") from None


def changed(recipe: Recipe) -> dict[str, Any]:
    """Fields of a recipe that are not at their default, as JSON has them; without seed and threads."""
    found = {
        one.name: getattr(part, one.name)
        for part in recipe
        for one in fields(part)
        if one.name not in ("seed", "threads") and getattr(part, one.name) != one.default
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


#: Fields by name, with a value that shows their type. The family is what the name says.
MODEL = {one.name: one.default for one in fields(ModelConfig) if one.name != "family"}
TRAIN = {one.name: one.default for one in fields(TrainConfig) if one.name not in ("seed", "themes")}
#: No field of a recipe: so many networks are trained apart, and the mean of their scores ranks. Our
#: construction, to be set beside several embeddings inside one network (arXiv 2310.04400).
MEMBERS = "members"
#: Member k of a run with seed s has seed s + k times this: distinct, and no seed of another run of the table.
MEMBER_SEEDS = 1000


def parse(text: str) -> list[Named]:
    """Names parted by commas; `name:field=value,field=value` changes fields of the recipe before it.

    A tuple is written with `+` between its parts, an empty one as `none`. Raises ModelNameInvalid with what
    would have been right.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for part in text.split(","):
        head, colon, rest = part.strip().partition(":")
        if not colon and "=" in head:
            if not found:
                raise ModelNameInvalid(f"{part!r} stands before any model; write name:{part.strip()}")
            _change(found[-1], head)
            continue
        if head not in RECIPES:
            raise ModelNameInvalid(f"no model is called {head!r}; {_near(head, RECIPES)}")
        found.append((head, {}))
        if colon:
            _change(found[-1], rest)
    models = [Named(name, changes) for name, changes in found]
    twice = {str(one) for one in models if models.count(one) > 1}
    if twice:
        raise ModelNameInvalid(f"named twice: {', '.join(sorted(twice))}")
    for one in models:
        if one.members < 1:
            raise ModelNameInvalid(f"{one}: members must be at least 1.")
        one.recipe()
    return models


def refuse_members(models: Sequence[Named], protocol: str) -> None:
    """Raises ModelNameInvalid for an ensemble where a protocol follows one network's states."""
    for one in models:
        if MEMBERS in one.changes:
            raise ModelNameInvalid(
                f"{one}: members answer together with --protocol loo or time, not with {protocol}."
            )


def _change(model: tuple[str, dict[str, Any]], text: str) -> None:
    name, changes = model
    key, equals, value = text.partition("=")
    if not equals:
        raise ModelNameInvalid(f"{name}: {text!r} is no field=value")
    known = {**MODEL, **TRAIN, MEMBERS: 1}
    if key not in known:
        raise ModelNameInvalid(f"{name} has no field {key!r}; {_near(key, known)}")
    try:
        changes[key] = _value(value, known[key])
    except ValueError:
        like = known[key]
        raise ModelNameInvalid(
            f"{name}: {key} is a {type(like).__name__} like {_shown(like)}, not {value!r}"
        ) from None


def _value(text: str, like: Any) -> Any:
    """The value that a text means where ``like`` could stand. Raises ValueError."""
    if isinstance(like, bool):
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if isinstance(like, tuple):
        return () if text == "none" else tuple(text.split("+"))
    if like is None:  # the one optional field is a number of seconds
        return float(text)
    return type(like)(text)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
