"""What every request passes: its client's rate, its size, its time, and the count of it.

Knows: ASGI, limits, metrics by route template. Does not know: what routes do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops.server.problems import RETRY, problem
from ops.server.telemetry import NO_ROUTE, Telemetry

log = logging.getLogger("hopstream.server")

#: Paths that stay open; they end with their client.
OPEN_ENDED = frozenset({"/stream"})
#: Client addresses whose rate is remembered; the one longest silent goes.
MAX_CLIENTS = 4096
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Rates:
    """A bucket per client that holds a second's worth and fills as time goes by."""

    def __init__(self, per_s: int) -> None:
        self._per_s = float(per_s)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def allows(self, client: str, now_s: float) -> bool:
        """Take one from the client's bucket, if there is one."""
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(self._per_s, now_s)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(client)
        bucket.left = min(self._per_s, bucket.left + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        if bucket.left < 1.0:
            return False
        bucket.left -= 1.0
        return True


class Guard:
    """An ASGI application around another."""

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        rates: Rates,
        *,
        max_bytes: int,
        timeout_s: float,
        clock_s: Callable[[], float],
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._rates = rates
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._clock_s = clock_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = self._clock_s()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            client = scope.get("client") or ("local", 0)
            if not self._rates.allows(client[0], began_s):
                await problem(429, "Too many requests of this client.", RETRY)(scope, receive, noting)
            elif _announced(scope) > self._max_bytes:
                await self._too_large()(scope, receive, noting)
            else:
                limit_s = None if scope["path"] in OPEN_ENDED else self._timeout_s
                async with asyncio.timeout(limit_s):
                    await self._app(scope, self._counted(receive), noting)
        except TimeoutError:
            if not status:
                late = problem(503, f"No answer within {self._timeout_s:g} s.", RETRY)
                await late(scope, receive, noting)
        except Exception:  # noqa: BLE001  # the last line of a request; its own handlers have told and logged it
            if not status:
                failed = problem(500, "The server failed here; its log has the reason.")
                await failed(scope, receive, noting)
        finally:
            route = scope.get("route")
            method = scope["method"] if scope["method"] in METHODS else "other"
            name = getattr(route, "path", NO_ROUTE)
            self._telemetry.answered(name, method, status, self._clock_s() - began_s)

    def _too_large(self) -> ASGIApp:
        return problem(413, f"A request has at most {self._max_bytes} bytes.")

    def _counted(self, receive: Receive) -> Receive:
        taken = 0

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                raise HTTPException(413, f"A request has at most {self._max_bytes} bytes.")
            return message

        return counting


def _announced(scope: Scope) -> int:
    """Bytes that the request says it has; 0 where it does not say."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
