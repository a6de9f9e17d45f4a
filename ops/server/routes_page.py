"""The live page: its files, each with its type, a tag to ask again by, and what a browser may do with it;
and the past that its charts begin with.

Knows: the files beside this one, headers. Does not know: what the page shows.

Nothing but our own files runs: no script inline, no script, style or connection of another origin.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from ops.server.asking import written
from ops.server.openapi import answers
from ops.server.parts import Parts

FOLDER = Path(__file__).with_name("page")
#: Of the package fastapi-offline, which brings Swagger UI: the page of the API needs no other origin.
SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    kind: str
    tag: str


def router(parts: Parts) -> APIRouter:
    """The routes of this file; the files are read once, here."""
    made = APIRouter(tags=["page"])
    files = {
        str(path.relative_to(FOLDER)): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES
    }
    files |= {f"swagger/{name}": _read(path) for name, path in _swagger()}

    @made.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        """The page."""
        return _answer(files["index.html"], request)

    @made.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        """The page of the API."""
        return _answer(files["docs.html"], request)

    @made.get("/page/{name:path}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        """A file of the page."""
        if name not in files:
            raise HTTPException(404, f"The page has no file {name!r}.")
        return _answer(files[name], request)

    @made.get("/now", responses=answers("Now"), response_class=Response)
    async def now() -> Response:
        """The last ten minutes second by second, quality figures, what the run says of itself: for charts."""
        return written(parts.scene.told(parts.wall_ms()))

    return made


def _swagger() -> list[tuple[str, Path]]:
    folder = Path(str(resources.files("fastapi_offline"))) / "static"
    return [(name, folder / name) for name in SWAGGER]


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:16]}"')


def _answer(file: _File, request: Request) -> Response:
    headers = {
        "ETag": file.tag,
        "Cache-Control": "no-cache",  # kept, and asked for again by its tag: a new server shows a new page
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers={**headers, "Content-Type": file.kind})
