"""The command `worker`: settings from the environment, signals, and the process's end."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.commands.options import AsJson, print_json, stop_on_signals

if TYPE_CHECKING:
    from ingest.worker.metrics import Metrics

__all__ = ["worker"]


def worker(
    *,
    settings: Annotated[bool, typer.Option("--settings", help="Print the table of all settings, and end.")] = False,
    health: Annotated[
        bool, typer.Option("--health", help="Ask the worker on this machine whether it is well: exit code 0 or 1.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take in what an SQS queue tells of, until SIGTERM: S3 events, as they are or by SNS, and {"url": ...}.

    Settings come from the environment, LIGHTKEEP_URL and LIGHTKEEP_QUEUE at least; logs go to standard output.

    Example: `LIGHTKEEP_URL=s3://bucket/porotomo LIGHTKEEP_QUEUE=https://sqs... lightkeep worker`
    """
    from ingest.worker.settings import WorkerSettings, settings_table, unknown_settings

    if settings:
        typer.echo(settings_table(), nl=False)
        return
    chosen = WorkerSettings.from_environment()
    if health:
        from ingest.worker.health import ask

        raise typer.Exit(0 if ask(chosen.health_host, chosen.health_port) else 1)
    from archive.store import open_store
    from ingest.worker import Worker
    from ingest.worker.logs import log, to_standard_output
    from ingest.worker.metrics import Metrics
    from ingest.worker.queue import Queue

    to_standard_output(chosen.log_level)
    for name in unknown_settings():
        log("a variable that is no setting; it may be misspelt", 30, variable=name)
    store = open_store(chosen.url, storage_options=dict(chosen.store_options or {}))
    metrics = Metrics(store.url, chosen.emf_namespace)
    made = Worker(store, Queue(chosen.queue, chosen.visibility_seconds), chosen, metrics)
    stop_on_signals(made.stop)
    over = threading.Event()
    emitting = threading.Thread(target=_emit, args=(metrics, chosen.emf_seconds, over), daemon=True)
    emitting.start()
    report = made.run()
    over.set()
    emitting.join(1)
    if as_json:
        print_json({name: getattr(report, name) for name in report.__slots__})
    if report.abandoned:  # threads at work cannot be ended otherwise, and the platform's patience is over
        sys.stdout.flush()
        os._exit(0)


def _emit(metrics: Metrics, seconds: float, over: threading.Event) -> None:
    """Write metrics for CloudWatch, now and then and at the end."""
    while seconds:
        ended = over.wait(seconds)
        for line in metrics.embedded():
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if ended:
            return
