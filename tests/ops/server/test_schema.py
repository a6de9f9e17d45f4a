"""What the OpenAPI page promises is what the server does, whatever it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.model.tiny_version import trained
from tests.ops.server.hall import Hall, made_list, state

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
#: Stays open until its client goes: nothing of it can be compared.
OPEN_ENDED = "/stream"
OPERATIONS = 15


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    """Something of everything: a list, a state, a title, versions."""
    made = Hall(tmp_path)
    made.put_list(made_list("0"))
    made.put_state("0", state(["i0"]))
    made.put_item("i0", "Heat", "Crime")
    made.parts.registry.publish(trained())
    return made


def test_every_operation_keeps_its_word(hall: Hall) -> None:
    """Made-up requests of every operation, good and bad ones: no 5xx, and nothing the page does not say."""
    page = schemathesis.openapi.from_asgi("/openapi.json", hall.asgi)
    asked = 0
    for found in page.get_all_operations():
        operation = found.ok()
        if operation.path == OPEN_ENDED:
            continue
        asked += 1
        cases = st.one_of(
            operation.as_strategy(generation_mode=mode)
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        )

        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def keeps_its_word(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        keeps_its_word()
    assert asked == OPERATIONS


def test_answers_about_what_is_known_keep_their_word_too(hall: Hall) -> None:
    """Made-up ids are seldom known: these are, with every switch of the question on."""
    page = schemathesis.openapi.from_asgi("/openapi.json", hall.asgi)
    known: dict[str, tuple[dict[str, str], dict[str, object]]] = {
        "/recommend/{user}": ({"user": "0"}, {"explain": True, "n": 30, "exclude": ["i1"], "min_offset": 5}),
        "/users/{user}": ({"user": "0"}, {}),
        "/items/{item}": ({"item": "i0"}, {}),
        "/similar/{item}": ({"item": "i0"}, {"category": "Crime"}),
        "/items": ({}, {"q": "heat"}),
    }
    for path, (names, query) in known.items():
        case = page[path]["GET"].Case(path_parameters=names, query=query)
        assert case.call_and_validate(checks=CHECKS).status_code == 200
