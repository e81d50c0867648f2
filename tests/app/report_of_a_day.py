"""One made-up day with everything a report can hold, for the tests and for looking at."""

import datetime as dt
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from openbell.app.reports.daily import DailyReport, Proof
from openbell.app.reports.figures import OUT_OF_SAMPLE, figure, headline_figures, measure_rows
from openbell.core.types import TRADE_SCHEMA, Book, Decision, Forecast, Market, Outcome, Verdict
from openbell.quant.evaluation import information_coefficients, quantile_returns, regime_performance, skill
from openbell.quant.intervals import estimate
from openbell.quant.performance import performance
from openbell.research.reasons import Reasons

AS_OF = dt.datetime(2020, 3, 16, 13, 0, tzinfo=dt.UTC)
SESSION = dt.date(2020, 3, 16)
CURVES = ("policy", "equal_weight", "benchmark")
SECTORS = ("Health Care", "Utilities", "Information Technology", "Financials", "Energy")


def weekdays(n: int, last: dt.date = dt.date(2020, 3, 13)) -> list[dt.date]:
    days, day = [], last
    while len(days) < n:
        if day.weekday() < 5:
            days.append(day)
        day -= dt.timedelta(days=1)
    return days[::-1]


def trades(rows: int = 7) -> pl.DataFrame:
    sides = ["SELL"] * (rows // 3) + ["BUY"] * (rows - rows // 3)
    table = [
        {
            "symbol": f"N{at:02d}",
            "side": side,
            "shares": 12 + 7 * at,
            "price": 80.25 + 11.5 * at,
            "notional": (12 + 7 * at) * (80.25 + 11.5 * at),
            "weight_change": (-1 if side == "SELL" else 1) * 0.012 * (at + 1),
            "current_shares": 90 if side == "SELL" else 0,
            "target_shares": 78 - 7 * at if side == "SELL" else 12 + 7 * at,
            "commission_est": 0.09,
            "slippage_est": 0.18,
            "total_cost_est": 0.27,
            "liquidity_warning": at == 3,
            "volume_pct": 0.00004 * (at + 1),
        }
        for at, side in enumerate(sides)
    ]
    return pl.DataFrame(table, schema=dict(TRADE_SCHEMA))


def market(names: int = 14) -> Market:
    symbols = [f"N{at:02d}" for at in range(names)]
    return Market(
        as_of=AS_OF,
        session=SESSION,
        last_session=dt.date(2020, 3, 13),
        names=pl.DataFrame(
            {
                "symbol": symbols,
                "price_usd": [80.25 + 11.5 * at for at in range(names)],
                "price_session": [dt.date(2020, 3, 13)] * names,
                "volume_shares": [3e6] * names,
                "dollar_volume_usd": [3e8] * names,
                "volatility": [0.31] * names,
                "sector": [SECTORS[at % 5] for at in range(names)],
                "market_value_usd": pl.Series([None] * names, dtype=pl.Float64),
                "member": [True] * names,
            }
        ),
        benchmark=np.linspace(100, 80, 60),
        benchmark_name="SPY",
    )


def decision(*, traded: pl.DataFrame | None = None, blocked: bool = False, verdicts: bool = True) -> Decision:
    said = [
        Verdict("long_only", Outcome.ALLOW, "Every weight is 0 or more."),
        Verdict("position_cap", Outcome.ALLOW, "The largest weight is 9.4 %; at most 15 % are allowed."),
        Verdict("turnover", Outcome.SHRINK, "Turnover of 61 % is shrunk to 35 %.", scale=0.57),
        Verdict(
            "liquidity", Outcome.SHRINK, "Shrunk to 5 % of the mean daily volume each: N03.", by_symbol={"N03": 0.4}
        ),
        Verdict("market_cap_classes", Outcome.ALLOW, "The data hold no dated market values.", available=False),
    ]
    if blocked:
        said.append(Verdict("daily_loss", Outcome.BLOCK, "The account lost 4.1 % on 2020-03-12; the limit is 3 %."))
    return Decision(
        desk="stocks",
        session=SESSION,
        as_of=AS_OF,
        targets={f"N{at:02d}": 0.05 for at in range(2, 12)},
        cash_weight=0.5,
        why=(
            "Risk-Off by SPY: volatility 51 %, drawdown −20 %, the 20-session mean below the 50-session mean. "
            "So half of the account stays in cash and fewer names are held.",
            "The 10 highest scores of 486 eligible names by lightgbm@2020-03-02#a1b2c3.",
            "50.0 % of the account is held in cash, 50.0 % because of the regime.",
        ),
        details={"regime": 0, "regime_name": "Risk-Off", "regime_measures": {"volatility": 0.512, "drawdown": -0.203}},
        trades=trades() if traded is None else traded,
        verdicts=tuple(said) if verdicts else (),
        made_of={"data": "9f2c" * 16, "model": "a1b2" * 16, "settings": "77e0" * 16, "code": "0.1.0"},
    )


def curves(sessions: int, seed: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    days = weekdays(sessions + 1)
    wind = rng.standard_t(4, sessions) * 0.006 + 0.0004
    return pl.DataFrame(
        {
            "session": days,
            **{
                name: 1e5 * np.cumprod(np.concatenate([[1.0], 1 + beta * wind + rng.normal(edge, own, sessions)]))
                for name, beta, edge, own in (
                    ("policy", 0.8, 0.0002, 0.003),
                    ("equal_weight", 1.05, 0.0, 0.001),
                    ("benchmark", 1.0, 0.0, 0.0004),
                )
            },
        }
    )


@lru_cache(maxsize=8)
def measured(sessions: int) -> tuple[Any, ...]:
    """Curve, coefficients, quantiles, measures and excess of a made-up back-test of so many sessions."""
    rng = np.random.default_rng(5)
    equity = curves(sessions)
    days = equity["session"].to_list()[1:]
    score = rng.normal(size=(len(days), 40))
    scored = pl.DataFrame(
        {
            "session": np.repeat(np.array(days, dtype="datetime64[D]"), 40),
            "score": score.ravel(),
            "outcome": (0.0016 * score + rng.normal(0, 0.035, score.shape)).ravel(),
        }
    )
    metrics = {
        name: performance(
            equity["session"].to_list(),
            equity[name].to_numpy(),
            turnovers=np.full(max(sessions // 5, 1), 0.31) if name == "policy" else None,
            replications=100,
        )
        for name in CURVES
    }
    moves = {name: np.diff(np.log(equity[name].to_numpy())) for name in CURVES}
    excess = {
        name: estimate(moves["policy"] - moves[name], lambda rows: rows.mean(axis=1) * 252, block=12, replications=100)
        for name in CURVES[1:]
    }
    ics = information_coefficients(scored)
    found = skill(ics["rank_ic"], horizon_sessions=5, replications=100)
    regimes = regime_performance(np.expm1(moves["policy"]), np.where(np.arange(sessions) % 7 < 2, 0, 2))
    return equity, ics, found, quantile_returns(scored, replications=100), metrics, excess, regimes


def proof(*, sessions: int = 1500, champion: bool = True, benchmark: str = "SPY", **changes: Any) -> Proof:
    equity, ics, found, parts, metrics, excess, regimes = measured(sessions)
    how = {"split": OUT_OF_SAMPLE, "tries": 5}
    skilled = figure(
        "Mean rank IC", found.mean, baseline=0.0, baseline_name="no skill", counted="dates", unit="ic", **how
    )
    spread = figure(
        "Spread", parts.spread, baseline=0.0, baseline_name="no spread", counted="dates", unit="percent", **how
    )
    given = {
        "model": "lightgbm",
        "champion": champion,
        "horizon_sessions": 5,
        "benchmark": benchmark,
        "costs": "After 1 bp commission and 2 bp slippage on every trade, filled at the open.",
        "figures": (skilled, *headline_figures(metrics, excess, benchmark=benchmark, **how)),
        "measures": tuple(
            measure_rows(
                metrics,
                {"policy": "", "equal_weight": ""} if benchmark == "EQUAL_WEIGHT" else dict.fromkeys(CURVES, ""),
            )
        ),
        "equity": equity,
        "ics": ics.select("session", "rank_ic"),
        "quantiles": parts.table,
        "spread": spread,
        "candidates": pl.DataFrame(
            {
                "candidate": ["naive", "ridge", "random_forest", "xgboost", "lightgbm"],
                "dates": [None, 1500, 1500, 1500, 1500],
                "mean_rank_ic": [None, 0.011, 0.019, 0.028, 0.0441],
                "lower": [None, -0.009, -0.002, 0.006, 0.021],
                "upper": [None, 0.031, 0.041, 0.051, 0.068],
                "statistic": [None, 1.02, 1.77, 2.41, 3.69],
                "p_value": [None, 0.41, 0.12, 0.031, 0.002],
                "survives": [None, False, False, False, champion],
                "abstains": ["The candidate `naive` gives every name the same score.", None, None, None, None],
            }
        ),
        "regimes": regimes,
        "choice": ("StepM against zero at 1.0 %, one-sided: 4 candidates tried on 1,500 common dates.",),
        "notes": ("31 orders of the policy found no price in their session and were not filled.",),
        **how,
        **changes,
    }
    return Proof(**given)


def reasons() -> Reasons:
    because = {
        "N05": (
            "`momentum_12_1` at 0.471 raised the score by 0.0312.",
            "`beta_252`, which is missing, lowered the score by 0.002.",
        ),
        "N02": ("`volatility_20` at -0.38 raised the score by 0.0127.",),
        "N03": (),
    }
    return Reasons(because, "tree", "score", ("1 held names have no score to explain: `N11`.",))


def report(**changes: Any) -> DailyReport:
    scores = pl.DataFrame(
        {"symbol": [f"N{at:02d}" for at in range(14)], "score": [0.3 - 0.04 * at for at in range(14)]}
    )
    given: dict[str, Any] = {
        "decision": decision(),
        "forecast": Forecast(AS_OF, scores, "lightgbm@2020-03-02#a1b2c3"),
        "book": Book(AS_OF, 52_000.0, {"N00": 90, "N01": 90, "N05": 120}, {"N00": 80.25, "N01": 91.75, "N05": 137.75}),
        "market": market(),
        "reasons": reasons(),
        "proof": proof(),
        "quality": pl.DataFrame(
            {
                "rule": ["stale_price", "split_like_jump", "ticker_reuse"],
                "rows": [412, 17, 3],
                "example": ["FOO 2009-03-02 to 2009-04-17: 33 equal closes", "BAR 2012-06-07: ×0.5", "EP 2013-01-02"],
            }
        ),
        "data": {
            "bars": "3,115,380 rows, 669 symbols",
            "sessions": "2000-01-03 to 2020-03-13",
            "universe": "sp500, dated members",
        },
        "switched_off": ("fundamentals: the data hold no filings.",),
        "not_tried": ("mean-variance and hierarchical risk parity weights come with the tournament.",),
        "history": pl.DataFrame(
            {"session": weekdays(24), "equity_usd": np.linspace(100_000, 81_000, 24) + 900 * np.sin(np.arange(24))}
        ),
        "drift": {
            "degraded": False,
            "action": "continue",
            "avg_ic": 0.031,
            "days_below_threshold": 9,
            "lookback": 20,
            "threshold": 0.02,
            "n": 1500,
            "alarm_rate": 0.27,
            "reason": None,
        },
        "notes": ("The sample has no dated members.",),
        **changes,
    }
    return DailyReport(**given)
