"""What several routes do alike: who may change something, bodies read, JSON written.

Knows: FastAPI's requests and responses. Does not know: which routes there are.
"""

from __future__ import annotations

import hmac
from typing import Annotated, TypeVar

import msgspec
from fastapi import Path, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from ops.server import schema
from ops.server.openapi import JSON
from stream.events import MAX_ID_BYTES, id_problem

Body = TypeVar("Body")

UserId = Annotated[str, Path(min_length=1, max_length=MAX_ID_BYTES, description="The user's id.")]
#: The same for a route that reads its path by itself.
USER = {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES, "description": "The user's id."}
ItemId = Annotated[str, Path(min_length=1, max_length=MAX_ID_BYTES, description="The item's id.")]

_bearer = HTTPBearer(auto_error=False, description="Asked of whoever changes something, where one is set.")


class MayChange:
    """A dependency: the bearer token, where the server has one."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def __call__(self, request: Request) -> None:
        if self._token is None:
            return
        given: HTTPAuthorizationCredentials | None = await _bearer(request)
        if given is None or not hmac.compare_digest(given.credentials.encode(), self._token.encode()):
            raise HTTPException(
                401, "This needs the server's token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"}
            )


def written(value: msgspec.Struct, status: int = 200) -> Response:
    """A record as JSON."""
    return Response(schema.encode(value), status, media_type=JSON)


async def json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON: no web page of another origin can send one unasked.

    Raises HTTPException 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise HTTPException(415, f"The body must be {JSON}, not {kind or 'unnamed'}.")
    return await request.body()


async def read(request: Request, kind: type[Body]) -> Body:
    """The body as a record. Raises HTTPException 415, 422."""
    raw = await json_body(request)
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(422, f"{error}.") from None


def checked_id(value: str, what: str) -> str:
    """The id. Raises HTTPException 422 if it can be none."""
    try:
        why = id_problem(value)
    except UnicodeEncodeError:
        why = "is no text"
    if why is not None:
        raise HTTPException(422, f"{what} {why}.")
    return value
