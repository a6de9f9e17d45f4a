"""What MoS serves through the cache is what its reference reads, at every moment of random click streams."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model.batch import padded
from model.cache import slot_bytes
from model.encoding import Asked, Encoder
from model.experts import margins
from model.kinds import Kinds
from model.mos import ALL_GLOBAL, MoS
from model.mos_reading import Reader
from model.registry import Registry
from model.version import Version
from stream.sessions import extend
from stream.themes import Router
from tests.model.hoppers import RULES
from tests.model.published import SHAPE, World, questions, themeless, trained, world

TOLERANCE = 1e-5
#: Rounding may choose another expert below this margin.
SMALL_MARGIN = 1e-4

Vectors = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def short() -> World:
    """Three users with about seventy events each."""
    return world()


@pytest.fixture(scope="module")
def long() -> World:
    """One user whose global window leaves sessions behind."""
    return world(users=1, sessions=75)


def published(made: World, directory: Path, mos: MoS | None = None) -> Version:
    return Registry(directory).publish(trained(made, mos))


def encoder(version: Version, made: World, slots: int = 40) -> Encoder:
    cache_bytes = slots * slot_bytes(made.network)
    return Encoder(version, device=torch.device("cpu"), cache_bytes=cache_bytes, extend=extend)


def reference(made: World) -> tuple[Vectors, Vectors]:
    """(vectors, shares of kinds) after every event, in order of time."""
    past = made.past()
    reader = Reader(made.network, made.mos, past.events, past.sessions, RULES)
    cuts = np.arange(len(past.events.rows))
    with torch.no_grad():
        views = reader.read(reader.route(np.arange(len(past.events))), cuts)
        vectors = made.network.vectors(views.fused.states_TMd).numpy()
    order = np.argsort(past.events.order)
    return vectors[order], views.fused.shares_TS.numpy()[order]


def lead(made: World, version: Version, asked: Asked) -> float:
    """By how little a router chose, anywhere in what the question reads."""
    least = np.inf
    decoded = asked.sequences()
    for part in Kinds(version.name, version.config, made.mos.config).reads(asked).parts:
        kind = asked.kinds[part.kind]
        items, times_ms = decoded[kind]
        batch = padded([(made.catalogue.rows(items), times_ms)], version.config.max_events)
        view = made.mos.adapters.view(kind.partition(":")[0])
        encoded = made.network.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, adapters=view)
        least = min(least, margins(encoded.logits_LBNME).min().item())
    return least


def one_by_one(asked: list[Asked]) -> Iterator[list[Asked]]:
    yield from ([one] for one in asked)


def in_batches(asked: list[Asked]) -> Iterator[list[Asked]]:
    rng = random.Random(1)
    while asked:
        num = rng.choice([1, 2, 5, 17])
        yield asked[:num]
        asked = asked[num:]


WAYS: dict[str, Callable[[list[Asked]], Iterator[list[Asked]]]] = {"one": one_by_one, "batches": in_batches}


@pytest.mark.parametrize("slots", [2, 40])
@pytest.mark.parametrize("way", WAYS)
def test_served_mos_is_the_reference(short: World, tmp_path: Path, way: str, slots: int) -> None:
    """Global, local and up to two themes, cached or thrown out, one by one or in batches, to 1e-5."""
    version = published(short, tmp_path)
    served, asked = encoder(version, short, slots), questions(short, Router(version.themes, version.name))
    expected, shares = reference(short)
    at, small, themed = 0, 0, 0
    for batch in WAYS[way](asked):
        found = served.encode(batch)
        for place, one in enumerate(batch):
            apart = np.abs(found.vectors_BD[place] - expected[at]).max()
            if apart > TOLERANCE and lead(short, version, one) < SMALL_MARGIN:
                small += 1
            else:
                assert apart <= TOLERANCE, (at, one.kinds)
                np.testing.assert_allclose(found.kinds_BS[place], shares[at], atol=TOLERANCE)
            themed += shares[at, 2] > 0
            at += 1
    assert at == len(short.columns)
    assert themed > 100
    assert small < 5


def test_windows_that_move_change_nothing(long: World, tmp_path: Path) -> None:
    """Beyond 232 closed events the global window starts later, and themes' windows too."""
    version = published(long, tmp_path)
    served, asked = encoder(version, long), questions(long, Router(version.themes, version.name))
    expected, _ = reference(long)
    history, whole = (
        [dict(zip(one.kinds, one.lengths, strict=True))[kind] for one in asked]
        for kind in ("history", "global")
    )
    small = 0
    for one, vector in zip(asked, expected, strict=True):
        apart = np.abs(served.encode([one]).vectors_BD[0] - vector).max()
        small += apart > TOLERANCE
        assert apart <= TOLERANCE or lead(long, version, one) < SMALL_MARGIN
    assert max(np.subtract(history, whole)) > 0
    assert small < 8


