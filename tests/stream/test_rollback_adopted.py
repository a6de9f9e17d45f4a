"""Scorer and worker follow a real registry through a rollback as through a publication."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from model import store
from model.errors import ModelError
from model.registry import Registry
from stream.hotswap import CHECK_S, HotSwap
from stream.metrics.worker import WorkerMetrics
from stream.tending import adopt_themes
from stream.themes import Router
from tests.model.tiny_version import trained
from tests.stream.test_hotswap import Serving


class AtOnce(Executor):
    """Does what it is told before it answers."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (ModelError, OSError) as error:
            future.set_exception(error)
        return future


def following(registry: Registry) -> HotSwap:
    """A scorer's follower that reads every byte of what it adopts."""

    def load(version: str, epoch: int) -> Serving:
        return Serving(registry.load(version).name, epoch)

    return HotSwap(registry.current, load, AtOnce(), max_batch=4)


def adopted(swap: HotSwap, looks: int) -> tuple[str, int] | None:
    """What a look at the registry brings."""
    ranker = swap.poll(looks * CHECK_S)
    return None if ranker is None else (ranker.version, ranker.epoch)


def test_a_scorer_adopts_a_rollback_with_a_greater_epoch(tmp_path: Path) -> None:
    """Version 2 at epoch 2, then version 1 at epoch 3: lists of the rolled-back version are older."""
    registry = Registry(tmp_path)
    registry.publish(trained(seed=1))
    swap = following(registry)
    found = [adopted(swap, 0)]
    registry.publish(replace(trained(seed=2), parent="000001"))
    found.append(adopted(swap, 1))
    registry.rollback()
    found += [adopted(swap, 2), adopted(swap, 3)]

    assert found == [("000001", 1), ("000002", 2), ("000001", 3), None]


def test_a_scorer_that_starts_after_a_rollback_never_sees_what_was_withdrawn(tmp_path: Path) -> None:
    """It begins with what serves; the newest directory is not asked."""
    registry = Registry(tmp_path)
    for seed in (1, 2):
        registry.publish(trained(seed=seed))
    registry.rollback()
    (tmp_path / "000002" / store.MANIFEST).unlink()

    assert adopted(following(registry), 0) == ("000001", 3)


def test_a_version_damaged_after_it_was_published_is_refused_and_left(tmp_path: Path) -> None:
    """The scorer keeps what it has; a rollback from the damaged version brings its parent at a new epoch."""
    registry = Registry(tmp_path)
    registry.publish(trained(seed=1))
    swap = following(registry)
    adopted(swap, 0)
    registry.publish(replace(trained(seed=2), parent="000001"))
    (tmp_path / "000002" / store.WEIGHTS).write_bytes(b"short")
    refused = adopted(swap, 1)
    registry.rollback()

    assert refused is None
    assert swap.refused == 1
    assert adopted(swap, 2) == ("000001", 3)


def test_a_worker_routes_by_the_themes_of_what_serves_again(tmp_path: Path) -> None:
    """The table follows a publication and a rollback alike."""
    registry = Registry(tmp_path)
    parts: Any = SimpleNamespace(router=Router(), metrics=WorkerMetrics())
    routed = []
    for step in (
        lambda: registry.publish(trained(seed=1)),
        lambda: registry.publish(trained(seed=2)),
        registry.rollback,
    ):
        step()
        adopt_themes(registry, parts)
        routed.append((parts.router.version, parts.router.logits("i3").tolist()))

    assert [version for version, _ in routed] == ["000001", "000002", "000001"]
    assert routed[0] == routed[2] != routed[1]
