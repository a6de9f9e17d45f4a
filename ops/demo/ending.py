"""After the last click: lists catch up, the evaluator judges what is left, the trainer learns it.

Knows: when each of them is through. Does not know: how they work, what their figures are worth.

However much was sent, each is waited for as long as it gets on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ops.demo.quality import all_judged, events_and_judgements, newest_report
from ops.demo.versions import in_cycle, newest_cycles
from ops.demo.waiting import Waiting
from ops.errors import OpsError
from stream.cycles import every_of
from stream.settings import Settings

#: How long evaluator or trainer may stand still before one goes on without: a list may never come.
STILL_S = 30.0
#: How long a cycle of the trainer may take, beside everything else.
LEARN_S = 600.0


class NeverSettled(OpsError):
    """Events were sent, but not every user's list caught up; see the log of the roles."""


def settle(waiting: Waiting, line: Callable[[], str]) -> None:
    """Every user's newest list knows that user's newest event. Raises NeverSettled."""
    account = waiting.observer.account

    def settled() -> bool:
        return waiting.observer.catch_up(timeout_s=5.0) and account.incomplete_users == 0

    if not waiting.while_moving(settled, lambda: account.counts.lists, line):
        raise NeverSettled(f"({account.incomplete_users} users behind)")


def judge(waiting: Waiting, settings: Settings) -> None:
    """The evaluator has judged all that there is, or nothing happens any more."""
    folder, ends = settings.evaluator.data_dir, events_and_judgements(settings)
    through = waiting.while_moving(
        lambda: all_judged(newest_report(folder), ends),
        lambda: newest_report(folder)["positions"],
        patience_s=STILL_S,
    )
    if not through:
        waiting.told.say("[learn] the evaluator stands still; what it has not judged is told as waiting")


def learn(waiting: Waiting, settings: Settings, loaded: Mapping[int, int], num_users: int) -> None:
    """The trainer has taken what was judged, but for less than a cycle; where cycles go by time, it is not
    waited for. ``loaded``: where the events topic ended, by partition, once the histories of so many users
    lay there: of them each user's last event alone makes a cycle due."""
    wanted = every_of(settings.trainer.every).events
    if wanted is None:
        return
    folder, ends = settings.trainer.data_dir, events_and_judgements(settings)["events"]

    def learned() -> bool:
        positions = newest_cycles(folder)["positions"]
        left = behind(positions, loaded, ends) + num_users * (behind(positions, {}, loaded) > 0)
        return left < wanted and not in_cycle(folder, LEARN_S)

    def moved() -> float:
        return time.monotonic() if in_cycle(folder, LEARN_S) else float(newest_cycles(folder)["cycles"])

    if not waiting.while_moving(learned, moved, patience_s=STILL_S):
        waiting.told.say("[learn] the trainer stands still; not everything is learned")


def behind(positions: Mapping[str, int], first: Mapping[int, int], ends: Mapping[int, int]) -> int:
    """Records from ``first`` to ``ends``, by partition, that whoever is at ``positions`` has not taken."""
    return sum(
        max(0, end - max(positions.get(str(number), 0), first.get(number, 0))) for number, end in ends.items()
    )
