"""The demo's phases: broker, data, warm start beside the loading of histories, replay, account.

Knows: their order and what each waits for. Does not know: how roles, replays or measurements work.

Every number at the end comes from the topics: record timestamps and offsets, not counters in the roles.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from model.registry import Registry
from ops.broker import HOST, running
from ops.demo.agreement import agreement
from ops.demo.background import Background
from ops.demo.ledger import balance
from ops.demo.live import live_line
from ops.demo.parts import Parts, divide
from ops.demo.quality import all_judged, events_and_judgements, newest_report, told_quality
from ops.demo.report import figures, unexplained
from ops.demo.scraped import replay_shown, take_ports
from ops.demo.told import Told
from ops.demo.versions import told_versions
from ops.errors import DirectoryRefused, OpsError
from ops.lockstep import lockstep
from ops.pacing import Pacing, Unpaced
from ops.ports import free_port, is_free
from ops.replay import Progress, replay, send_items
from ops.supervisor import Supervisor, verb
from stream import admin
from stream.digest import list_digest
from stream.newest import newest_lists
from stream.observer import Observer
from stream.settings import Settings, load
from stream.topics import TopicNames

#: How long lists may take to catch up once nothing is sent any more.
SETTLE_S = 120.0
#: How long the evaluator may take to judge what is left; what waits after that is told as waiting.
JUDGE_S = 30.0
#: How often the live line is made anew: it reads every judged event.
LINE_S = 1.0


class NothingToReplay(OpsError):
    """After the warm part of this data set nothing is left to replay; choose a larger one."""


class NeverSettled(OpsError):
    """Events were sent, but not every user's list caught up in time; see the log of the roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    dataset: Any  # ops.datasets.table.Dataset
    train_source: str  # what `hopstream train` is told: a name or a file
    pacing: Callable[[Any], Pacing]  # of the stream's events
    limit: int | None  # events to replay
    warm_s: int  # budget of the warm start
    seed: int
    folder: Path
    bootstrap: str  # "": start a broker
    lockstep: bool = False  # the next event waits for the last one's list; pacing says nothing then


