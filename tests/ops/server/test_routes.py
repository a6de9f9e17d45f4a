"""Events in, users erased, what is told of users, items, themes and versions, health, and who may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.server.versions import Mapped, Versions
from stream.events import Forget, decode
from tests.model.tiny_version import trained
from tests.ops.server.hall import Hall, made_list, state, version

CLICK = {"event": "interaction", "ts": 1, "user": "ann", "item": "i1", "type": "click"}


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


async def call(hall: Hall, method: str, path: str, **more: Any) -> Any:
    async with hall.client() as client:
        return await client.request(method, path, **more)


async def test_accepted_events_lie_with_the_broker(hall: Hall) -> None:
    """202 names the place of each, and the rejected ones with their reasons."""
    answer = await call(hall, "POST", "/events", json=[CLICK, {"event": "interaction"}, CLICK])

    assert answer.status_code == 202
    assert answer.json()["accepted"] == [
        {"index": 0, "partition": 0, "offset": 0},
        {"index": 2, "partition": 0, "offset": 1},
    ]
    assert [(one["index"], one["reason"]) for one in answer.json()["rejected"]] == [(1, "missing_field")]
    assert [(one.topic, one.key) for one in hall.broker.records] == [("t.events", b"ann")] * 2


async def test_an_items_record_goes_to_the_items_topic(hall: Hall) -> None:
    """Under its own id."""
    await call(hall, "POST", "/events", json={"event": "item", "item": "i1", "title": "Heat"})

    assert [(one.topic, one.key) for one in hall.broker.records] == [("t.items", b"i1")]


async def test_a_request_without_a_good_event_is_refused(hall: Hall) -> None:
    """With all its reasons, and nothing stored."""
    answer = await call(hall, "POST", "/events", json=[{"event": "interaction"}, 5])

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one["index"] for one in answer.json()["rejected"]] == [0, 1]
    assert hall.broker.records == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" + b"1," * 200 + b"1]", "application/json", 413),
        (json.dumps(CLICK).encode(), "text/plain", 415),
        (b'"' + b"x" * 200_000 + b'"', "application/json", 413),
    ],
)
async def test_a_bad_body_is_a_problem(hall: Hall, body: bytes, kind: str, status: int) -> None:
    """Each with a status that says whose fault it is."""
    answer = await call(hall, "POST", "/events", content=body, headers={"content-type": kind})

    assert (answer.status_code, answer.json()["status"]) == (status, status)


async def test_a_body_that_does_not_say_its_size_is_cut_off(hall: Hall) -> None:
    """A stream of bytes ends at the limit."""

    async def pieces() -> Any:
        for _ in range(100):
            yield b"[" * 10_000

    answer = await call(
        hall, "POST", "/events", content=pieces(), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 413


async def test_without_a_broker_events_are_refused_for_now(hall: Hall) -> None:
    """503 with Retry-After, at once."""
    hall.broker.away = True

    answer = await call(hall, "POST", "/events", json=CLICK)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_nothing_is_waited_for_longer_than_the_limit(tmp_path: Path) -> None:
    """A broker that never answers: 503 when the time is up."""
    hall = Hall(tmp_path, timeout_s=0.05)
    hall.broker.silent = True

    answer = await call(hall, "POST", "/events", json=CLICK)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_forgetting_is_a_record_on_the_events_topic(hall: Hall) -> None:
    """Under the user's key, so that it comes after the user's events."""
    answer = await call(hall, "DELETE", "/users/ann")

    assert answer.status_code == 202
    [record] = hall.broker.records
    assert (record.topic, record.key, decode(record.value, 0)) == ("t.events", b"ann", Forget(user="ann"))


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/events"), ("DELETE", "/users/ann"), ("POST", "/models/rollback")]
)
async def test_whatever_changes_something_asks_for_the_token(tmp_path: Path, method: str, path: str) -> None:
    """Without it, or with another, nothing happens; reading is free."""
    hall = Hall(tmp_path, token="secret")
    for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}):
        answer = await call(hall, method, path, headers=given)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")

    with_it = await call(hall, method, path, headers={"authorization": "Bearer secret"})
    assert with_it.status_code != 401
    assert (await call(hall, "GET", "/recommend/ann")).status_code == 200
    assert [one for one in hall.broker.records if method == "POST"] == []


async def test_a_client_has_a_rate(tmp_path: Path) -> None:
    """A second's worth at once, and more as time goes by."""
    hall = Hall(tmp_path, requests_per_s=3)
    statuses = [(await call(hall, "GET", "/health/live")).status_code for _ in range(4)]
    hall.now_s += 1.0

    assert statuses == [200, 200, 200, 429]
    assert (await call(hall, "GET", "/health/live")).status_code == 200


async def test_a_user_is_told_by_sessions(hall: Hall) -> None:
    """Events with titles, the newest list, what was rejected; 404 for nobody."""
    hall.put_list(made_list("ann"))
    hall.put_state("ann", state(["i0", "i2"], rejected=["i9"]))
    hall.put_item("i0", "Heat")

    told = (await call(hall, "GET", "/users/ann")).json()

    [session] = told["sessions"]
    assert [(one["item"], one["title"]) for one in session["events"]] == [("i0", "Heat"), ("i2", None)]
    assert (session["open"], told["rejected"], told["events"]) == (True, ["i9"], 3)
    assert told["themes"][0]["label"] == "odd"
    assert told["newest"]["list"] == "list-ann-5"
    assert (await call(hall, "GET", "/users/nobody")).status_code == 404


