"""The command line: every verb in one place, and what an error looks like from outside.

Knows: which verbs there are; which exit status an error ends in.
Does not know: what verbs do (ops/commands/, one file each).

Options before the verb go into the environment, where settings read them and child processes inherit them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.errors import ModelError, VersionMissing
from ops import exit_codes
from ops.commands import (
    bench,
    broker,
    config,
    demo,
    diff,
    digest,
    doctor,
    evaluate,
    evaluator,
    explain,
    inspect,
    models,
    recommend,
    replay,
    scorer,
    server,
    topics,
    train,
    trainer,
    validate,
    version,
    worker,
)
from ops.errors import OpsError
from stream.errors import BrokerUnreachable, NoMoment, SettingsInvalid, StreamError, TopicMismatch

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def hopstream(
    context: typer.Context,
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file for any verb.")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", metavar="HOST:PORT", help="Kafka broker for any verb.")
    ] = None,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """A streaming recommender: every click changes that user's list within a fraction of a second.

    Exit status: 0 ok, 1 a check failed, 2 usage or configuration, 3 no broker, 4 not found, 70 a role
    gave up.
    """
    if show_version:
        print(version.versions()["hopstream"])
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(exit_codes.USAGE)
    if config_file is not None:
        os.environ["HOPSTREAM_CONFIG"] = str(config_file)
    if bootstrap is not None:
        os.environ["HOPSTREAM_KAFKA__BOOTSTRAP"] = bootstrap


app.command()(demo.demo)
app.command()(broker.broker)
app.command()(topics.topics)
app.command()(worker.worker)
app.command()(scorer.scorer)
app.command()(server.server)
app.command()(evaluator.evaluator)
app.command()(trainer.trainer)
app.command()(replay.replay)
app.command()(validate.validate)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(recommend.recommend)
app.command()(explain.explain)
app.add_typer(inspect.inspect, name="inspect")
app.add_typer(models.models, name="models")
app.command()(digest.digest)
app.command()(diff.diff)
app.command()(bench.bench)
app.add_typer(config.config, name="config")
app.command()(doctor.doctor)
app.command()(version.version)


def exit_code_of(error: Exception) -> int:
    """What the process says when this ends it."""
    match error:
        case OpsError():
            return error.exit_code
        case BrokerUnreachable():
            return exit_codes.BROKER_UNREACHABLE
        case SettingsInvalid() | TopicMismatch() | NoMoment():
            return exit_codes.USAGE
        case VersionMissing():
            return exit_codes.NOT_FOUND
        case _:
            return exit_codes.CHECK_FAILED


def main() -> None:
    """Run a verb; a known error is a message on standard error and an exit status, never a traceback."""
    try:
        app(prog_name="hopstream")
    except (OpsError, StreamError, ModelError) as error:
        typer.secho(f"hopstream: {error}", fg=typer.colors.RED, err=True)
        sys.exit(exit_code_of(error))


if __name__ == "__main__":
    main()