def test_neutral_mos_serves_the_plain_network(short: World, tmp_path: Path) -> None:
    """Twenty more on global and no additions: vectors of a version without MoS, to 1e-6."""
    neutral = MoS.from_weights(short.mos.config, short.network, short.mos.weights())
    with torch.no_grad():
        neutral.adapters.up_SLrF.zero_()
        neutral.w_f_XS.zero_()
        neutral.b_f_S.copy_(torch.tensor([ALL_GLOBAL, 0.0, 0.0]))
    version = published(short, tmp_path / "with", neutral)
    plain = Registry(tmp_path / "without").publish(replace(trained(short), mos=None))
    asked = questions(short, Router(version.themes, version.name))

    one, other = encoder(version, short), encoder(plain, short)

    for batch in in_batches(asked):
        found, expected = one.encode(batch), other.encode(batch)
        np.testing.assert_allclose(found.vectors_BD, expected.vectors_BD, atol=1e-6)
    assert other.encode(asked[-1:]).kinds_BS.tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize("kinds", [("global",), ("global", "local"), ("global", "theme")])
def test_only_what_was_trained_is_read(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """A version without an expert for a kind gives it no weight and computes nothing of it."""
    made = world(kinds=kinds)
    version = published(made, tmp_path)
    asked = questions(made, Router(version.themes, version.name))
    expected, _ = reference(made)

    found = encoder(version, made).encode(asked[-1:])

    read = {asked[-1].kinds[part.kind].partition(":")[0] for part in found.readings[0].reads.parts}
    assert read == set(kinds)
    np.testing.assert_allclose(found.vectors_BD[0], expected[-1], atol=TOLERANCE)


def test_themes_of_another_version_are_left_out(short: World, tmp_path: Path) -> None:
    """A request routed by an older table is answered as a themeless one, and the cache stays right."""
    version = published(short, tmp_path)
    served = encoder(version, short)
    own = questions(short, Router(version.themes, version.name))[-1]
    assert own.themes
    foreign = replace(own, routed_by="000000")

    found = [served.encode([one]).vectors_BD[0] for one in (own, foreign, themeless(own), own)]

    np.testing.assert_allclose(found[1], found[2], atol=1e-7)
    np.testing.assert_allclose(found[0], found[3], atol=1e-7)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_themeless_session_has_no_theme_share(short: World, tmp_path: Path) -> None:
    """Unknown items only: no theme, and what is left still sums to one; nothing at all is the zero vector."""
    version = published(short, tmp_path)
    own = questions(short, Router(version.themes, version.name))[-1]
    nothing = replace(own, kinds=("history",), lengths=(0,), fingerprints=(0,), item=None, themes=())

    found = encoder(version, short).encode([themeless(own), nothing])

    assert found.kinds_BS[0, 2] == 0
    assert found.kinds_BS[0].sum() == pytest.approx(1, abs=1e-6)
    assert not found.vectors_BD[1].any()


def test_a_theme_nobody_has_is_no_crash(short: World, tmp_path: Path) -> None:
    """Numbers beyond the version's themes, or the same one twice, are read past."""
    version = published(short, tmp_path)
    own = questions(short, Router(version.themes, version.name))[-1]
    theme = own.themes[0][0]
    strange = replace(own, themes=((99, 0.4), (-1, 0.3), (theme, 0.2), (theme, 0.1)))

    assert np.isfinite(encoder(version, short).encode([strange]).vectors_BD).all()


def test_the_facet_gate_weighs_what_was_fused(tmp_path: Path) -> None:
    """With the gate on, vectors are still the reference's: the gate comes last."""
    made = world(shape=replace(SHAPE, facet_gate=True))
    version = published(made, tmp_path)
    asked = questions(made, Router(version.themes, version.name))
    expected, _ = reference(made)

    np.testing.assert_allclose(
        encoder(version, made).encode(asked[-1:]).vectors_BD[0], expected[-1], atol=TOLERANCE
    )
