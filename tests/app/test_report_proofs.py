"""What a training left behind becomes evidence, or is refused."""

import sys
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest

from openbell.app.reports.daily import write_report
from openbell.app.reports.figures import Figure
from openbell.app.reports.proofs import proof_of

sys.path.insert(0, str(Path(__file__).parent))
import report_of_a_day as day


def left_behind(champion: str | None = "lightgbm") -> tuple[dict, dict]:
    equity, ics, _, parts, metrics, excess, regimes = day.measured(1500)
    frames = {
        "ics": ics.select("session", pl.col("rank_ic").alias("lightgbm"), pl.lit(0.01).alias("ridge")),
        "candidates": day.proof(champion=champion is not None).candidates,
        "equity": equity,
        "regimes": regimes,
        "quantiles": parts.table,
    }
    figures = {
        "metrics": {name: asdict(each) for name, each in metrics.items()},
        "excess": {name: asdict(each) for name, each in excess.items()},
        "spread": asdict(parts.spread),
        "choice": {"champion": champion, "tries": 4, "why": ["The champion is `lightgbm`."]},
        "quantiles_of": "lightgbm",
        "horizon_sessions": 5,
        "parameters": {"benchmark": "SPY", "commission_bp": 1.0, "slippage_bp": 2.0, "execution": "open"},
        "notes": ["One."],
    }
    return frames, figures


def test_evidence_of_a_champion() -> None:
    got = proof_of(*left_behind())
    assert got.tries == 5, "the candidate that abstained was tried too"
    assert got.champion
    first = got.figures[0]
    assert isinstance(first, Figure)
    assert (first.name, first.value, first.low, first.high, first.n) == (
        "Mean rank IC of lightgbm",
        0.0441,
        0.021,
        0.068,
        1500,
    )
    assert got.costs == "After 1 bp commission and 2 bp slippage on every trade, filled at the open."
    assert got.ics.columns == ["session", "rank_ic"]
    assert len(got.measures[0]["cells"]) == 3
    assert "Mean rank IC of lightgbm" in write_report(day.report(proof=got))


def test_without_a_champion_the_best_candidate_is_shown_as_one_that_did_not_survive() -> None:
    got = proof_of(*left_behind(None))
    assert (got.champion, got.model) == (False, "lightgbm")
    html = write_report(day.report(proof=got))
    assert "this desk without a view" in html
    assert "No candidate earned a view" in html


def test_without_any_judged_candidate_there_is_no_coefficient() -> None:
    frames, figures = left_behind(None)
    unjudged = frames["candidates"].with_columns(
        pl.lit(None, dtype=pl.Float64).alias(name)
        for name in ("mean_rank_ic", "lower", "upper", "statistic", "p_value")
    )
    got = proof_of({**frames, "candidates": unjudged}, {**figures, "quantiles_of": None})
    assert not any(each.name.startswith("Mean rank IC") for each in got.figures)
    assert got.ics["rank_ic"].null_count() == got.ics.height
    assert "could not be judged" in write_report(day.report(proof=got))


@pytest.mark.parametrize("missing", ["metrics", "choice", "parameters", "excess"])
def test_evidence_with_a_part_missing_is_no_evidence(missing: str) -> None:
    frames, figures = left_behind()
    with pytest.raises(KeyError, match=missing):
        proof_of(frames, {name: value for name, value in figures.items() if name != missing})
