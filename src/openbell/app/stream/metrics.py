"""What a stream counts and times, for Prometheus and for its own summary."""

from __future__ import annotations

from collections import Counter as Counts
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

#: The stages that are timed; `waited` is how long a moment was held open for bars that had not come, and `store` all
#: from the vote to signals on record, their `reasons` included.
STAGES = ("waited", "features", "inference", "reasons", "store", "end_to_end")
#: Moments whose times are kept for the percentiles.
MOST_TIMES = 100_000
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0, 2.5, 5.0)


class StreamMetrics:
    """Counts and times of one stream; in a registry of its own where prometheus_client is installed."""

    def __init__(self) -> None:
        self.counts: Counts[tuple[str, ...]] = Counts()
        self._times: dict[str, deque[float]] = {stage: deque(maxlen=MOST_TIMES) for stage in STAGES}
        self.registry: Any = None
        self._counters, self._seconds, self._drift = _instruments(self)

    def count(self, what: str, label: str = "", number: int = 1) -> None:
        """Add to ``stream_<what>_total``: bars by result, moments by kind, signals by call, held by check, members."""
        self.counts[(what, label)] += number
        if number and what in self._counters:
            self._counters[what].labels(label).inc(number)

    def time(self, stage: str, seconds: float) -> None:
        """Add one time."""
        self._times[stage].append(seconds)
        if self._seconds is not None:
            self._seconds.labels(stage).observe(seconds)

    def drifted(self, log_loss: float) -> None:
        """Show the log-loss of what was said, of the outcomes that are known."""
        if self._drift is not None:
            self._drift.set(log_loss)

    def by(self, what: str) -> dict[str, int]:
        """The counts of `what` by label."""
        return {label: number for (name, label), number in sorted(self.counts.items()) if name == what and number}

    def total(self, what: str) -> int:
        """All counts of `what`."""
        return sum(self.by(what).values())

    @property
    def latency_ms(self) -> Mapping[str, Mapping[str, float]]:
        """Percentiles 50, 95 and 99 of each stage in milliseconds, of the latest `MOST_TIMES` moments."""
        found = {}
        for stage, times in self._times.items():
            if times:
                p50, p95, p99 = np.percentile(np.fromiter(times, dtype=np.float64), (50, 95, 99)) * 1e3
                found[stage] = {"p50": float(p50), "p95": float(p95), "p99": float(p99), "n": float(len(times))}
        return found

    def serve(self, port: int) -> Any:
        """Answer Prometheus on 127.0.0.1:`port`; the server, to be shut down."""
        from openbell.core.errors import DataMissing

        if self.registry is None:
            raise DataMissing("Metrics need prometheus_client, which is not installed: `pip install openbell[serve]`.")
        from prometheus_client import start_http_server

        return start_http_server(port, addr="127.0.0.1", registry=self.registry)[0]


def _instruments(own: StreamMetrics) -> tuple[dict[str, Any], Any, Any]:
    try:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
    except ModuleNotFoundError:
        return {}, None, None
    disable_created_metrics()
    own.registry = CollectorRegistry()
    words = {
        "bars": ("Bars, by what became of them.", "result"),
        "moments": ("Moments, by what was done.", "kind"),
        "signals": ("Signals given, by call.", "call"),
        "held": ("Signals held back, by check.", "check"),
        "missing": ("Votes a member was not heard in, by member.", "member"),
        "messages": ("Messages that could not be read, by source.", "source"),
        "published": ("Signals published, by result.", "result"),
    }
    counters = {
        name: Counter(f"stream_{name}_total", about, [label], registry=own.registry)
        for name, (about, label) in words.items()
    }
    times = Histogram("stream_seconds", "Seconds of a moment, by stage.", ["stage"], buckets=_SECONDS,
                      registry=own.registry)  # fmt: skip
    drift = Gauge("stream_log_loss", "Log-loss of what was said, where the outcome is known.", registry=own.registry)
    return counters, times, drift
