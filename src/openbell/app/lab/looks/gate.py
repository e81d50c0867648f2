"""The gate, asked about an order as its command is, and how its models stood out of sample."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.gate_ask import Answered, ask, moment
from openbell.app.parsing import Parsed, parsed
from openbell.core.errors import BadInput, DataMissing
from openbell.dialects.reading import DIALECTS

if TYPE_CHECKING:
    from openbell.app.gate_report import GateReport
    from openbell.app.gate_training import GateTraining
    from openbell.app.home import Home

__all__ = ["DIALECTS", "LONGEST_TEXT", "Looked", "asked", "log_report", "model_rows", "standing"]

#: Longest text that the page takes; a file of orders belongs to the command.
LONGEST_TEXT = 20_000
_MODELS = (
    "model", "kind", "n", "days", "skill_nats", "skill_nats_low", "skill_nats_high", "usd_over_all",
    "usd_over_all_low", "usd_over_all_high", "ece", "ece_by_chance", "accuracy", "base_accuracy", "taken",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Looked:
    """How a text was read, and what the gate says of its orders as of `at`; nothing of it is stored."""

    at: dt.datetime
    parsed: Parsed
    answered: Answered


def asked(
    home: Home,
    text: str,
    *,
    now: dt.datetime,
    dialect: str = "auto",
    as_of: str | None = None,
    price: float | None = None,
    volatility: float | None = None,
) -> Looked:
    """The answer of `openbell odds` to `text` as of a moment, `now` where none is given.

    Raises
    ------
    BadInput
        On no text, one that is too long, or a moment, price or volatility that cannot be.
    """
    if not text.strip():
        raise BadInput("There is no order to look at: the field is empty. Paste one, or take an example.")
    if len(text) > LONGEST_TEXT:
        raise BadInput(
            f"The text has {len(text):,} characters; the page takes {LONGEST_TEXT:,}. Use `openbell parse FILE`."
        )
    at = moment(as_of or now.isoformat(), home.sessions)
    answered = ask(home, text, dialect=dialect, as_of=at.isoformat(), price=price, volatility=volatility)
    return Looked(at, parsed(text, dialect=dialect, at=at), answered)


def standing(home: Home, now: dt.datetime) -> GateTraining:
    """The last training of the gate, with the scores of its walk-forward.

    Raises
    ------
    DataMissing
        Without one.
    """
    from openbell.app.gate_training import latest_gate

    found = None
    with contextlib.suppress(DataMissing):  # no journal is no training
        found = latest_gate(home, now) if home.kept_journal.head.records else None
    if found is None:
        raise DataMissing("The gate was not trained yet: the price alone speaks, and nothing is accepted.")
    return found


def model_rows(training: GateTraining) -> pl.DataFrame:
    """A row per model of the walk-forward, candidates by their skill first, then the baselines."""
    models = training.scores.models
    return models.select(name for name in _MODELS if name in models.columns).sort(
        pl.col("kind") == "baseline", "skill_nats", descending=[False, True], nulls_last=True
    )


def log_report(home: Home) -> GateReport:
    """What the prediction log was worth, where outcomes are known; `DataMissing` where nothing can be judged."""
    from openbell.app.gate_report import gate_report

    return gate_report(home, live=True)
