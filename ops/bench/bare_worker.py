"""A bare Faust loop: the yardstick of the worker's benchmark, not a part of the product.

Knows: one table with a changelog and a request of 3 KB per event, Faust's own acknowledgement. Does not know:
sessions, themes, duplicates, crashes.

Usage: python -m ops.bench.bare_worker BOOTSTRAP PREFIX DATA_DIR LINGER_MS PARTITIONS
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import faust
import msgspec
from mode.loop import use

from stream.clients import quiet_clients

KEEP = 50
REQUEST = b"x" * 3000


def main(bootstrap: str, prefix: str, data_dir: str, linger_ms: int, partitions: int) -> None:
    """Blocks until a signal."""
    use("uvloop")
    app = faust.App(
        prefix + "worker",
        broker=f"kafka://{bootstrap}",
        datadir=data_dir,
        store="rocksdb://",
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        producer_linger=linger_ms / 1000,
        producer_acks=-1,
        stream_buffer_maxsize=16384,
        consumer_auto_offset_reset="earliest",
    )
    raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw"}
    options: dict[str, Any] = {
        "driver": "rocksdict",
        "block_cache_size": 16 << 20,
        "write_buffer_size": 8 << 20,
    }
    table = app.Table("users", partitions=partitions, key_type=bytes, value_type=bytes, options=options)
    events = app.topic(prefix + "events", key_type=bytes, value_type=bytes, **raw)
    requests = app.topic(prefix + "requests", key_type=bytes, value_type=bytes, **raw)
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode

    @app.agent(events)
    async def loop(stream: Any) -> None:
        async for event in stream.events():
            seen = decode(event.value)
            stored = table.get(event.key)
            history = unpack(stored) if stored else []
            history.append((seen["item"], seen["ts"]))
            table[event.key] = pack(history[-KEEP:])
            requests.send_soon(key=event.key, value=REQUEST, partition=event.message.partition)

    async def tune() -> None:
        quiet_clients()
        app.sensors.remove(app.monitor)
        app.producer.buffer.max_messages = 8000

    app.task(tune)

    faust.Worker(app, loglevel=logging.WARNING, quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
