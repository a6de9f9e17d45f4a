"""Errors as application/problem+json (RFC 9457): what is wrong, and what to do; never a traceback.

Knows: statuses, the one form of an error. Does not know: routes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from model.errors import VersionDamaged
from ops.server import schema

log = logging.getLogger("hopstream.server")

MEDIA_TYPE = "application/problem+json"
#: What a client is told to wait before it asks a second time.
RETRY_AFTER_S = 1
RETRY = {"Retry-After": str(RETRY_AFTER_S)}


class Unavailable(Exception):
    """What is asked needs the broker, which does not answer now."""


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    rejected: Sequence[schema.Refused] = (),
) -> Response:
    """The response for an error."""
    body = schema.Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, rejected=list(rejected)
    )
    return Response(schema.encode(body), status, dict(headers or {}), MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for an OpenAPI operation."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Every error that leaves a route has this form."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        nowhere = error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase
        detail = "Nothing is at this address; /docs has the addresses." if nowhere else str(error.detail)
        return problem(error.status_code, detail, error.headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(422, f"{where}: {first['msg']}.")

    async def unavailable(_: Request, error: Exception) -> Response:
        return problem(503, str(error), RETRY)

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "The server failed here; its log has the reason.")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Unavailable, unavailable)
    app.add_exception_handler(VersionDamaged, unavailable)  # of a registry that cannot be read
    app.add_exception_handler(Exception, unexpected)
