"""A client of HTTP that costs little, so that what is measured is the server.

Knows: requests and answers with a length, one connection per client. Does not know: what is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence


class Refused(Exception):
    """An answer that is no success."""


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """The bytes of a request on a connection that stays open."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answers(host: str, port: int, shares: Sequence[Sequence[bytes]]) -> list[float]:
    """Each share's requests, one after the other, all shares at once; the seconds that each answer took.

    Raises Refused.
    """
    taken = await asyncio.gather(*(_client(host, port, share) for share in shares))
    return [seconds for one in taken for seconds in one]


async def _client(host: str, port: int, requests: Sequence[bytes]) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    taken = []
    try:
        for asked in requests:
            began_s = time.perf_counter()
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            taken.append(time.perf_counter() - began_s)
            if head[9:10] != b"2":
                raise Refused(f"{head.splitlines()[0].decode()}: {body.decode()}")
    finally:
        writer.close()
        await writer.wait_closed()
    return taken


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
