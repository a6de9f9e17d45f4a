"""A query string becomes a record, or a sentence of what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from ops.server import queries
from ops.server.schema import MAX_N, RecommendAsked
from tests.ops.server.hall import Hall


def test_a_query_is_read_as_what_it_means() -> None:
    """Numbers, switches, lists that stand once or often, escapes, the last of two; unknown names pass."""
    query = b"n=3&n=7&exclude=a%2Fb&exclude=%C3%A9&include=x&explain=true&min_offset=12&other=1&category="

    assert queries.read(query, RecommendAsked) == RecommendAsked(
        n=7, exclude=["a/b", "é"], include=["x"], explain=True, min_offset=12, category=""
    )
    assert queries.read(b"", RecommendAsked) == RecommendAsked()


@pytest.mark.parametrize(
    ("query", "where"),
    [
        (b"n=0", "query.n"),
        (b"n=many", "query.n"),
        (f"n={MAX_N + 1}".encode(), "query.n"),
        (b"explain=perhaps", "query.explain"),
        (b"min_offset=-1", "query.min_offset"),
        (b"min_offset=99999999999999999999", "query.min_offset"),
        (b"&".join([b"exclude=a"] * (MAX_N + 1)), "query.exclude"),
    ],
)
def test_what_is_no_answer_names_its_parameter(query: bytes, where: str) -> None:
    """422, with the parameter first."""
    with pytest.raises(HTTPException) as refused:
        queries.read(query, RecommendAsked)

    assert refused.value.status_code == 422
    assert refused.value.detail.startswith(f"{where}: Expected ")


async def test_the_page_of_the_api_has_every_parameter(tmp_path: Path) -> None:
    """Names, places, bounds and meaning, as a client's generator reads them."""
    async with Hall(tmp_path).client() as client:
        page = (await client.get("/openapi.json")).json()

    told = {one["name"]: one for one in page["paths"]["/recommend/{user}"]["get"]["parameters"]}
    assert list(told) == ["user", "n", "exclude", "include", "category", "min_offset", "explain"]
    assert (told["user"]["in"], told["user"]["required"]) == ("path", True)
    assert told["n"]["schema"] == {
        "description": "Items at most.",
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_N,
        "default": 10,
    }
    assert told["include"]["schema"]["type"] == "array"
