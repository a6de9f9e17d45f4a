"""`hopstream topics`: every topic made as the roles would make it.

Knows: the verb's options and what it prints. Does not know: how topics look (stream/topics.py) or are made
(stream/admin.py).
"""

from __future__ import annotations

import typer

from ops import options


def topics(
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Make every topic that is missing, the worker's changelog included; a second call makes nothing.

    Roles do the same when they start; this is for whoever wants the topics there before.

    Exit status: 0 all are there; 2 one has another number of partitions than `kafka.partitions`; 3 no broker.

    Example: hopstream topics --bootstrap 127.0.0.1:9092
    """
    from ops.broker import resolve_bootstrap  # imports here keep `--help` fast
    from stream.admin import ensure_topics, existing, wait_for_broker, wanted
    from stream.topics import TopicNames

    settings = options.settings_from(config, bootstrap)
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    wait_for_broker(address)
    made = set(ensure_topics(address, names, settings.kafka.partitions))
    found = existing(address, list(wanted(names, settings.kafka.partitions)))
    for name, partitions in found.items():
        typer.echo(f"{name}: {partitions} partitions, {'made' if name in made else 'there'}", err=as_json)
    if as_json:
        options.print_json({"bootstrap": address, "made": sorted(made), "partitions": found})
