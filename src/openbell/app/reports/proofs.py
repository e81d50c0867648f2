"""From what a training left behind to what a report may show of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.app.reports.daily import Proof, curve_names
from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure, headline_figures, measure_rows


def proof_of(frames: Mapping[str, pl.DataFrame], figures: Mapping[str, Any]) -> Proof:
    """The evidence of a walk-forward training and of the back-test on its out-of-sample scores.

    Parameters
    ----------
    frames : ``ics`` (``session`` and one column per candidate), ``candidates``, ``equity``, ``regimes``, ``quantiles``.
    figures : ``metrics``, ``excess``, ``spread``, ``choice``, ``quantiles_of``, ``horizon_sessions``, ``parameters``,
        ``notes``, as plain values.
    """
    choice, parameters = figures["choice"], figures["parameters"]
    champion = choice["champion"]
    model = champion or figures["quantiles_of"]
    candidates = frames["candidates"]
    # Every candidate that was set up counts as tried, also one that turned out to have nothing to say.
    tries = max(int(choice["tries"]), candidates.height, 1)
    benchmark = parameters["benchmark"]
    curves = curve_names(benchmark, model, champion is not None)
    how = {"split": OUT_OF_SAMPLE, "tries": tries}
    shown = headline_figures(figures["metrics"], figures["excess"], benchmark=benchmark, **how)
    return Proof(
        **how,
        model=model,
        champion=champion is not None,
        horizon_sessions=int(figures["horizon_sessions"]),
        benchmark=benchmark,
        costs=costs_in_words(parameters),
        figures=(*_mean_rank_ic(candidates, model, tries), *shown),
        measures=tuple(measure_rows(figures["metrics"], curves)),
        equity=frames["equity"],
        ics=_coefficients(frames["ics"], model),
        quantiles=frames["quantiles"],
        spread=figure(
            "Highest less lowest quantile",
            figures["spread"],
            baseline=0.0,
            baseline_name="no spread",
            counted="dates",
            unit="percent",
            **how,
        ),
        candidates=candidates,
        regimes=frames["regimes"],
        choice=tuple(choice["why"]),
        notes=tuple(figures["notes"]),
    )


def costs_in_words(parameters: Mapping[str, Any]) -> str:
    """What the back-test paid, and where it filled."""
    commission, slippage = parameters["commission_bp"], parameters["slippage_bp"]
    return (
        f"After {commission:g} bp commission and {slippage:g} bp slippage on every trade, filled at the "
        f"{parameters['execution']}."
    )


def _mean_rank_ic(candidates: pl.DataFrame, model: str | None, tries: int) -> tuple[Figure | TooFew, ...]:
    """The model's mean rank IC as StepM saw it; none where no candidate could be judged."""
    named = pl.lit(False) if model is None else pl.col("candidate") == model
    judged = candidates.filter(named & pl.col("mean_rank_ic").is_not_null())
    if judged.is_empty():
        return ()
    row = judged.row(0, named=True)
    measured = {
        "value": row["mean_rank_ic"],
        "low": row["lower"],
        "high": row["upper"],
        "n": row["dates"],
        "level": 0.95,
    }
    return (
        figure(
            f"Mean rank IC of {model}",
            measured,
            baseline=0.0,
            baseline_name="no skill",
            split=OUT_OF_SAMPLE,
            tries=tries,
            counted="dates",
            unit="ic",
        ),
    )


def _coefficients(ics: pl.DataFrame, model: str | None) -> pl.DataFrame:
    value = pl.col(model) if model in ics.columns else pl.lit(None, dtype=pl.Float64)
    return ics.select("session", value.alias("rank_ic"))
