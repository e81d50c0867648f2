"""Made-up tournaments with everything a report can hold, for the tests and for looking at."""

import datetime as dt
import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from openbell.quant import performance as measured
from openbell.quant.regime import Regime
from openbell.research.contest import BASELINE, BENCHMARK, Contest, entrant

MODELS = ("ridge", "random_forest", "lightgbm", "xgboost")
ALLOCATORS = ("equal", "hrp", "max_sharpe")
EDGE = {"ridge": 0.00003, "random_forest": 0.0002, "lightgbm": 0.0009, "xgboost": 0.0006}
LIMITS = {"sharpe": 1.0, "max_drawdown": -0.2, "calmar": 0.5, "turnover": 0.4}
HOLDOUT = dt.date(2019, 3, 1)


def weekdays(n: int, before: dt.date = HOLDOUT) -> list[dt.date]:
    days, day = [], before - dt.timedelta(days=1)
    while len(days) < n:
        if day.weekday() < 5:
            days.append(day)
        day -= dt.timedelta(days=1)
    return days[::-1]


def _returns(sessions: int, models: tuple[str, ...], seed: int) -> dict[str, np.ndarray]:
    """Daily returns that share a market: an entrant is equal weight, plus its model's edge, plus its own noise."""
    rng = np.random.default_rng(seed)
    market = rng.standard_t(5, sessions) * 0.006 + 0.0005
    plain = market + rng.normal(0, 0.0008, sessions)
    found = {}
    for model in models:
        skill = rng.normal(EDGE[model], 0.003, sessions)
        for at, allocator in enumerate(ALLOCATORS):
            found[entrant(model, allocator)] = (1 - 0.05 * at) * plain + skill + rng.normal(0, 0.0007, sessions)
    return {**found, BASELINE: plain, BENCHMARK: market}


def _row(name: str, days: list[dt.date], r: np.ndarray, plain: np.ndarray, fallbacks: int) -> dict[str, Any]:
    """What the tournament would say about one curve; the formulas are the engine's."""
    model, _, allocator = name.partition("+")
    equity = np.concatenate([[1.0], np.cumprod(1 + r)])
    span = (days[0], days[-1])
    per_year = measured.marks_per_year(days)
    ratio = measured.sharpe(r, per_year=per_year)
    error = math.sqrt((per_year + ratio**2 / 2) / len(r))
    beta = float(np.cov(r, plain)[0, 1] / plain.var(ddof=1))
    active = r - plain
    return {
        "entrant": name,
        "model": model,
        "allocator": allocator,
        "cagr": measured.annual_return(equity, *span),
        "sharpe": ratio,
        "sharpe_lower": ratio - 1.96 * error,
        "sharpe_upper": ratio + 1.96 * error,
        "sharpe_se": error,
        "max_drawdown": measured.max_drawdown(equity),
        "max_drawdown_sessions": int(30 + 10 * len(model)),
        "calmar": measured.calmar(equity, *span),
        "turnover": {"equal": 0.22, "hrp": 0.31, "max_sharpe": 0.47}[allocator],
        "win_rate": measured.win_rate(r),
        "total_return": measured.total_return(equity),
        "volatility": measured.volatility(r, per_year=per_year),
        "sortino": measured.sortino(r, per_year=per_year),
        "value_at_risk_95": measured.value_at_risk(r),
        "expected_shortfall_95": measured.expected_shortfall(r),
        "beta": beta,
        "alpha": float(r.mean() - beta * plain.mean()) * per_year,
        "information_ratio": float(active.mean() / active.std(ddof=1) * np.sqrt(per_year)),
        "active_return": float(active.mean() * per_year),
        "active_sharpe": measured.sharpe(active, per_year=per_year, risk_free_annual=0.0),
        "regime_consistency": 0.71,
        "fallbacks": fallbacks,
    }


def _score(row: dict[str, Any]) -> float:
    parts = (
        (0.30, row["sharpe"] / 2),
        (0.25, 1 + row["max_drawdown"] / 0.3),
        (0.20, row["calmar"] / 1.5),
        (0.15, 1 - row["turnover"] / 0.5),
        (0.10, row["regime_consistency"]),
    )
    return sum(weight * min(max(part, 0.0), 1.0) for weight, part in parts)


