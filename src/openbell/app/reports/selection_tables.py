"""The tables of a tournament's report: from its frames to rows, nothing computed that the frames do not say."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from openbell.app.reports.figures import Figure
from openbell.app.reports.page import chance
from openbell.app.reports.selection_board import Board

#: What each kind of significance says, and what it does not.
MEANINGS: Mapping[str, tuple[str, str]] = {
    "trials": (
        "Tries",
        "Every configuration that was ever fitted on these data counts, tuning included; the effective number allows "
        "for tries whose returns move together. Both raise what a result has to reach.",
    ),
    "stepm": (
        "Stepwise multiple test",
        "The first gate (Romano and Wolf): which entrants add something to equal weight, with the error of naming even "
        "one wrongly held over all of them together.",
    ),
    "pbo": (
        "Probability of back-test overfitting",
        "How often the entrant that is best on one half of the time ends below the median on the other half (CSCV). "
        "Luck gives about one half. It measures whether ranks are stable: entrants that share one real edge can score "
        "badly too. So it is reported, and is no gate.",
    ),
    "spa": (
        "Superior predictive ability",
        "White's reality check and Hansen's test: how probable a best entrant this good is when no entrant is better "
        "than equal weight.",
    ),
    "mcs": (
        "Model confidence set",
        "The entrants that cannot be told apart from the best one. A long list means that the order on the "
        "leaderboard says little.",
    ),
    "cpcv": (
        "Combinatorial purged cross-validation",
        "The same entrants on many recombined paths of the same sessions, purged by the overlap of outcomes. It says "
        "how much a result hangs on one order of history.",
    ),
}
#: What the tests call their measures, in a reader's words.
MEASURES: Mapping[str, str] = {
    "raw": "in the ledger",
    "effective": "independent, about",
    "counted_candidate": "candidates fitted",
    "counted_tuning": "tuning trials",
    "counted_backtest": "back-tests",
    "pbo": "probability",
    "loss": "chosen one lost in the other half",
    "slope": "Sharpe in the other half per Sharpe in its own",
    "reality_check": "White's reality check, p",
    "spa": "Hansen's test, p",
    "spa_lower": "its lower bound",
    "spa_upper": "its upper bound",
    "size": "error",
    "block_sessions": "mean block, sessions",
}
#: Bootstrap p-values: none is ever 0.
CHANCES = ("reality_check", "spa", "spa_lower", "spa_upper")
FEATURES = 12
#: Values beyond these are told by their number and range.
LISTED = 60


def leaderboard(board: Board) -> list[dict[str, Any]]:
    """Every entrant by its weighted score, with the interval of what it adds and the gates it passed and failed."""
    said = {
        (row["entrant"], row["gate"]): row for row in board.contest.gates.iter_rows(named=True)
    }  # one row per entrant and gate
    rows = []
    for row in board.ranking.iter_rows(named=True):
        gates = [(gate, said.get((row["entrant"], gate))) for gate in board.gates]
        added = board.added[row["entrant"]]
        rows.append(
            {
                **row,
                "added": added if isinstance(added, Figure) else None,
                "champion": row["entrant"] == board.contest.champion,
                "passed": sum(bool(each and each["passed"]) for _, each in gates),
                "gates": [(gate, None if each is None else bool(each["passed"])) for gate, each in gates],
                "failed": [gate for gate, each in gates if each is not None and not each["passed"]],
            }
        )
    return rows


def span_of(rows: Sequence[Mapping[str, Any]], low: str, high: str) -> tuple[float, float]:
    """A common axis for intervals, 0 always on it."""
    lows = [row[low] for row in rows if row[low] is not None]
    highs = [row[high] for row in rows if row[high] is not None]
    least, most = min([0.0, *lows]), max([0.0, *highs])
    room = 0.05 * ((most - least) or 1.0)
    return least - room, most + room


def gate_counts(board: Board) -> list[dict[str, Any]]:
    """Each gate with its limit, how many failed it, and whom it stopped first, in the order of asking."""
    gates = board.contest.gates
    order = {gate: at for at, gate in enumerate(board.gates)}
    failed = gates.filter(~pl.col("passed"))
    first = (
        failed.with_columns(pl.col("gate").replace_strict(order, return_dtype=pl.Int64).alias("at"))
        .sort("at", maintain_order=True)
        .unique("entrant", keep="first", maintain_order=True)
    )
    rank = dict(board.ranking.select("entrant", "rank").iter_rows())
    return [
        {
            "gate": gate,
            "limits": gates.filter(pl.col("gate") == gate)["limit"].drop_nulls().unique().sort().to_list(),
            "asked": gates.filter(pl.col("gate") == gate).height,
            "failed": failed.filter(pl.col("gate") == gate).height,
            "first": sorted(
                first.filter(pl.col("gate") == gate)["entrant"].to_list(), key=lambda name: rank.get(name, len(rank))
            ),
        }
        for gate in board.gates
    ]


def stops(board: Board) -> list[dict[str, Any]]:
    """Every gate that stopped an entrant, with its sentence, in the order of the leaderboard."""
    places = board.ranking.select("entrant", "rank")
    failed = board.contest.gates.filter(~pl.col("passed"))
    return failed.join(places, on="entrant", how="left", maintain_order="left").sort("rank", nulls_last=True).to_dicts()


def grid(board: Board, measure: str) -> dict[str, Any]:
    """Models as rows, allocators as columns; a pair that was not back-tested is None. `widest` scales the colours."""
    matrix = board.contest.matrix
    allocators = matrix["allocator"].unique(maintain_order=True).to_list()
    found = {(row["model"], row["allocator"]): row[measure] for row in matrix.iter_rows(named=True)}
    models = matrix["model"].unique(maintain_order=True).to_list()
    return {
        "columns": allocators,
        "rows": [(model, [found.get((model, each)) for each in allocators]) for model in models],
        "widest": max((abs(each) for each in found.values() if each is not None), default=0.0) or 1.0,
    }


def costs(board: Board) -> dict[str, Any]:
    """Sharpe ratio and active return of the drawn entrants at each cost."""
    frame = board.contest.costs.filter(pl.col("entrant").is_in(board.top))
    levels = sorted(frame["cost_bp"].unique().to_list())
    found = {(row["entrant"], row["cost_bp"]): row for row in frame.iter_rows(named=True)}
    return {
        "levels": levels,
        "rows": [
            (name, [found.get((name, level)) for level in levels])
            for name in board.top
            if any((name, level) in found for level in levels)
        ],
    }


def regimes(board: Board) -> dict[str, Any]:
    """The drawn entrants in each regime, with the sessions each figure rests on."""
    frame = board.contest.regimes
    names = frame.sort("regime")["regime_name"].unique(maintain_order=True).to_list()
    found = {(row["entrant"], row["regime_name"]): row for row in frame.iter_rows(named=True)}
    shown = [name for name in board.top if any((name, each) in found for each in names)]
    return {
        "columns": names,
        "rows": [
            (name, board.row(name)["regime_consistency"], [found.get((name, each)) for each in names]) for name in shown
        ],
    }


def training(board: Board) -> list[dict[str, Any]]:
    """Candidates, the best mean rank IC first, those that failed or abstained last."""
    frame = board.contest.training
    return frame.sort("rank_ic", descending=True, nulls_last=True, maintain_order=True).to_dicts()


def tuning(board: Board) -> list[dict[str, Any]]:
    """What tuning gained over the defaults on inner folds, per model."""
    rows = []
    for (model,), trials in board.contest.tuning.group_by("model", maintain_order=True):
        scored = trials.drop_nulls("value")
        best = scored["value"].max()
        default = trials["default_value"].drop_nulls().first() if trials["default_value"].count() else None
        rows.append(
            {
                "model": model,
                "trials": trials.height,
                "scored": scored.height,
                "states": sorted(trials["state"].value_counts().iter_rows()),
                "best": best,
                "default": default,
                "gain": None if best is None or default is None else best - default,
            }
        )
    return rows


def coverage(board: Board) -> list[dict[str, Any]]:
    """The conformal intervals of each model in the latest window, and the lowest coverage of any; windows overlap."""
    return (
        board.contest.calibration.sort("session", maintain_order=True)
        .group_by("model", maintain_order=True)
        .agg(
            pl.col("nominal", "coverage", "adaptive_coverage", "n", "session").last(),
            pl.col("coverage").min().alias("lowest"),
            pl.col("adaptive_coverage").min().alias("adaptive_lowest"),
            pl.len().alias("windows"),
        )
        .to_dicts()
    )


def importance(board: Board) -> list[dict[str, Any]]:
    """Features per model by the mean drop over test folds, with the range between folds."""
    found = board.contest.importance.group_by("model", "feature", maintain_order=True).agg(
        pl.col("drop").mean(),
        pl.col("drop").min().alias("low"),
        pl.col("drop").max().alias("high"),
        pl.col("spread").mean(),
        pl.col("drop").count().alias("folds"),
    )
    return _per_model(found, "drop")


def shap(board: Board) -> list[dict[str, Any]]:
    """Features per model by the mean absolute SHAP value."""
    return _per_model(board.contest.shap, "mean_abs")


def _per_model(frame: pl.DataFrame, by: str) -> list[dict[str, Any]]:
    tables = []
    for (model,), part in frame.drop_nulls(by).group_by("model", maintain_order=True):
        rows = part.sort(by, "feature", descending=[True, False]).head(FEATURES).to_dicts()
        widest = max((abs(row[by]) for row in rows), default=0.0) or 1.0
        tables.append({"model": model, "rows": rows, "widest": widest, "features": part["feature"].n_unique()})
    return tables


def fallbacks(board: Board) -> list[dict[str, Any]]:
    """Rebalances on which each allocator could not do what its name says."""
    return (
        board.contest.matrix.group_by("allocator", maintain_order=True)
        .agg(
            pl.col("fallbacks").sum(),
            pl.len().alias("entrants"),
            pl.col("entrant").filter(pl.col("fallbacks") > 0),
        )
        .to_dicts()
    )


def failures(board: Board) -> list[dict[str, Any]]:
    """Who raised, where, and why."""
    frame = board.contest.failures
    who = next((name for name in ("entrant", "model") if name in frame.columns), None)
    return [{**row, "who": row.get(who) if who else None} for row in frame.iter_rows(named=True)]


def significance(board: Board) -> list[dict[str, Any]]:
    """What each test found, its measures as plain words, with its meaning."""
    known = [name for name in MEANINGS if name in board.contest.significance]
    others = sorted(set(board.contest.significance) - set(known))
    return [
        {
            "name": name,
            "title": MEANINGS.get(name, (name.replace("_", " ").capitalize(), ""))[0],
            "meaning": MEANINGS.get(name, ("", ""))[1],
            "measures": [
                (MEASURES.get(each, each.replace("_", " ")), _probable(value) if each in CHANCES else plain(value))
                for each, value in board.contest.significance[name].items()
            ],
        }
        for name in (*known, *others)
    ]


def _probable(value: Any) -> str:
    return chance(value) if isinstance(value, (int, float)) and math.isfinite(value) else plain(value)


def plain(value: Any) -> str:
    """A value of any kind as words; nothing known is said so, never `None` or `NaN`."""
    if hasattr(value, "tolist"):
        value = value.tolist()  # numpy's own scalars and arrays
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or (isinstance(value, float) and value != value):
        return "not known"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−") if abs(value) != float("inf") else "beyond any number"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(each)}" for name, each in value.items()) or "none"
    if isinstance(value, (list, tuple, set, frozenset)):
        return _listed(value)
    return str(value)


def _listed(values: Collection[Any]) -> str:
    numbers = [each for each in values if isinstance(each, (int, float)) and math.isfinite(each)]
    if len(values) > LISTED and numbers:
        return f"{len(values):,} values from {plain(min(numbers))} to {plain(max(numbers))}"
    words = sorted(map(plain, values)) if isinstance(values, (set, frozenset)) else [plain(each) for each in values]
    return ", ".join(words) or "none"
