"""Events in the shapes of Metarank and Gorse, turned into ours.

Knows: field names of the three shapes, how each writes a time. Does not know: what makes an event valid
(stream/events.py judges what comes out of here), HTTP, Kafka.

Sources: Metarank's "event format" (`event`, `timestamp`, `fields` as name and value) and Gorse's REST API
(`FeedbackType`, `UserId`, `ItemId`, `Timestamp`; items with `Categories` and `Comment`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

#: Names under which Metarank's free-form item fields are taken for categories.
CATEGORY_FIELDS = frozenset({"categories", "category", "genres", "genre"})
#: Digits of a time in Unix ms that is still taken for a number.
MAX_DIGITS = 16


def translated(fields: dict[str, Any]) -> dict[str, Any]:
    """The event in our shape; what is in none of the foreign shapes comes back as it is.

    A value that cannot be translated is passed on, so that it is refused by its own name.
    """
    if "FeedbackType" in fields:
        return _present(
            event="interaction",
            ts=unix_ms(fields.get("Timestamp")),
            user=fields.get("UserId"),
            item=fields.get("ItemId"),
            type=fields.get("FeedbackType"),
            value=fields.get("Value"),
            source="gorse",
        )
    if "ItemId" in fields:
        return _present(
            event="item",
            ts=unix_ms(fields.get("Timestamp")),
            item=fields.get("ItemId"),
            title=fields.get("Comment"),
            categories=fields.get("Categories"),
        )
    if "timestamp" in fields and "ts" not in fields:
        return _from_metarank(fields)
    return fields


def unix_ms(value: Any) -> Any:
    """Unix ms of a number, of digits, or of an ISO 8601 time (UTC where it names no zone); else the value."""
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        return int(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _from_metarank(fields: dict[str, Any]) -> dict[str, Any]:
    kind = fields.get("event")
    shared = {"event": kind, "id": fields.get("id"), "ts": unix_ms(fields["timestamp"])}
    if kind == "item":
        return _present(**shared, item=fields.get("item"), **_described(fields.get("fields")))
    return _present(
        **shared,
        user=fields.get("user"),
        item=fields.get("item"),
        type=fields.get("type"),
        list=fields.get("ranking"),
        source="metarank",
    )


def _described(pairs: Any) -> dict[str, Any]:
    """Title, categories and text among Metarank's name and value pairs."""
    found: dict[str, Any] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if not isinstance(pair, dict):
            continue
        name, value = pair.get("name"), pair.get("value")
        if name in CATEGORY_FIELDS:
            found["categories"] = value if isinstance(value, list) else [value]
        elif name == "title":
            found["title"] = value
        elif name in ("description", "text"):
            found["text"] = value
    return found


def _present(**fields: Any) -> dict[str, Any]:
    """Without what is absent: a missing field is refused as missing, not as null."""
    return {name: value for name, value in fields.items() if value is not None}
