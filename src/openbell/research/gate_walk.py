"""Models of proposed trades walked forward by whole days: every forecast by a fit that knew nothing of its day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.trade_rows import LEVELS

Progress = Callable[[int, int, str], None]

#: Columns of the rows that a walk needs besides the features.
NEEDED = (
    "session", "known_at", "outcome_known_at", "symbol", "strategy", "price_probability", "win", "profit_usd",
    "risk_usd",
)  # fmt: skip
#: Columns that travel along where the rows have them: the worth of a win and of a loss under the price's own density,
#: reward over risk, and the odds of a fair bet.
BESIDE = ("win_usd", "loss_usd", "ratio", "fair_probability")
#: An expected value within this of the risk is 0: what is left of a fair price after rounding is no edge.
ROUNDING = 1e-9


class Said(Protocol):
    """What a model says of n rows: calibrated probability, the level that speaks, weights of all, trades behind."""

    probability: np.ndarray
    level: np.ndarray
    weights: np.ndarray
    effective_n: np.ndarray


class Fitted(Protocol):
    """All models of one fit, calibrated, with their thresholds."""

    def forecast(self, name: str, rows: pl.DataFrame) -> Said:
        """What the model `name` says."""
        ...

    def threshold(self, name: str, rows: pl.DataFrame) -> np.ndarray:
        """What the probability of each row must reach, shape (n,)."""
        ...


class Fit(Protocol):
    """Everything that is fitted on some rows, oldest first, at the moment `fit_at`: outcomes of later are refused."""

    def __call__(
        self, rows: pl.DataFrame, features: Sequence[str], names: Sequence[str], *, fit_at: dt.datetime
    ) -> Fitted:
        """The models `names`, fitted."""
        ...


@dataclass(frozen=True, slots=True)
class Fold:
    """One fit: it sees `train` (positions in the rows) and forecasts `test`, both rising; `at` is when it is made."""

    at: dt.datetime
    train: np.ndarray
    test: np.ndarray
    first: dt.date
    last: dt.date


def folds(
    rows: pl.DataFrame, *, min_train_days: int, train_days: int | None = None, refit_days: int
) -> tuple[Fold, ...]:
    """Folds of whole days over `rows`, which are sorted by ``session``.

    Parameters
    ----------
    rows : ``session``, ``known_at``, ``outcome_known_at``.
    min_train_days : days with a known outcome before the first forecast. train_days : the newest ones only; None takes
        all. refit_days : days that one fit forecasts.

    Notes
    -----
    A fit is made when the first trade of its first day is proposed. It sees rows of earlier days whose outcome was
    known by then, so no day is on both sides, and what is still open is nowhere.
    """
    for name, days in {"min_train_days": min_train_days, "train_days": train_days, "refit_days": refit_days}.items():
        if days is not None and days < 1:
            raise BadInput(f"`{name}` must be at least 1; was {days}.")
    session = rows["session"].to_physical().to_numpy()
    days, start, position = np.unique(session, return_index=True, return_inverse=True)
    known = rows["outcome_known_at"].dt.epoch("us").to_numpy()
    opens = np.minimum.reduceat(rows["known_at"].dt.epoch("us").to_numpy(), start) if len(days) else np.empty(0)
    found = []
    for first in range(_first_forecast(known, position, opens, min_train_days), len(days), refit_days):
        seen = np.flatnonzero((position < first) & (known <= opens[first]))
        if train_days is not None:
            seen = seen[position[seen] >= np.unique(position[seen])[-train_days:][0]]
        test = np.flatnonzero((position >= first) & (position < first + refit_days))
        at = rows["known_at"][test[position[test] == first].tolist()].min()
        assert isinstance(at, dt.datetime)
        found.append(Fold(at, seen, test, rows["session"][int(test[0])], rows["session"][int(test[-1])]))
    return tuple(found)


def _first_forecast(known: np.ndarray, position: np.ndarray, opens: np.ndarray, min_train_days: int) -> int:
    """The first day before which the outcomes of enough earlier days were known; the number of days if there is none.

    A day counts from its first known outcome, which is after its own first trade, so none counts for itself.
    """
    earliest = np.full(len(opens), np.iinfo(np.int64).max)
    np.minimum.at(earliest, position, known)
    behind = np.searchsorted(np.sort(earliest), opens, side="right")
    enough = np.flatnonzero(behind >= min_train_days)
    return int(enough[0]) if len(enough) else len(opens)


def walk(
    rows: pl.DataFrame,
    features: Sequence[str],
    names: Sequence[str],
    *,
    fit: Fit,
    min_train_days: int = 120,
    train_days: int | None = None,
    refit_days: int = 60,
    jobs: int = 1,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Out-of-sample forecasts of every model for every trade from the first that has enough days before it.

    Parameters
    ----------
    rows : trades with a known outcome: the columns of `NEEDED`, those of `BESIDE` where there are any, the features.
    names : of the models. fit : makes them; see `gate_training`. The other arguments as for `folds`.
    jobs : processes, one fit each; they change no result.

    Returns
    -------
    polars.DataFrame
        A row per trade and model, by trade and then in the order of `names`: ``trade`` (position in `rows`), the keys
        and what is beside them, ``model``, ``fold``, ``fitted_at``, ``probability``, ``level``, ``weight_`` of each
        level, ``effective_n``, ``threshold``, ``base_rate``, ``expected_usd``, ``take``.

    Raises
    ------
    BadInput
        Where columns or outcomes are missing, a trade knows its outcome before it is proposed, or there are too few
        days for a single forecast.

    Notes
    -----
    ``base_rate`` is the share of wins of the strategy among all outcomes known before the first trade of the day, by
    the rule of succession. A trade is taken where its probability reaches the threshold and its expected value after
    costs is above 0; the value of a win and of a loss are the price's own (``win_usd``, ``loss_usd``). Where the rows
    do not have these two, ``expected_usd`` is null and the odds must be above the price's instead.
    """
    table = checked(rows, features)
    parts = folds(table, min_train_days=min_train_days, train_days=train_days, refit_days=refit_days)
    if not parts:
        raise BadInput(
            f"There are {table['session'].n_unique()} days of trades with a known outcome; the first forecast needs "
            f"{min_train_days} before it. Import more trades, or set `gate.min_train_days`."
        )
    from joblib import Parallel, delayed

    said: list[pl.DataFrame] = []
    done = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_forecasts)(table[each.train], table[each.test], features, names, fit, each.at) for each in parts
    )
    for number, (each, frame) in enumerate(zip(parts, done, strict=True)):
        marks = (pl.lit(number, pl.Int64).alias("fold"), pl.lit(each.at, pl.Datetime("us", "UTC")).alias("fitted_at"))
        said.append(frame.with_columns(*marks))
        if progress is not None:
            progress(number + 1, len(parts), f"forecasts from {each.first} to {each.last}")
    return _joined(table, pl.concat(said), names)


