"""The stream protocol as a table: counters, networks that stay as they are, and the same ones learning.

Knows: which lines there are, which settings are chosen on the warm part, and by which network.
Does not know: how a line answers (model/prequential.py), options, what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from model.choices import LEARNED_SHARE, choose, choose_epsilon
from model.columns import EventColumns
from model.cooccurrence import CoOccurrence
from model.factorisation import Factorisation
from model.families import Recipe
from model.metrics import recall_at
from model.prequential import Choices, frozen, ranks_along, sums_along
from model.recommender import Popular, Recommender
from model.sequences import WARM_SHARE
from model.session_knn import SessionKnn
from model.stages import Answered, Stage, answer
from model.sums import WEIGHTS
from model.time_split import stream_stage
from ops.evaluation.learning import LINES, Learning, learning_runs, parse_learning
from ops.evaluation.naming import changed
from ops.evaluation.records import Key, Run, append, read
from ops.evaluation.running import Say, Table, blank_of, judged, told, trained

#: What the line of a network and the memory together is called.
SUMMED = "{} + memory"


def stream_runs(table: Table, say: Say) -> Iterator[tuple[Run, Stage]]:
    """Counters first, then per model and seed the network alone and its sum with the memory under the leading
    weight. Networks of the results file are not trained again.

    Raises NotEnoughData when the events cannot be cut so.
    """
    done = read(table.results)
    columns, cut = table.columns, int(WARM_SHARE * len(table.columns))
    say("counters: settings, on the end of the warm part")
    choices = choose(columns, cut, table.gap_ms, table.filter_seen)
    blank = replace(blank_of(table), variant="frozen")
    jobs = [(named, seed) for named in table.models for seed in range(table.seeds)]
    ways = [way for text, gated in table.learning for way in parse_learning(text, gated)]
    epsilon: float | None = None
    for number, (named, seed) in enumerate(jobs, 1):
        found = named.recipe()
        recipe = Recipe(found.model, replace(found.train, seed=seed, threads=table.threads))
        stage = stream_stage(columns, recipe.train.validation_users, table.filter_seen)
        if number == 1:
            yield from _counters(table, stage, choices, cut, blank, say)
        alone = replace(blank, model=str(named), recipe=changed(found), seed=seed)
        both = replace(alone, model=SUMMED.format(named))
        about = f"run {number} of {len(jobs)} · {named} seed {seed}"
        lines = [replace(alone, model=way.model(line, alone.model)) for way in ways for line in LINES]
        keys = [one.key() for one in (alone, both, *lines)]
        if all(key in done for key in keys):
            for key in keys:
                yield done[key], stage
            continue
        if epsilon is None:
            epsilon = _known(done, both)
        if epsilon is None:
            epsilon = _picked(table, recipe, choices, cut, about, say)
        settled = replace(choices, epsilon=epsilon)
        for run in _run(table, stage, alone, recipe, settled, ways, cut, about, say):
            if run.key() not in done:
                append(table.results, run)
            yield run, stage


def _counters(
    table: Table, stage: Stage, choices: Choices, cut: int, blank: Run, say: Say
) -> Iterator[tuple[Run, Stage]]:
    counters: dict[str, Recommender] = {
        "popular": Popular(),
        "popular-decayed": Popular(choices.half_life_ms),
        "co-occurrence": CoOccurrence(choices.memory),
        "session-knn": SessionKnn(choices.sessions),
        "matrix-factorisation": Factorisation(choices.factors),
    }
    for name, made in counters.items():
        say(f"counters: {name}")
        ranks_E = ranks_along(made, table.columns, cut, table.filter_seen)
        run = replace(blank, model=name, notes=asdict(choices))
        yield judged(run, stage, Answered(ranks_E=ranks_E, lists=None)), stage


def _run(
    table: Table,
    stage: Stage,
    alone: Run,
    recipe: Recipe,
    choices: Choices,
    ways: Sequence[Learning],
    cut: int,
    about: str,
    say: Say,
) -> Iterator[Run]:
    """The network alone, then with the memory, then learning from the stream in each way."""
    model, learned = trained(stage, alone, recipe, told(about, True, say))
    learned = replace(learned, notes=asdict(choices))
    yield judged(learned, stage, answer(model, stage))
    say(f"{about} · with the memory, event by event")
    met = frozen(model, stage.catalogue, table.columns, cut)
    summed = sums_along(met, table.columns, cut, choices, table.filter_seen)
    fixed = {
        str(weight): float(recall_at(ranks_E, 10).mean())
        for weight, ranks_E in zip(WEIGHTS, summed.fixed_WE, strict=True)
    }
    both = replace(
        learned,
        model=SUMMED.format(alone.model),
        notes={**asdict(choices), "recall@10 by fixed weight": fixed},
    )
    yield judged(both, stage, Answered(ranks_E=summed.served_E, lists=None))
    for way in ways:
        yield from learning_runs(table, stage, model, learned, recipe.train, choices, way, cut, say)


def _known(done: dict[Key, Run], like: Run) -> float | None:
    """Of runs of the same stream: one epsilon serves a whole table."""
    for run in done.values():
        if (run.data, run.protocol, run.filter_seen) == (like.data, like.protocol, like.filter_seen):
            return float(run.notes["epsilon"])
    return None


def _picked(table: Table, recipe: Recipe, choices: Choices, cut: int, about: str, say: Say) -> float:
    """Epsilon, chosen with a network of this recipe that learned nine tenths of the warm part, on the last
    tenth."""
    warm: EventColumns = table.columns.slice(0, cut)
    learned = int(LEARNED_SHARE * cut)
    stage = stream_stage(warm, recipe.train.validation_users, table.filter_seen, share=LEARNED_SHARE)
    model, _ = trained(stage, blank_of(table), recipe, told(f"{about} · settings", True, say))
    met = frozen(model, stage.catalogue, warm, learned)
    return choose_epsilon(met, warm, learned, choices, table.filter_seen)
