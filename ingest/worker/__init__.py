"""The worker: takes in what a queue tells of, for as long as it runs."""

from __future__ import annotations

from ingest.worker.lifecycle import Worker, WorkerReport
from ingest.worker.settings import WorkerSettings

__all__ = ["Worker", "WorkerReport", "WorkerSettings"]
