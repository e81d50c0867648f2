"""The prediction log as a walk: what was said before the outcome of each trade was known, by whatever spoke then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from openbell.core.assessment import Answer
from openbell.core.errors import DataMissing
from openbell.core.time import MOMENT
from openbell.core.trade_rows import LEVELS
from openbell.research.gate_walk import running_base_rate

if TYPE_CHECKING:
    from openbell.store.prediction_rows import Logged
    from openbell.store.predictions import Predictions

#: Name under which everything that was served is judged: arms of an A/B test and versions of models follow each other.
SERVED = "served"

_SCHEMA = {
    "trade": pl.String, "session": pl.Date, "known_at": MOMENT, "outcome_known_at": MOMENT, "symbol": pl.String,
    "strategy": pl.String, "price_probability": pl.Float64, "win": pl.Boolean, "profit_usd": pl.Float64,
    "risk_usd": pl.Float64, "reward_usd": pl.Float64, "probability": pl.Float64, "level": pl.String,
    "threshold": pl.Float64, "expected_usd": pl.Float64, "take": pl.Boolean,
}  # fmt: skip


def _logged(log: Predictions) -> Iterator[Logged]:
    cursor = None
    while True:
        page = log.history(limit=1000, cursor=cursor)
        yield from page.rows
        cursor = page.cursor
        if cursor is None:
            return


def log_frame(log: Predictions) -> pl.DataFrame:
    """Every prediction of the log, oldest first; what is not known is null."""
    rows = []
    for each in _logged(log):
        said = each.prediction
        # The same trade of the same caller is one trade, however often it was asked about.
        trade = f"{said.key_id or ''}/{said.trade_id}" if said.trade_id is not None else f"/{said.id}"
        rows.append(
            (
                trade, said.day, said.at, each.outcome_known_at, said.symbol, said.strategy, said.price_probability,
                each.win, each.profit_usd, said.risk_usd, said.reward_usd, said.probability, said.model_level,
                said.threshold, said.expected_value_usd, said.answer != Answer.REFUSE,
            )
        )  # fmt: skip
    return pl.DataFrame(rows[::-1], schema=_SCHEMA, orient="row")


def live_walk(log: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frame of `log_frame` as `gate_walk.walk` makes one, and why the other rows are not in it.

    Of a trade that was asked about several times the first answer counts. Profits and risks are of the whole order, as
    it was asked.

    Returns
    -------
    tuple
        The walk of the models `SERVED` and ``price``, and a frame ``what``, ``reason``, ``trades``, ``share``.

    Raises
    ------
    DataMissing
        Where no prediction with odds has a known outcome.
    """
    reason = pl.coalesce(
        pl.when(~pl.col("trade").is_first_distinct()).then(pl.lit("the trade was asked about before")),
        pl.when(pl.col("probability").is_null()).then(pl.lit("no model spoke")),
        pl.when(pl.col("price_probability").is_null()).then(pl.lit("its price gave no odds")),
        pl.when(pl.col("win").is_null()).then(pl.lit("its outcome is not known")),
        pl.when(pl.col("risk_usd").is_null()).then(pl.lit("its loss has no bound")),
        pl.lit("judged"),
    )
    marked = log.with_columns(reason=reason)
    rows = marked.filter(pl.col("reason") == "judged").drop("reason")
    if rows.is_empty():
        raise DataMissing(
            f"None of {log.height} predictions in the log has odds and a known outcome. Tell outcomes to the service, "
            "or report on a walk-forward."
        )
    return _walked(rows), _counted(marked)


def _counted(marked: pl.DataFrame) -> pl.DataFrame:
    counts = marked.group_by("reason").agg(pl.len().cast(pl.Int64).alias("trades"))
    counts = counts.sort(pl.col("reason") != "judged", "trades", "reason", descending=[False, True, False])
    share = (pl.col("trades") / marked.height).alias("share")
    return counts.select(pl.lit("predictions in the log").alias("what"), "reason", "trades", share)


def _walked(rows: pl.DataFrame) -> pl.DataFrame:
    table = rows.with_columns(
        trade=pl.int_range(pl.len(), dtype=pl.UInt32),
        threshold=pl.col("threshold").fill_null(0.5),
        level=pl.col("level").fill_null("default"),
        ratio=pl.col("reward_usd") / pl.col("risk_usd"),
        effective_n=pl.lit(None, pl.Float64),
        fitted_at=pl.lit(None, MOMENT),
        fold=pl.lit(0, pl.Int64),
    )
    spoke = [(pl.col("level") == level).cast(pl.Float64).alias(f"weight_{level}") for level in LEVELS]
    table = table.with_columns(*spoke, base_rate=running_base_rate(table))
    # The price alone would have taken what it calls more likely won than lost; what it is worth, the log does not say.
    q = pl.col("price_probability")
    price = table.with_columns(probability=q, take=q >= 0.5, expected_usd=pl.lit(None, pl.Float64))
    both = [each.with_columns(model=pl.lit(name)) for name, each in ((SERVED, table), ("price", price))]
    return pl.concat(both).sort("trade", maintain_order=True)