def _gates(rows: list[dict[str, Any]]) -> pl.DataFrame:
    found = []
    for row in rows:
        said = [("stepm", row["p_value"], 0.01, row["survives"])]
        said.append(("deflated_sharpe", row["deflated_sharpe"], 0.95, row["deflated_sharpe"] >= 0.95))
        for name, limit in LIMITS.items():
            better = row[name] <= limit if name == "turnover" else row[name] >= limit
            said.append((name, row[name], limit, better))
        found += [
            {
                "entrant": row["entrant"],
                "gate": gate,
                "value": value,
                "limit": limit,
                "passed": bool(passed),
                "why": f"{gate} was {value:.3f}; the limit is {limit:g}.",
            }
            for gate, value, limit, passed in said
        ]
    return pl.DataFrame(found)


def _regimes(names: list[str], curves: dict[str, np.ndarray]) -> pl.DataFrame:
    rows = []
    for name in names:
        thirds = np.array_split(curves[name], 3)
        rows += [
            {
                "entrant": name,
                "regime": int(regime),
                "regime_name": regime.label,
                "sessions": len(part),
                "mean_return": float(part.mean() * 252),
                "volatility": measured.volatility(part),
                "sharpe": measured.sharpe(part),
            }
            for regime, part in zip(Regime, thirds, strict=True)
        ]
    return pl.DataFrame(rows)


def _costs(matrix: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "entrant": row["entrant"],
                "cost_bp": cost,
                "sharpe": row["sharpe"] - 0.03 * (cost - 1),
                "cagr": row["cagr"] - 0.004 * (cost - 1),
                "active_return": row["active_return"] - 0.004 * (cost - 1),
            }
            for row in matrix.iter_rows(named=True)
            for cost in (0, 1, 2, 5, 10)
        ]
    )


def _training(models: tuple[str, ...]) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "rows": 96_000,
            "dates": 240,
            "rank_ic": 20 * EDGE[model],
            "rank_ic_lower": 20 * EDGE[model] - 0.0115,
            "rank_ic_upper": 20 * EDGE[model] + 0.0115,
            "rank_ic_ir": 180 * EDGE[model],
            "score_sharpe": 900 * EDGE[model],
            "status": "done",
            "why": "",
        }
        for model in models
    ]
    return pl.DataFrame(rows)


def _calibration(days: list[dt.date]) -> pl.DataFrame:
    rng = np.random.default_rng(11)
    rows = []
    for model in ("lightgbm", "ridge"):
        for at, day in enumerate(days[19::20]):
            rows.append(
                {
                    "model": model,
                    "session": day,
                    "nominal": 0.9,
                    "coverage": 0.9 - 0.003 * at + 0.01 * rng.normal(),
                    "adaptive_coverage": 0.9 + 0.008 * rng.normal(),
                    "n": 480,
                }
            )
    return pl.DataFrame(rows)


