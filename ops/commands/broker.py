"""`hopstream broker`: a real Apache Kafka on this machine until Ctrl-C.

Knows: the verb's options. Does not know: how Kafka is run (ops/broker.py).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops import options

if TYPE_CHECKING:
    from ops.broker import Broker

#: How often the Java machine is looked at; it has its own log, so this only bounds how late we notice.
LOOK_S = 0.5


def broker(
    config: options.Config = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the broker keeps its log.")] = None,
    load: Annotated[bool, typer.Option("--load", help="For load tests: more heap, full compiler.")] = False,
    ready_file: options.ReadyFile = None,
    as_json: options.Json = False,
) -> None:
    """Run Apache Kafka on this machine until Ctrl-C; needs no Docker and no installed Java.

    The first start fetches 45 MB of Java archives and checks them. Other verbs find the broker by its data
    directory.

    Example: hopstream broker --port 0 --data-dir .hopstream/kafka
    """
    from ops import jars
    from ops.broker import LOAD_HEAP_MB, Broker
    from ops.errors import BrokerFailed
    from ops.processes import StopRequest

    settings = options.settings_from(config, overrides={"broker": {"port": port, "data_dir": data_dir}})
    heap_mb = max(settings.broker.heap_mb, LOAD_HEAP_MB) if load else settings.broker.heap_mb
    cache = jars.default_cache(settings.data.cache)
    kafka = Broker(settings.broker.data_dir, port=settings.broker.port, heap_mb=heap_mb, jars_cache=cache)
    to_fetch = len(jars.missing(jars.locked(), cache))
    if to_fetch:
        typer.echo(f"fetching {to_fetch} Java archives into {cache}, once", err=True)
    began_s = time.monotonic()
    with StopRequest() as stop:
        try:
            kafka.start(given_up=lambda: stop.asked)
        except BrokerFailed:
            if stop.asked:
                return
            raise
        try:
            options.mark_ready(ready_file)
            _announce(kafka, time.monotonic() - began_s, as_json)
            while not stop.wait(LOOK_S):
                if not kafka.alive:
                    raise BrokerFailed(f"The Java machine went away; its log ends:\n{kafka.log_tail()}")
        finally:
            kafka.stop()


def _announce(kafka: Broker, seconds: float, as_json: bool) -> None:
    if as_json:
        options.print_json({"bootstrap": kafka.bootstrap, "pid": kafka.pid, "seconds": round(seconds, 2)})
    else:
        typer.echo(
            f"broker ready at {kafka.bootstrap} after {seconds:.1f} s (log: {kafka.data_dir}/broker.log)"
        )
