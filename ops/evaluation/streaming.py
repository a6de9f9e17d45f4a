"""The stream protocol as a table: counters that learn every event, frozen networks, and both summed.

Knows: which lines there are, which settings are chosen on the warm part, and by which network.
Does not know: how a line answers (model/prequential.py), options, what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        if alone.key() in done and both.key() in done:
            yield done[alone.key()], stage
            yield done[both.key()], stage
            continue
        if epsilon is None:
            epsilon = _known_epsilon(done, both) or _epsilon(
                table, recipe, choices, cut, f"{about} · epsilon", say
            )
        for run in _run(table, stage, alone, recipe, replace(choices, epsilon=epsilon), cut, about, say):
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
    table: Table, stage: Stage, alone: Run, recipe: Recipe, choices: Choices, cut: int, about: str, say: Say
) -> Iterator[Run]:
    """The network alone, then with the memory."""
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


def _known_epsilon(done: dict[Key, Run], like: Run) -> float | None:
    """Of a run of the same stream: one epsilon serves a whole table."""
    known = [
        run.notes["epsilon"]
        for run in done.values()
        if (run.data, run.protocol, run.filter_seen) == (like.data, like.protocol, like.filter_seen)
    ]
    return float(known[0]) if known else None


def _epsilon(table: Table, recipe: Recipe, choices: Choices, cut: int, about: str, say: Say) -> float:
    """Chosen with a network of this recipe that learned nine tenths of the warm part, on the last tenth."""
    warm: EventColumns = table.columns.slice(0, cut)
    learned = int(LEARNED_SHARE * cut)
    stage = stream_stage(warm, recipe.train.validation_users, table.filter_seen, share=LEARNED_SHARE)
    model, _ = trained(stage, blank_of(table), recipe, told(about, True, say))
    met = frozen(model, stage.catalogue, warm, learned)
    return choose_epsilon(met, warm, learned, choices, table.filter_seen)
