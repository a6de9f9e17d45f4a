"""Models as typed, and what is said when they cannot be read."""

import pytest

from model.families import RECIPES
from ops import exit_codes
from ops.evaluation.naming import ModelNameInvalid, changed, parse, refuse_members


def test_fields_belong_to_the_model_before_them() -> None:
    """Commas part both models and fields; a field never begins a model."""
    found = parse("sasrec,fuxi-mme:streams=2,experts=1,lr=0.001,fuxi")

    assert [one.name for one in found] == ["sasrec", "fuxi-mme", "fuxi"]
    assert [dict(one.changes) for one in found] == [{}, {"streams": 2, "experts": 1, "lr": 0.001}, {}]
    assert [str(one) for one in found] == ["sasrec", "fuxi-mme:streams=2,experts=1,lr=0.001", "fuxi"]


def test_values_have_the_type_of_the_default() -> None:
    """Numbers, words, yes and no, a budget of seconds, and tuples of several, one or no part."""
    text = "fuxi-mme:experts_at=w_u+ffn,semantic=false,time_bias=power,budget_s=9,experts=4"
    recipe = parse(text)[0].recipe()

    assert recipe.model.experts_at == ("w_u", "ffn")
    assert (recipe.model.semantic, recipe.model.time_bias, recipe.train.budget_s) == (False, "power", 9.0)
    assert parse("fuxi-mme:experts_at=none")[0].recipe().model.experts_at == ()
    assert str(parse(text)[0]) == text.replace("budget_s=9", "budget_s=9.0")
    assert str(parse("fuxi-mme:experts_at=none")[0]) == "fuxi-mme:experts_at=none"


def test_what_is_not_named_stays_as_the_recipe_has_it() -> None:
    """A protocol's defaults change the recipe, and a field that was named changes both."""
    plain, named = parse("sasrec,sasrec:window=20")
    defaults = {"window": 40, "max_events": 40}

    assert plain.recipe() == RECIPES["sasrec"]
    assert (plain.recipe(defaults).train.window, plain.recipe(defaults).model.max_events) == (40, 40)
    assert named.recipe(defaults).train.window == 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sasrek", "did you mean sasrec?"),
        ("bert", "there are served, sasrec"),
        ("", "no model is called ''"),
        ("streams=2,fuxi-mme", "stands before any model"),
        ("fuxi-mme:stream=2", "did you mean streams?"),
        ("fuxi-mme:seed=2", "no field 'seed'"),
        ("fuxi-mme:family=hstu", "no field 'family'"),
        ("fuxi-mme:streams", "no field=value"),
        ("fuxi-mme:streams=two", "streams is a int like 4, not 'two'"),
        ("fuxi-mme:semantic=no", "semantic is a bool like true, not 'no'"),
        ("fuxi-mme:streams=3", "must divide"),
        ("sasrec,sasrec", "named twice: sasrec"),
        ("sasrec:members=0", "members must be at least 1"),
        ("sasrec:members=two", "members is a int like 1, not 'two'"),
        ("sasrec:member=2", "did you mean members?"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    """A usage error that names the place and what would have been right."""
    with pytest.raises(ModelNameInvalid) as found:
        parse(text)

    assert said in str(found.value)
    assert found.value.exit_code == exit_codes.USAGE


def test_a_recipe_is_told_by_what_differs() -> None:
    """Seed and threads are no part of a recipe; a tuple is told as JSON has it."""
    recipe = parse("fuxi-mme:experts_at=ffn,lr=0.5")[0].recipe()
    found = changed(recipe)

    assert (found["experts_at"], found["lr"]) == (["ffn"], 0.5)
    assert {"seed", "threads", "dim"} & set(found) == set()


def test_members_are_no_part_of_a_recipe() -> None:
    """They change the name and the seeds: the first has the run's, all of them differ, and so do those of the
    next runs."""
    plain, several = parse("sasrec:dim=32,sasrec:dim=32,members=3")

    assert str(several) == "sasrec:dim=32,members=3"
    assert several.recipe() == plain.recipe()
    assert (plain.seeds(2), several.seeds(2)) == ([2], [2, 1002, 2002])
    assert len({seed for run in range(9) for seed in several.seeds(run)}) == 27


def test_members_are_refused_where_one_network_is_followed() -> None:
    """One that says members=1 too: it would be another run than the plain name."""
    refuse_members(parse("sasrec,fuxi"), "mos")
    for text in ("sasrec,fuxi:members=2", "sasrec:members=1"):
        with pytest.raises(ModelNameInvalid, match="loo or time, not with mos"):
            refuse_members(parse(text), "mos")
