"""What the worker counts, as Prometheus and as CloudWatch want it."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from archive.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LAGS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)
_MOST_VALUES = 100  # of one metric in one object of the embedded metric format
_UNITS = {
    "Files": "Count",
    "Bytes": "Bytes",
    "Failures": "Count",
    "Refused": "Count",
    "Lag": "Seconds",
    "QueueDepth": "Count",
    "QueueInFlight": "Count",
}


class Metrics:
    """Counts of one worker; any thread may add to them.

    Parameters
    ----------
    archive
        URL of the archive: the dimension of CloudWatch's metrics.

    Raises
    ------
    MissingExtra
        prometheus-client is not installed.

    References
    ----------
    Prometheus, exposition formats. Amazon CloudWatch user guide, specification: embedded metric format.
    """

    def __init__(self, archive: str, namespace: str) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            raise MissingExtra("the worker needs prometheus-client: pip install 'lightkeep[worker]'") from error
        self._archive, self._namespace = archive, namespace
        self._registry = CollectorRegistry()
        name = "lightkeep_worker_"
        self._files = Counter(f"{name}files", "Files done with", ["outcome"], registry=self._registry)
        self._bytes = Counter(f"{name}bytes", "Bytes of raw files stored", registry=self._registry)
        self._commits = Counter(f"{name}commits", "Commits made", registry=self._registry)
        self._failures = Counter(f"{name}failures", "What went wrong", ["kind"], registry=self._registry)
        self._lag = Histogram(f"{name}lag_seconds", "From event to visible", buckets=_LAGS, registry=self._registry)
        self._depth = Gauge(f"{name}queue_depth", "Messages in the queue", ["state"], registry=self._registry)
        self._held = Gauge(f"{name}messages_held", "Messages that this worker works on", registry=self._registry)
        self._lock = threading.Lock()
        self._since: dict[str, float] = defaultdict(float)  # since the last line for CloudWatch
        self._lags: list[float] = []
        self._depths: dict[str, int] = {}

    def done(self, outcome: str, size: int = 0, lag: float | None = None) -> None:
        """Count a file: what came of it, its bytes, and s from its event until readers see it."""
        self._files.labels(outcome).inc()
        self._bytes.inc(size)
        if lag is not None:
            self._lag.observe(lag)
        with self._lock:
            self._since["Files"] += outcome == "stored"
            self._since["Refused"] += outcome == "refused"
            self._since["Bytes"] += size
            if lag is not None:
                self._lags.append(round(lag, 3))

    def committed(self) -> None:
        """Count a commit."""
        self._commits.inc()

    def failed(self, kind: str) -> None:
        """Count something that went wrong, by the class of its error."""
        self._failures.labels(kind).inc()
        with self._lock:
            self._since["Failures"] += 1

    def queue(self, depths: Mapping[str, int], held: int) -> None:
        """Take note of how many messages there are, by their state, and how many this worker holds."""
        for state, count in depths.items():
            self._depth.labels(state).set(count)
        self._held.set(held)
        with self._lock:
            self._depths = dict(depths)

    def prometheus(self) -> bytes:
        """Return all counts since the start in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def embedded(self) -> list[str]:
        """Return what was counted since the last call as lines in CloudWatch's embedded metric format."""
        with self._lock:
            since, self._since = self._since, defaultdict(float)
            lags, self._lags = self._lags, []
            depths = dict(self._depths)
        values: dict[str, Any] = {name: since[name] for name in ("Files", "Bytes", "Failures", "Refused")}
        if "visible" in depths:
            values |= {"QueueDepth": depths["visible"], "QueueInFlight": depths.get("in_flight", 0)}
        lines = [self._line(values | ({"Lag": lags[:_MOST_VALUES]} if lags else {}))]
        lines += [
            self._line({"Lag": lags[start : start + _MOST_VALUES]})
            for start in range(_MOST_VALUES, len(lags), _MOST_VALUES)
        ]
        return lines

    def _line(self, values: Mapping[str, Any]) -> str:
        metrics = [{"Name": name, "Unit": _UNITS[name]} for name in values]
        directive = {"Namespace": self._namespace, "Dimensions": [["Archive"]], "Metrics": metrics}
        about = {"Timestamp": round(time.time() * 1e3), "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": about, "Archive": self._archive, **values})
