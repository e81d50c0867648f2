"""Prometheus metrics, right with several workers: each writes to its own files, and a scrape adds them up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

from openbell.core.trade_rows import SHEET_STRATEGIES, SHEET_SYMBOLS

#: Anything else is counted under this word, so that callers cannot make new series.
OTHER = "other"
#: The folder of the workers' files, which must be in the environment before prometheus_client is imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0, 2.5, 5.0)
_AGES = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 86_400.0)


def symbol_label(symbol: str) -> str:
    """`symbol` where the gate has models of it, else one word for all others."""
    return symbol if symbol in SHEET_SYMBOLS else OTHER


def strategy_label(strategy: str) -> str:
    """`strategy` where the gate has models of it, else one word for all others."""
    return strategy if strategy in SHEET_STRATEGIES else OTHER


disable_created_metrics()  # a second series for each counter, which says only when it began


class Metrics:
    """Every metric of one service, in a registry of its own."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self.registry = own
        pair = ["symbol", "strategy"]
        latest: Any = "mostrecent"
        self.predictions = Counter("predictions_total", "Answers given, by verdict.", [*pair, "result"], registry=own)
        self.duration = Histogram(
            "prediction_duration_seconds", "Seconds from a request to its answer.", buckets=_SECONDS, registry=own
        )
        self.requests = Counter("api_requests_total", "Requests, by path and status.", ["path", "status"], registry=own)
        self.errors = Counter("api_errors_total", "Requests answered by 5xx, by status.", ["status"], registry=own)
        self.refused = Counter("api_refusals_total", "Requests answered by 4xx, by status.", ["status"], registry=own)
        self.cache = Counter("cache_requests_total", "Looks into a cache.", ["cache", "result"], registry=own)
        self.market_age = Histogram(
            "market_data_age_seconds", "Age of the market an answer stands on.", ["source"], buckets=_AGES, registry=own
        )
        self.no_market = Counter("market_data_missing_total", "Questions without a fresh market.", registry=own)
        self.unread = Counter("log_figures_missing_total", "Metrics of the log that could not be read.", registry=own)
        self.batch_size = Histogram(
            "assessment_batch_size", "Questions assessed in one call.", buckets=(1, 2, 5, 10, 25, 50, 100), registry=own
        )
        self.signals_pushed = Counter("signals_pushed_total", "Signals handed to those who listen.", registry=own)
        self.signal_actions = Counter(
            "signal_actions_total", "Signals said to be executed, or cancelled.", ["action", "result"], registry=own
        )
        self.accuracy = Gauge(
            "model_accuracy",
            "Share of joined outcomes that the model said rightly, where there are enough of them.",
            pair,
            registry=own,
            multiprocess_mode=latest,
        )
        self.judged = Gauge(
            "model_outcomes", "Joined outcomes of predictions by a model.", pair, registry=own, multiprocess_mode=latest
        )
        self.calibration = Gauge(
            "model_calibration_error",
            "Expected calibration error of joined outcomes.",
            registry=own,
            multiprocess_mode=latest,
        )
        self.drift = Gauge(
            "model_drift_distance",
            "Kolmogorov-Smirnov distance of the newest days' probabilities from those before.",
            registry=own,
            multiprocess_mode=latest,
        )

    def answered(self, symbol: str, strategy: str, result: str) -> None:
        """Count one answer."""
        self.predictions.labels(symbol_label(symbol), strategy_label(strategy), result).inc()

    def request(self, path: str, status: int) -> None:
        """Count one request."""
        self.requests.labels(path, str(status)).inc()
        if status >= 500:
            self.errors.labels(str(status)).inc()
        elif status >= 400:
            self.refused.labels(str(status)).inc()

    def looked(self, cache: str, hit: bool) -> None:
        """Count one look into a cache."""
        self.cache.labels(cache, "hit" if hit else "miss").inc()

    def judge(self, accuracy: Iterable[Mapping[str, Any]], least: int) -> None:
        """Show the accuracy of each pair that has `least` outcomes or more; the number of outcomes of every pair."""
        for row in accuracy:
            pair = (symbol_label(row["symbol"]), strategy_label(row["strategy"]))
            if OTHER in pair:
                continue
            self.judged.labels(*pair).set(row["n"])
            if row["n"] >= least and row["accuracy"] is not None:
                self.accuracy.labels(*pair).set(row["accuracy"])

    def text(self) -> bytes:
        """Everything in Prometheus' text format, of all workers where there are several."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
        return generate_latest(together)
