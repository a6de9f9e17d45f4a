"""Run the Faust app until a signal stops it.

Knows: Faust's worker process, its loop and its log. Does not know: what is in the app.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import faust
from mode.loop import use

from stream.settings import Settings

LOG_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
#: A clean stop commits and leaves the group, which takes a broker; without one Faust would wait for ever.
STOP_S = 10.0

log = logging.getLogger("hopstream.worker")


class Worker(faust.Worker):
    """Faust's process, which stops in bounded time."""

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        last = threading.Timer(STOP_S, _cut_short)
        last.daemon = True
        last.start()
        super()._schedule_shutdown(signal)


def _cut_short() -> None:
    """Nothing is lost: what was not acknowledged comes again."""
    from stream.tending import GAVE_UP

    log.error("the worker did not stop within %.0f s, the broker may be away: it ends here", STOP_S)
    logging.shutdown()
    os._exit(GAVE_UP)


def run(settings: Settings, bootstrap: str, ready_file: Path | None) -> None:
    """Blocks; returns after a clean stop (SIGTERM, SIGINT). Ends the process with 70 if the app crashes."""
    use("uvloop")  # before anything makes an event loop
    from stream.app import build
    from stream.tending import GAVE_UP

    app = build(settings, bootstrap, ready_file)
    worker = Worker(
        app,
        loglevel=logging.INFO,
        logging_config={
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": LOG_FORMAT}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "level": "INFO"}},
            "loggers": {
                "hopstream": {"level": "INFO"},
                "faust": {"level": "WARNING"},
                "mode": {"level": "WARNING"},
                "aiokafka": {"level": "WARNING"},
                "kafka": {"level": "WARNING"},
            },
            "root": {"level": "WARNING", "handlers": ["stderr"]},
        },
        redirect_stdouts=False,
        quiet=True,
    )
    try:
        worker.execute_from_commandline()
    except SystemExit as stopped:
        logging.shutdown()
        os._exit(GAVE_UP if stopped.code else 0)  # leave no thread of a client behind
