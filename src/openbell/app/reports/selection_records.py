"""A tournament as plain records for its files: what a program reads, with the n, tries and split of every figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.app.outputs import finite
from openbell.app.reports.figures import OUT_OF_SAMPLE
from openbell.app.reports.selection_board import Board, checked, tries_of
from openbell.research.contest import Contest


def comparison_matrix(of: Board) -> pl.DataFrame:
    """Sharpe ratios: models as rows, allocators as columns, no holes.

    A model that lacks a back-test with one of the allocators is not in it; it is in ``backtest_comparison.csv``,
    ``failures.csv`` and, by name, in the report.
    """
    matrix = of.contest.matrix
    allocators = matrix["allocator"].unique(maintain_order=True).to_list()
    if not allocators:
        return pl.DataFrame(schema={"model": pl.String})
    wide = matrix.pivot("allocator", index="model", values="sharpe", sort_columns=False)
    return wide.select("model", *allocators).drop_nulls()


def importances(contest: Contest) -> pl.DataFrame:
    """Permutation per fold and SHAP in one long table; `kind` says which, and SHAP has neither fold nor spread."""
    permuted = contest.importance.select(
        "model",
        "feature",
        pl.lit("permutation").alias("kind"),
        "fold",
        pl.col("drop").cast(pl.Float64).alias("value"),
        pl.col("spread").cast(pl.Float64),
    )
    shap = contest.shap.select(
        "model", "feature", pl.lit("shap").alias("kind"), pl.col("mean_abs").cast(pl.Float64).alias("value")
    )
    return pl.concat([permuted, shap], how="diagonal")


def detailed_results(of: Board) -> list[dict[str, Any]]:
    """Every run with all its measures, its n, tries and span; the keys of S2.30 first among them (check 5)."""
    contest = of.contest
    regimes: dict[str, dict[str, Any]] = {}
    for row in contest.regimes.iter_rows(named=True):
        said = {name: row[name] for name in ("regime", "sessions", "mean_return", "volatility", "sharpe")}
        regimes.setdefault(row["entrant"], {})[row["regime_name"]] = said
    gates: dict[str, dict[str, Any]] = {}
    for row in contest.gates.iter_rows(named=True):
        said = {name: row[name] for name in ("passed", "value", "limit", "why")}
        gates.setdefault(row["entrant"], {})[row["gate"]] = said
    costs: dict[str, list[dict[str, Any]]] = {}
    for row in contest.costs.iter_rows(named=True):
        said = {name: row[name] for name in ("cost_bp", "sharpe", "cagr", "active_return")}
        costs.setdefault(row["entrant"], []).append(said)
    return [
        {
            **{name: value for name, value in row.items() if name != "allocator"},
            "optimizer": row["allocator"],
            "regime_performance": regimes.get(row["entrant"], {}),
            "gates": gates.get(row["entrant"], {}),
            "cost_sensitivity": costs.get(row["entrant"], []),
            **_interval(of, row["entrant"]),
            "split": OUT_OF_SAMPLE,
            "tries": of.tries,
            "first": contest.first,
            "last": contest.last,
        }
        for row in of.ranking.iter_rows(named=True)
    ]


def _interval(of: Board, entrant: str) -> dict[str, float | None]:
    added = of.added[entrant]
    return {
        f"active_return_{side}": getattr(added, bound, None) for side, bound in (("lower", "low"), ("upper", "high"))
    }


def selection_record(of: Board) -> dict[str, Any]:
    """``selection.json``: the verdict and what it was made of."""
    from openbell.app.reports.model_selection import verdict

    contest = of.contest
    return {
        "desk": contest.desk,
        "as_of": contest.as_of.isoformat(),
        "plan": contest.plan,
        "data": contest.recipe,
        "label": contest.label,
        "universe": contest.universe,
        "benchmark": contest.benchmark,
        "first": contest.first,
        "last": contest.last,
        "sessions": of.sessions,
        "holdout_first": contest.holdout_first,
        "split": OUT_OF_SAMPLE,
        "champion": contest.champion,
        "incumbent": contest.incumbent,
        "leader": of.leader,
        "verdict": verdict(of).sentence,
        "why": list(contest.why),
        "notes": list(contest.notes),
        "alpha": contest.alpha,
        "tries": of.tries,
        "significance": finite(contest.significance),
        "parameters": finite(contest.parameters),
        "failures": contest.failures.to_dicts(),
    }


def candidates_record(contest: Contest, folders: Mapping[str, str], saved: Mapping[str, str]) -> dict[str, Any]:
    """``candidates.json``: every model that was trained, where it lies, its hash, and what its scores were worth.

    Parameters
    ----------
    folders : of each saved model, relative to the folder of models. saved : hash of each one's manifest.
    """
    found, tries = checked(contest), tries_of(contest)[0]
    entrants = found.matrix.sort("entrant").group_by("model", maintain_order=True).agg("entrant")
    paired = dict(entrants.iter_rows())
    return {
        "desk": contest.desk,
        "as_of": contest.as_of.isoformat(),
        "plan": contest.plan,
        "data": contest.recipe,
        "split": OUT_OF_SAMPLE,
        "tries": tries,
        "candidates": [
            {
                **row,
                "folder": folders.get(row["model"]),
                "sha256": saved.get(row["model"]),
                "entrants": paired.get(row["model"], []),
            }
            for row in found.training.iter_rows(named=True)
        ],
    }