def checked(rows: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """`rows` in order of time with their position as ``trade``; refuses what a walk cannot be made of."""
    missing = [name for name in (*NEEDED, *features) if name not in rows.columns]
    if missing:
        raise BadInput(f"The rows of a walk lack {', '.join(f'`{name}`' for name in missing)}.")
    nulls = {name: rows[name].null_count() for name in NEEDED if rows[name].null_count()}
    if nulls:
        told = ", ".join(f"`{name}` of {count}" for name, count in nulls.items())
        raise BadInput(f"Of {rows.height} rows {told} are null. Leave them out and count them: a missing outcome "
                       "is no loss.")  # fmt: skip
    early = rows.filter(pl.col("outcome_known_at") <= pl.col("known_at")).height
    if early:
        raise BadInput(f"{early} of {rows.height} trades know their outcome before they are proposed.")
    odd = rows.filter(~pl.col("price_probability").is_between(0.0, 1.0)).height
    if odd:
        raise BadInput(f"{odd} of {rows.height} prices imply a probability outside [0, 1].")
    return rows.with_row_index("trade").sort("session", "known_at", "symbol", "strategy", maintain_order=True)


def _forecasts(
    train: pl.DataFrame,
    test: pl.DataFrame,
    features: Sequence[str],
    names: Sequence[str],
    fit: Fit,
    fit_at: dt.datetime,
) -> pl.DataFrame:
    """What the models fitted on `train` say of `test`; the check that no day is on both sides stands here too."""
    if train["session"].max() >= test["session"].min():  # type: ignore[operator]
        raise BadInput(f"The fold from {test['session'].min()} would train on its own days.")
    fitted = fit(train.drop("trade"), features, names, fit_at=fit_at)
    asked = test.drop("trade", "win", "profit_usd", "outcome_known_at")
    return pl.concat([_said(test["trade"], name, fitted, asked) for name in names])


def _said(trade: pl.Series, name: str, fitted: Fitted, asked: pl.DataFrame) -> pl.DataFrame:
    """The forecasts of one model, which is not shown the outcomes."""
    said, threshold = fitted.forecast(name, asked), fitted.threshold(name, asked)
    probability = np.asarray(said.probability, dtype=np.float64)
    if probability.shape != (len(trade),) or not np.isfinite(probability).all():
        raise BadInput(
            f"The model `{name}` gave {probability.shape} probabilities of {len(trade)} trades, or no number."
        )
    weights = np.asarray(said.weights, dtype=np.float64)
    return pl.DataFrame(
        {
            "trade": trade,
            "model": [name] * len(trade),
            "probability": probability,
            "level": pl.Series([str(each) for each in said.level], dtype=pl.String),
            **{f"weight_{level}": weights[:, at] for at, level in enumerate(LEVELS)},
            "effective_n": np.asarray(said.effective_n, dtype=np.float64),
            "threshold": np.asarray(threshold, dtype=np.float64),
        }
    )


def _joined(table: pl.DataFrame, said: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Forecasts beside what they are judged by, with the rule that takes or leaves each trade."""
    kept = ["trade", *NEEDED, *(name for name in BESIDE if name in table.columns)]
    keys = table.select(kept).with_columns(base_rate=running_base_rate(table))
    order = pl.DataFrame({"model": list(names), "place": range(len(names))})
    joined = keys.join(said, on="trade", how="inner", maintain_order="left").join(
        order, on="model", maintain_order="left"
    )
    valued = {"win_usd", "loss_usd"} <= set(kept)
    p = pl.col("probability")
    value = p * pl.col("win_usd") + (1.0 - p) * pl.col("loss_usd") if valued else pl.lit(None, pl.Float64)
    above = pl.col("expected_usd") > ROUNDING * pl.col("risk_usd")
    worth = above if valued else p > pl.col("price_probability") + ROUNDING
    return (
        joined.with_columns(expected_usd=value)
        .with_columns(take=((p >= pl.col("threshold")) & worth).fill_null(False))
        .sort("session", "known_at", "symbol", "strategy", "trade", "place", maintain_order=True)
        .drop("place")
    )


def running_base_rate(rows: pl.DataFrame) -> pl.Series:
    """Share of wins of each row's strategy among the outcomes known before the first trade of its day.

    ``(wins + 1) / (trades + 2)``, the rule of succession: 0.5 where nothing is known, and never 0 or 1.
    """
    opens = pl.col("known_at").min().over("session")
    asked = rows.select("strategy", opens.alias("at")).with_row_index("row").sort("at")
    known = (
        rows.select("strategy", pl.col("outcome_known_at").alias("at"), pl.col("win").cast(pl.Float64))
        .sort("at", maintain_order=True)
        .with_columns(
            (pl.col("win").cum_sum().over("strategy") + 1.0).alias("wins"),
            (pl.col("win").cum_count().over("strategy") + 2.0).alias("trades"),
        )
        .select("strategy", "at", (pl.col("wins") / pl.col("trades")).alias("base_rate"))
    )
    found = asked.join_asof(known, on="at", by="strategy", strategy="backward", check_sortedness=False)
    return found.sort("row")["base_rate"].fill_null(0.5)