def _features(models: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    names = ("momentum_12_1", "volatility_20", "rsi_14", "reversal_5", "dollar_volume_20", "distance_200d_high")
    rng = np.random.default_rng(12)
    drops = [
        {"model": m, "fold": f, "feature": n, "drop": 0.012 / (at + 1) + 0.001 * rng.normal(), "spread": 0.0015}
        for m in models
        for f in range(3)
        for at, n in enumerate(names)
    ]
    shares = [
        {"model": m, "feature": n, "mean_abs": 0.02 / (at + 1) + 0.002 * float(rng.random())}
        for m in models
        for at, n in enumerate(names)
    ]
    return pl.DataFrame(drops), pl.DataFrame(shares)


def _tuning() -> pl.DataFrame:
    rng = np.random.default_rng(13)
    return pl.DataFrame(
        [
            {
                "model": model,
                "trial": trial,
                "value": None if trial % 7 == 6 else 0.010 + 0.006 * float(rng.random()),
                "default_value": 0.012,
                "state": "PRUNED" if trial % 7 == 6 else "COMPLETE",
            }
            for model in ("lightgbm", "xgboost")
            for trial in range(25)
        ]
    )


def empty(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.clear()


@lru_cache(maxsize=8)
def contest(*, champion: bool = True, failed: str | None = None, sessions: int = 400, seed: int = 4) -> Contest:
    """4 models by 3 allocators on `sessions` sessions; `failed` is a model that raised in every fold."""
    models = tuple(each for each in MODELS if each != failed)
    days = weekdays(sessions + 1)
    curves = _returns(sessions, models, seed)
    names = [entrant(model, allocator) for model in models for allocator in ALLOCATORS]
    active = {name: curves[name] - curves[BASELINE] for name in names}
    statistic = {name: float(r.mean() / r.std(ddof=1) * math.sqrt(len(r))) for name, r in active.items()}
    rows = [_row(name, days, curves[name], curves[BASELINE], 3 * name.endswith("max_sharpe")) for name in names]
    for row in rows:
        score = statistic[row["entrant"]]
        row["weighted_score"] = _score(row)
        row["deflated_sharpe"] = float(np.clip(0.35 + row["active_sharpe"] / 7, 0.0, 0.999))
        # Bonferroni stands in for StepM: what is tested is the report.
        row["statistic"], row["p_value"] = score, min(1.0, len(names) * math.erfc(score / math.sqrt(2)) / 2)
        row["survives"] = row["p_value"] < 0.01 and champion
    gates = _gates(rows)
    through = gates.group_by("entrant").agg(pl.col("passed").all().alias("eligible"))
    matrix = pl.DataFrame(rows).join(through, on="entrant", maintain_order="left")
    eligible = matrix.filter("eligible").sort("weighted_score", descending=True)["entrant"].to_list()
    chosen = eligible[0] if eligible else None
    training = _training(models)
    failures = pl.DataFrame(schema={"entrant": pl.String, "where": pl.String, "why": pl.String})
    if failed:
        why = "BadInput: Column `rsi_14` holds 3 infinities."
        lost = {"model": failed, "status": "failed", "why": why}
        training = pl.concat([training, pl.DataFrame([lost])], how="diagonal_relaxed")
        failures = pl.DataFrame([{"entrant": failed, "where": "fold 3", "why": why}])
    importance, shap = _features(models)
    return Contest(
        desk="stocks",
        as_of=dt.datetime(2021, 6, 1, 13, 0, tzinfo=dt.UTC),
        plan="9f2c" * 16,
        recipe="a1b2" * 16,
        label="forward_rank_5",
        universe="sp500",
        benchmark="SPY",
        first=days[0],
        last=days[-1],
        holdout_first=HOLDOUT,
        matrix=matrix,
        equity=pl.DataFrame(
            {"session": days, **{k: np.concatenate([[1.0], np.cumprod(1 + r)]) for k, r in curves.items()}}
        ),
        active=pl.DataFrame({"session": days[1:], **active}),
        regimes=_regimes(names, curves),
        gates=gates,
        training=training,
        costs=_costs(matrix),
        calibration=_calibration(days),
        importance=importance,
        shap=shap,
        tuning=_tuning(),
        failures=failures,
        significance={
            "trials": {"raw": 62, "effective": 4.7},
            "pbo": {"pbo": 0.18, "loss": 0.09, "slope": float("nan"), "trials": len(names), "splits": 12870},
            "spa": {"reality_check": 0.009, "spa": 0.006, "spa_lower": 0.004, "spa_upper": 0.011, "dates": sessions},
            "mcs": {"members": names[:3], "size": 0.1, "dates": sessions, "replications": 1000},
            "cpcv": {"paths": 5, "median_active_sharpe": 1.2, "low": 0.4, "high": 1.9},
        },
        champion=chosen,
        why=(
            f"{chosen} has the highest weighted score of {len(eligible)} entrants that passed every gate."
            if chosen
            else "No entrant passed every gate, so production stays as it is.",
        ),
        alpha=0.01,
        notes=("31 orders found no price on their session and were carried over.",),
        parameters={"commission_bp": 1.0, "slippage_bp": 2.0, "rebalance_sessions": 5, "train_window_years": 5},
    )


def bare(**changes: Any) -> Contest:
    """A tournament without tuning, calibration, explanation or cost runs."""
    made = contest()
    gone = {name: empty(getattr(made, name)) for name in ("tuning", "calibration", "importance", "shap", "costs")}
    return replace(made, **{**gone, "regimes": empty(made.regimes), "notes": (), **changes})