def fresh_folder(folder: Path) -> None:
    """An empty run folder. Raises DirectoryRefused if a demo still runs there."""
    if running(folder / "kafka") is not None:
        raise DirectoryRefused(f"{folder} is in use by a running demo.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def run(plan: Plan, supervisor: Supervisor, told: Told) -> dict[str, Any]:
    """Run all phases; returns the figures. Raises the roles' and the broker's errors, StopAsked."""
    began_s = time.monotonic()
    # chosen once, so that a restarted broker is found where it was
    bootstrap = plan.bootstrap or f"{HOST}:{free_port(HOST)}"
    settings = _settings(plan, bootstrap)
    names = TopicNames(settings.kafka.prefix)
    address = _server(settings, supervisor, told.file)
    told.say(f"[page] watch, and be a user: {address} (the API: {address}/docs)")
    told.say(f"[metrics] {take_ports(settings)}")
    with told.phase("broker", "starting Apache Kafka" if not plan.bootstrap else f"using {plan.bootstrap}"):
        if not plan.bootstrap:
            port = bootstrap.rpartition(":")[2]
            supervisor.start(verb("broker", "--port", port, "--data-dir", str(plan.folder / "kafka")))
        admin.ensure_topics(settings.kafka.bootstrap, names, settings.kafka.partitions)
    told.say(f"[broker] look in from another terminal: hopstream --bootstrap {settings.kafka.bootstrap} …")
    parts = divide(plan.dataset.events, settings.events.negative, settings.events.neutral, plan.limit)
    if not len(parts.stream):
        raise NothingToReplay
    observer = Observer(settings.kafka.bootstrap, settings)
    try:
        _prepare(plan, parts, settings, supervisor, observer, told)
        with (
            told.phase("replay", f"{len(parts.stream):,} events as clicks; every click changes a list"),
            replay_shown(settings, told.say) as show,
        ):
            _replay(plan, parts, settings, supervisor, observer, told, show)
        observed = observer.summary() | _quality(settings, supervisor)
        ledger = balance(settings.kafka.bootstrap, settings)
        lists = list_digest(newest_lists(settings.kafka.bootstrap, names))
        agreed = agreement(plan.dataset.events, parts, settings) if plan.lockstep else None
    finally:
        observer.close()
        told.stopped()
    told.seconds["total"] = time.monotonic() - began_s
    return figures(
        plan.dataset.name,
        observed,
        ledger,
        lists,
        told_versions(settings.models.dir, settings.trainer.data_dir),
        supervisor.restarts,
        supervisor.peak_memory_bytes,
        told.seconds,
        unexplained(observed, ledger, len(parts.stream), agreed),
        agreed,
    )


def _server(settings: Settings, supervisor: Supervisor, status_file: Path) -> str:
    """The server, at its port or, where somebody has that, at a free one; returns its address.

    It comes before the broker, so that its page shows the other phases.
    """
    host, port = settings.server.host, settings.server.port
    port = port if port and is_free(host, port) else free_port(host)
    supervisor.start(verb("server", "--port", str(port), "--status-file", str(status_file)))
    return f"http://{host}:{port}"


def _settings(plan: Plan, bootstrap: str) -> Settings:
    """What every role of this demo reads from its environment."""
    wanted = {
        "KAFKA__BOOTSTRAP": bootstrap,
        "KAFKA__PREFIX": "hopstream." if not plan.bootstrap else f"demo-{os.getpid()}-{int(time.time())}.",
        "SESSIONS__GAP_MS": f"{plan.dataset.gap_ms}ms",
        "SCORER__FILTER_SEEN": str(plan.dataset.filter_seen).lower(),
        "MODELS__DIR": str(plan.folder / "models"),
        "SCORER__RESCORE_USERS": "20000",  # whoever clicked before version 1 gets a list of it
        "WORKER__DATA_DIR": str(plan.folder / "worker"),
        "SCORER__DATA_DIR": str(plan.folder / "scorer"),
        "EVALUATOR__DATA_DIR": str(plan.folder / "evaluator"),
        "TRAINER__DATA_DIR": str(plan.folder / "trainer"),
        "EVALUATOR__REPORT_MS": "1s",
    }
    if plan.lockstep:  # nobody waits for company, and every list is judged
        wanted |= {"WORKER__LINGER_MS": "0", "SCORER__MAX_WAIT_MS": "0", "WORKER__SAMPLE_SHARE": "1"}
    for name, value in wanted.items():
        os.environ.setdefault(f"HOPSTREAM_{name}", value)  # the user's own settings win
    return load()


def _prepare(
    plan: Plan, parts: Parts, settings: Settings, supervisor: Supervisor, observer: Observer, told: Told
) -> None:
    """Worker and scorer up, histories loaded, version 1 trained and serving."""
    bootstrap, names = settings.kafka.bootstrap, TopicNames(settings.kafka.prefix)
    with told.phase("data", f"{len(parts.history):,} events of returning users become their histories"):
        supervisor.start(verb("worker"))
        supervisor.start(verb("scorer"))
        supervisor.start(verb("evaluator"))
        loading = Background(lambda: _load(plan, parts, bootstrap, names))
        _until(supervisor, observer, lambda: loading.done, None)
        loading.result()
    with told.phase("warm start", f"Fuxi-MME learns from the first {parts.num_warm:,} clicks"):
        budget = ["--part", "warm", "--budget", f"{plan.warm_s}s", "--seed", str(plan.seed)]
        supervisor.start(
            verb("train", plan.train_source, *budget, waits_ready=False, restarts=False, stop_s=5.0)
        )
        trained = _until(supervisor, observer, lambda: supervisor.ended("train"), None, told)
        assert trained
        wanted = min(observer.account.num_users, settings.scorer.rescore_users)
        if not _until(supervisor, observer, lambda: _serves(observer, settings, wanted), SETTLE_S):
            raise NeverSettled(f"(version 1 made {_num_by_version(observer)} of {wanted} lists)")
    supervisor.start(verb("trainer"))
    observer.begin()


def _load(plan: Plan, parts: Parts, bootstrap: str, names: TopicNames) -> None:
    send_items(plan.dataset.items(), bootstrap, names)
    replay(parts.history, bootstrap, names, Unpaced(len(parts.history)), backfill=True)


def _replay(
    plan: Plan,
    parts: Parts,
    settings: Settings,
    supervisor: Supervisor,
    observer: Observer,
    told: Told,
    show: Callable[[Progress], None],
) -> None:
    state: dict[str, Progress] = {}
    names = TopicNames(settings.kafka.prefix)

    def progress(at: Progress) -> None:
        state["now"] = at
        told.sent(at)
        show(at)

    send = lockstep if plan.lockstep else partial(replay, pacing=plan.pacing(parts.stream))
    sending = Background(
        lambda: send(
            parts.stream,
            settings.kafka.bootstrap,
            names,
            progress=progress,
            stop=lambda: sending.asked_to_stop,
        )
    )
    try:
        _until(
            supervisor,
            observer,
            lambda: sending.done,
            None,
            told,
            lambda: live_line(observer, settings, state),
        )
    except BaseException:
        sending.stop()
        raise
    sending.result()
    if not _until(supervisor, observer, lambda: _settled(observer), SETTLE_S):
        raise NeverSettled(f"({observer.account.incomplete_users} users behind)")
    told.show(live_line(observer, settings, state))


def _until(
    supervisor: Supervisor,
    observer: Observer,
    done: Callable[[], bool],
    timeout_s: float | None,
    told: Told | None = None,
    line: Callable[[], str] | None = None,
) -> bool:
    """Tend the roles and read the topics until ``done``; False if time was up first."""

    shown_s = 0.0

    def look() -> bool:
        nonlocal shown_s
        for _ in range(20):  # read what is there, but look after the roles now and then
            if not observer.poll():
                break
        if told is not None and line is not None and time.monotonic() - shown_s >= LINE_S:
            told.show(line())
            shown_s = time.monotonic()
        return done()

    return supervisor.run(look, timeout_s)


def _quality(settings: Settings, supervisor: Supervisor) -> dict[str, Any]:
    """What the evaluator says once it has judged all that there is, or what it says after a while."""
    folder = settings.evaluator.data_dir
    ends = events_and_judgements(settings)
    supervisor.run(lambda: all_judged(newest_report(folder), ends), JUDGE_S)
    return told_quality(newest_report(folder))


def _settled(observer: Observer) -> bool:
    return observer.catch_up(timeout_s=5.0) and observer.account.incomplete_users == 0


def _serves(observer: Observer, settings: Settings, wanted: int) -> bool:
    current = Registry(settings.models.dir).current()
    return (
        current is not None and _num_by_version(observer) >= wanted and observer.account.incomplete_users == 0
    )


def _num_by_version(observer: Observer) -> int:
    return sum(num for version, num in observer.account.models.items() if version)
