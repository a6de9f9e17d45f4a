"""What the demo says at its end: one JSON object, a summary for people, and whether all is explained.

Knows: the names and the order of the figures. Does not know: how they were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.demo.agreement import Agreement, disagreements
from ops.demo.ledger import Ledger


def unexplained(
    observed: Mapping[str, Any], ledger: Ledger, num_sent: int, agreed: Agreement | None = None
) -> list[str]:
    """Everything that does not add up, each as a sentence; empty when all does.

    ``agreed``: of a run in lockstep; it says nothing when somebody clicked beside the replay.
    """
    problems = []
    if observed["events"] < num_sent:  # more is fine: somebody clicked beside the replay
        problems.append(f"{num_sent} events were sent, {observed['events']} are on the topic.")
    counted = observed["applied"] + observed["duplicates"] + observed["too_late"] + observed["refused"]
    if counted != observed["events"]:
        problems.append(f"{observed['events']} events, but {counted} applied, repeated or refused.")
    if observed["dead_letters"] < observed["refused"]:
        problems.append(f"{observed['refused']} refused, {observed['dead_letters']} dead letters.")
    if observed["incomplete_users"]:
        problems.append(f"{observed['incomplete_users']} users' newest list misses their newest event.")
    if observed["unreadable_lists"]:
        problems.append(f"{observed['unreadable_lists']} records are no lists.")
    overlap = observed["overlap"]  # None: no evaluator has told anything
    if overlap and overlap["events"]:
        problems.append(
            f"{overlap['events']} events judged a version that had been trained through them "
            f"({overlap['examples'][0]})."
        )
    if agreed is not None and observed["events"] == num_sent:
        problems += disagreements(agreed)
    if not ledger.balanced:
        problems.append(
            "The stored state is not what the events topic adds up to "
            f"({ledger.stored[:12]} against {ledger.expected[:12]})."
        )
    return problems


def figures(
    dataset: str,
    observed: Mapping[str, Any],
    ledger: Ledger,
    list_digest: str,
    versions: Mapping[str, object],
    restarts: Mapping[str, int],
    peak_memory_bytes: int,
    seconds: Mapping[str, float],
    problems: list[str],
    agreed: Agreement | None = None,
) -> dict[str, Any]:
    """The JSON object of `hopstream demo --json`."""
    return {
        "dataset": dataset,
        **observed,
        "versions": dict(versions),
        "restarts": dict(restarts),
        "digest": {"state": ledger.stored, "expected": ledger.expected, "lists": list_digest},
        "state_bytes_per_user": round(ledger.state_bytes / max(1, ledger.users)),
        "peak_memory_mb": round(peak_memory_bytes / 1e6),
        "seconds": {name: round(took_s, 1) for name, took_s in seconds.items()},
        "agreement": None if agreed is None else agreed.to_json(),
        "unexplained": problems,
    }


def summary(found: Mapping[str, Any]) -> str:
    """The same for people."""
    times = found["event_to_list_ms"]
    lines = [
        f"{found['events']:,} events of {found['dataset']}: {found['applied']:,} applied, "
        f"{found['duplicates']:,} repeated, {found['dead_letters']:,} refused, {found['late']:,} late; "
        f"{found['lists']:,} lists for {found['users']:,} users, {found['incomplete_users']} incomplete.",
        f"Event to list: p50 {_ms(times['p50'])}, p95 {_ms(times['p95'])}, p99 {_ms(times['p99'])}; "
        f"largest skew {_events(found['largest_skew_events'])}.",
    ]
    for line, measured in found["quality"].items():
        lines.append(f"  {line:10} {quality_text(measured)}")
    if found["agreement"] is not None:
        lines.append("The same lists made offline: " + agreement_text(found["agreement"]))
    lines.append(
        f"State digest {found['digest']['state'][:16]}, as the events topic adds up to; "
        f"peak memory {found['peak_memory_mb']:,} MB; {found['seconds']['total']:.0f} s in all."
        if not found["unexplained"]
        else "NOT EXPLAINED: " + " ".join(found["unexplained"])
    )
    return "\n".join(lines)


def quality_text(measured: Mapping[str, float | None]) -> str:
    """Recall, its interval if there is one, nDCG and the number of judged events."""
    if not measured.get("events"):
        return "nothing judged yet"
    low, high = measured.get("low"), measured.get("high")
    band = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
    return (
        f"recall@10 {measured['recall@10']:.4f}{band}  nDCG@10 {measured['ndcg@10']:.4f}  "
        f"({measured['events']:,.0f} events judged)"
    )


def agreement_text(agreed: Mapping[str, Any]) -> str:
    """Of each line, how many of its lists came out the same."""
    told = ", ".join(
        f"{name} {line['same']:,} of {line['lists']:,}" for name, line in agreed["lines"].items()
    )
    return (
        f"{told or 'none to compare'}; {agreed['missing']:,} events without a list of the first version, "
        f"{agreed['long']:,} of users with a long history not compared."
    )


def _events(value: int | None) -> str:
    return "-" if value is None else f"{value:,} events"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
