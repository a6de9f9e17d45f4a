"""A warm scorer answers what full encoding and a full sort answer, whatever users and caches saw."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from model.catalogue import Catalogue
from model.encoding import Decoded
from model.errors import CatalogueMismatch
from model.mme import FuxiMME
from tests.model.shoppers import ITEMS, FakeVersion, Question, Shopper, events_of, plain, reference, scorer_of

TOLERANCE = 1e-5
#: Rounding may choose another expert below this margin; such sequences are counted, not compared.
SMALL_MARGIN = 1e-4


@pytest.fixture
def version(network: Callable[..., FuxiMME]) -> Callable[..., FakeVersion]:
    def make(seed: int = 0) -> FakeVersion:
        catalogue = Catalogue([f"item-{number}" for number in range(ITEMS)])
        model = network(num_rows=catalogue.num_rows, seed=seed)
        return FakeVersion(
            name=f"seed {seed}",
            config=model.config,
            catalogue=catalogue,
            weights={name: value.numpy() for name, value in model.state_dict().items()},
            index=model.item_index().numpy(),
            model=model,
        )

    return make


@pytest.mark.parametrize("slots", [1, 9, 500])
def test_a_warm_scorer_answers_like_the_reference(version, slots: int) -> None:
    """Appends, session ends, moved windows, changed themes, evictions, forgotten users, a version swap."""
    rng = random.Random(7)
    shoppers = [Shopper(name, rng) for name in "abcdef"]
    serving = version(seed=0)
    scorer = scorer_of(serving, slots)
    num_small, num_compared, positions, tokens = 0, 0, 0, 0
    for turn in range(40):
        if turn == 25:
            serving = version(seed=1)
            scorer = scorer_of(serving, slots)
        questions = []
        for shopper in rng.choices(shoppers, k=rng.randrange(1, 6)):
            for _ in range(rng.choice([0, 1, 1, 2])):
                shopper.act()
            if shopper.sessions:
                questions.append(shopper.question())
        if rng.random() < 0.1:
            scorer.forget(rng.choice(shoppers).name)

        lists = scorer.rank([question.asked() for question in questions], 10).lists

        for question, ranked in zip(questions, lists, strict=True):
            vector, margin = reference(serving, question)
            positions += ranked.positions
            tokens += sum(min(24, len(e)) for kind, e in question.sequences.items() if kind != "history")
            if margin < SMALL_MARGIN:
                num_small += 1
                continue
            num_compared += 1
            np.testing.assert_allclose(ranked.vector, vector, atol=TOLERANCE, rtol=0)
            barred = {item for item, _ in question.sequences["history"]} | set(question.hidden)
            scores = serving.index @ vector
            left = sorted(
                (s for s, i in zip(scores, serving.catalogue.items, strict=True) if i not in barred)
            )
            assert not barred & set(ranked.items)
            np.testing.assert_allclose(ranked.scores, left[:-11:-1], atol=TOLERANCE, rtol=0)

    assert num_compared > 80
    assert num_small <= 0.01 * (num_small + num_compared)
    assert slots < 500 or positions < 0.5 * tokens


def test_an_append_costs_one_position_and_no_decoding(version) -> None:
    """The request of the next event is answered from its header."""
    scorer = scorer_of(version())
    events = events_of(10)
    first, second = plain(events[:9]), plain(events)

    (cold,) = scorer.rank([first.asked()], 5).lists
    (warm,) = scorer.rank([second.asked()], 5).lists
    (again,) = scorer.rank([second.asked()], 5).lists

    assert (cold.positions, warm.positions, again.positions) == (9, 1, 0)
    assert (first.decoded, second.decoded) == (1, 0)
    assert again.items == warm.items


def test_a_batch_answers_like_single_questions(version) -> None:
    """Each list is the same alone and beside others, a user who asks three times included."""
    events = events_of(20)
    questions = [
        plain(events[:5]),
        plain(events_of(13, seed=1), "bob"),
        plain(events[:6]),
        plain([], "cat"),
        plain(events[:9]),
    ]

    together = scorer_of(version()).rank([question.asked() for question in questions], 20).lists

    for question, ranked in zip(questions, together, strict=True):
        (alone,) = scorer_of(version()).rank([question.asked()], 20).lists
        np.testing.assert_allclose(ranked.vector, alone.vector, atol=1e-6)
        np.testing.assert_allclose(ranked.scores, alone.scores, atol=1e-6)
        assert (ranked.items, ranked.known) == (alone.items, alone.known)
        assert ranked.experts == alone.experts


def test_a_burst_of_one_user_is_decoded_once(version) -> None:
    """Ten states in a row cost their positions once, and each list is that of its own state."""
    scorer = scorer_of(version())
    events = events_of(20)
    questions = [plain(events[:length]) for length in range(11, 21)]

    lists = scorer.rank([question.asked() for question in questions], 5).lists

    assert [ranked.positions for ranked in lists] == [11, *[1] * 9]
    assert [question.decoded for question in questions] == [1, *[0] * 9]
    (alone,) = scorer_of(version()).rank([questions[4].asked()], 5).lists
    assert (lists[4].items, lists[4].experts) == (alone.items, alone.experts)


def test_clearing_changes_costs_and_not_answers(version) -> None:
    """After `clear` and after `forget` everything is computed anew, to the same list."""
    scorer = scorer_of(version())
    question = plain(events_of(12))
    (first,) = scorer.rank([question.asked()], 5).lists

    for emptied in (scorer.clear, lambda: scorer.forget("ann")):
        emptied()
        (again,) = scorer.rank([question.asked()], 5).lists
        assert (again.positions, again.items) == (12, first.items)


def test_a_forgotten_user_is_asked_about_anew(version) -> None:
    """Nothing of the seen items stays either: the next question has to say them again."""
    scorer = scorer_of(version())
    events = events_of(5)
    question = Question("ann", {"history": events}, events[-1])
    for _ in range(2):
        scorer.rank([question.asked()], 5)
    scorer.forget("ann")
    scorer.rank([question.asked()], 5)

    assert question.decoded == 2


def test_no_history_is_no_error(version) -> None:
    """The vector is zero, every score a tie, and the caller is told that nothing is known."""
    serving = version()
    (ranked,) = scorer_of(serving).rank([plain([]).asked()], 3).lists

    assert ranked.items == serving.catalogue.items[:3]
    assert not ranked.known
    assert not ranked.vector.any()
    assert ranked.positions == 0


def test_one_unknown_item_still_has_a_direction(version) -> None:
    """A new item stands for one of the new-item rows; it makes a vector, but nothing known."""
    (ranked,) = scorer_of(version()).rank([plain([("stranger", 10**12)]).asked()], 3).lists

    assert not ranked.known
    assert ranked.vector.any()
    assert len(ranked.items) == 3
    assert ranked.positions == 1


def test_one_known_item_is_known_and_not_repeated(version) -> None:
    """A history of one catalogue item gives all others, best first."""
    (ranked,) = scorer_of(version()).rank([plain([("item-7", 10**12)]).asked()], ITEMS).lists

    assert ranked.known
    assert len(ranked.items) == ITEMS - 1
    assert "item-7" not in ranked.items
    assert ranked.scores == sorted(ranked.scores, reverse=True)


def test_seen_items_return_when_the_data_set_repeats(version) -> None:
    """With filter_seen off, the history hides nothing and rejected items stay hidden."""
    question = plain([("item-7", 10**12)], hidden=("item-8", "nobody-knows-me"))
    (ranked,) = scorer_of(version(), filter_seen=False).rank([question.asked()], ITEMS).lists

    assert "item-7" in ranked.items
    assert "item-8" not in ranked.items
    assert ranked.known


@pytest.mark.parametrize("length", [30, 10_000])
def test_long_sequences_are_read_from_their_newest_events(version, length: int) -> None:
    """Thirty events, or ten thousand, are encoded as their newest 24; all of them stay filtered."""
    events = [(f"item-{number % 100}", ts_ms) for number, (_, ts_ms) in enumerate(events_of(length))]
    question = plain(events)
    shorter = replace(question, sequences={"history": events, "global": events[-24:]})

    (ranked,) = scorer_of(version()).rank([question.asked()], ITEMS).lists
    (expected,) = scorer_of(version()).rank([shorter.asked()], ITEMS).lists

    assert ranked.items == expected.items
    assert ranked.positions == 24
    assert len(ranked.items) == ITEMS - min(length, 100)
    assert not {item for item, _ in events} & set(ranked.items)


def test_a_sequence_that_cannot_be_read_spoils_nothing(version) -> None:
    """The error reaches the caller; later answers are right."""

    def unreadable() -> Decoded:
        raise ValueError("damaged")

    scorer = scorer_of(version())
    good, bad = plain(events_of(8)), plain(events_of(5, seed=2), "bob")
    with pytest.raises(ValueError, match="damaged"):
        scorer.rank([good.asked(), replace(bad.asked(), sequences=unreadable)], 5)

    lists = scorer.rank([good.asked(), bad.asked()], 5).lists

    for question, ranked in zip((good, bad), lists, strict=True):
        (expected,) = scorer_of(version()).rank([question.asked()], 5).lists
        np.testing.assert_allclose(ranked.vector, expected.vector, atol=1e-6)


def test_scores_are_products_with_the_vector(version) -> None:
    """Whoever holds the vector can rank any candidates as the scorer does."""
    serving = version()
    (ranked,) = scorer_of(serving).rank([plain(events_of(6)).asked()], 10).lists

    lines = [serving.catalogue.items.index(item) for item in ranked.items]
    np.testing.assert_allclose(serving.index[lines] @ ranked.vector, ranked.scores, atol=1e-6)


def test_weights_of_another_catalogue_are_refused(version) -> None:
    """The message names the version and both counts."""
    serving = version()

    with pytest.raises(CatalogueMismatch, match="265 rows, 200 index lines, 199 items"):
        scorer_of(replace(serving, catalogue=Catalogue(serving.catalogue.items[:-1])))