async def test_items_are_found_by_title_best_known_first(hall: Hall) -> None:
    """Whatever the case; words as they stand."""
    hall.put_item("i5", "The Heat of the Night")
    hall.put_item("i2", "Heat")
    hall.put_item("i1", "Alien")
    hall.put_item("i9", "In Heat")

    found = (await call(hall, "GET", "/items", params={"q": "  hEAT", "n": 2})).json()

    assert [(one["item"], one["title"]) for one in found["items"]] == [
        ("i2", "Heat"),
        ("i5", "The Heat of the Night"),
    ]
    hall.shelf.drop("i2")
    found = (await call(hall, "GET", "/items", params={"q": "heat"})).json()
    assert [one["item"] for one in found["items"]] == ["i5", "i9"]


async def test_an_item_is_told_with_its_theme(hall: Hall) -> None:
    """By the version that serves; 404 for what neither it nor a record knows. Ids may have slashes."""
    hall.put_item("a/b", "Slashed")

    told = (await call(hall, "GET", "/items/i4")).json()

    assert (told["known"], told["theme"]["label"], told["events"]) == (True, "odd", 36)
    assert (await call(hall, "GET", "/items/a%2Fb")).json()["title"] == "Slashed"
    assert (await call(hall, "GET", "/items/nobody")).status_code == 404


async def test_themes_have_items_that_stand_for_them(hall: Hall) -> None:
    """Each with its share, best known first."""
    told = (await call(hall, "GET", "/themes")).json()

    assert [theme["label"] for theme in told["themes"]] == ["even", "odd"]
    assert told["themes"][1]["best_known"][0]["item"] == "i0"
    assert (told["before"], told["themes"][0]["drift"]) == (None, None)


async def test_drift_of_themes_is_told_from_the_version_before(hall: Hall) -> None:
    """By theme, with the version that it is measured from; the same numbers stand in the metrics."""
    ahead, before = Mapped(version("000003")), Mapped(version("000002"))
    hall.answering.versions = Versions(epoch=3, current=ahead, previous=before, drift=(0.25, None))
    hall.telemetry.themed(["even", "odd"], ahead.theme_sizes, (0.25, None))

    told = (await call(hall, "GET", "/themes")).json()
    text = (await call(hall, "GET", "/metrics")).text

    assert told["before"] == "000002"
    assert [theme["drift"] for theme in told["themes"]] == [0.25, None]
    assert 'hopstream_theme_drift_ratio{label="even",theme="0"} 0.25' in text
    assert text.count("hopstream_theme_drift_ratio{") == 1
    assert 'hopstream_theme_items{label="odd",theme="1"} 20.0' in text


async def test_versions_are_listed_and_taken_back(hall: Hall) -> None:
    """The earlier one serves again, the later one is withdrawn and cannot come back."""
    for seed in (1, 2):
        hall.parts.registry.publish(trained(seed=seed))

    before = (await call(hall, "GET", "/models")).json()
    back = await call(hall, "POST", "/models/rollback", json={"to": "000001"})
    after = (await call(hall, "GET", "/models")).json()

    assert (before["current"], [one["serves"] for one in before["versions"]]) == ("000002", [False, True])
    assert (back.status_code, back.json()["withdrawn"]) == (200, ["000002"])
    assert {one.topic for one in hall.broker.records} == {"t.models"}
    assert (after["current"], [one["withdrawn"] for one in after["versions"]]) == ("000001", [False, True])
    assert (await call(hall, "POST", "/models/rollback", json={"to": "000002"})).status_code == 409
    assert (await call(hall, "POST", "/models/rollback", json={"to": "000077"})).status_code == 404
    assert (await call(hall, "POST", "/models/rollback", json={"to": "../x"})).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", "/models", None), ("POST", "/models/rollback", {"to": "000001"})]
)
async def test_a_registry_that_cannot_be_read_is_a_problem_with_a_name(
    hall: Hall, method: str, path: str, body: dict[str, str] | None
) -> None:
    """Whatever damaged it: cut off, or no text at all."""
    hall.parts.registry.publish(trained())
    file = hall.parts.models_dir / "current.json"
    raw = file.read_bytes()
    for damaged in (raw[:20], raw.replace(b"000001", b"00\xff001", 1)):
        file.write_bytes(damaged)
        told = await call(hall, method, path, **({} if body is None else {"json": body}))

        assert told.status_code == 503
        assert "current.json" in told.json()["detail"]


async def test_readiness_has_its_reasons(hall: Hall) -> None:
    """Alive is not ready."""
    assert (await call(hall, "GET", "/health/ready")).status_code == 200
    hall.health.caught_up, hall.health.behind = False, 12

    answer = await call(hall, "GET", "/health/ready")

    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert "12 records" in answer.json()["reasons"][0]
    assert (await call(hall, "GET", "/health/live")).status_code == 200


async def test_a_fault_of_ours_is_a_problem_without_a_traceback(hall: Hall) -> None:
    """The client learns nothing of the inside."""

    async def broken(_: object) -> Any:
        raise RuntimeError("the secret inside")

    hall.broker.send = broken  # type: ignore[method-assign]

    answer = await call(hall, "POST", "/events", json=CLICK)

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


async def test_requests_are_counted_by_template(hall: Hall) -> None:
    """A thousand users and made-up paths add no series."""
    for user in ("ann", "bob", "a/b"):
        await call(hall, "GET", f"/recommend/{user}")
    await call(hall, "GET", "/made/up")
    await call(hall, "BREW", "/made/up")

    text = (await call(hall, "GET", "/metrics")).text

    assert 'http_requests_total{method="GET",route="/recommend/{user:path}",status="200"} 3.0' in text
    assert 'route="none",status="404"' in text
    assert "ann" not in text
    assert "BREW" not in text
    assert 'hopstream_http_request_seconds_bucket{le="0.0005",route="/recommend/{user:path}"}' in text
