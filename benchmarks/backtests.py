"""The accounting kernel beside vectorbt, bt and backtesting.py on the same prices and weightings.

The peers are not among Openbell's own requirements (one is AGPL, one may not be sold): they live in an environment of
their own, made from ``requirements/bench-peers.txt``, whose interpreter is named by ``OPENBELL_PEERS_PYTHON``. Each
engine runs in a process of its own; the first call, which imports and compiles with nothing cached, is timed apart.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.measuring import Measured, peak_gb, timed, told

NAMES, SESSIONS, GRID, EVERY = 1000, 2520, 100, 21
#: Sessions of bt, which would need minutes for all of them.
BT_SESSIONS = 252
RUNS = 3
COST_BP = 3.0
CAPITAL_USD = 1e6
PEERS_PYTHON = "OPENBELL_PEERS_PYTHON"


@dataclass(frozen=True)
class Work:
    """Prices (n, m), the rows that are traded, and the weights (k, r, m) they are traded to."""

    closes: np.ndarray
    rows: np.ndarray
    weights: np.ndarray


def work(weightings: int, *, names: int = NAMES, sessions: int = SESSIONS) -> Work:
    """Random walks and random long-only weights; the first weightings are the same however many are asked for."""
    rng = np.random.default_rng(0)
    closes = 50 * np.exp(np.cumsum(rng.normal(0.0002, 0.02, (SESSIONS, NAMES)), axis=0))
    rows = np.arange(0, sessions, EVERY)
    weights = np.stack([rng.dirichlet(np.ones(NAMES), size=len(range(0, SESSIONS, EVERY))) for _ in range(weightings)])
    return Work(np.ascontiguousarray(closes[:sessions, :names]), rows, weights[:, : len(rows), :names])


def openbell(given: Work) -> np.ndarray:
    """Every weighting in one call; equity of the first."""
    from openbell.quant.accounting import accounts

    how = {"capital_usd": CAPITAL_USD, "commission_bp": COST_BP, "slippage_bp": 0.0}
    return accounts(given.weights, given.rows, given.closes, **how).equity_usd[0]


def vectorbt(given: Work) -> np.ndarray:
    """One weighting as a group of columns that share cash, the way vectorbt's own portfolio example does it."""
    import pandas as pd
    import vectorbt as vbt

    size = np.full(given.closes.shape, np.nan)
    size[given.rows] = given.weights[0]
    done = vbt.Portfolio.from_orders(
        pd.DataFrame(given.closes),
        size=size,
        size_type="targetpercent",
        fees=COST_BP * 1e-4,
        init_cash=CAPITAL_USD,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        max_orders=given.weights[0].size,
        freq="D",
    )
    return done.value().to_numpy()


def bt(given: Work) -> np.ndarray:
    """One weighting, fractional shares."""
    import bt
    import pandas as pd

    days = pd.bdate_range("2010-01-01", periods=len(given.closes))
    prices = pd.DataFrame(given.closes, index=days, columns=[f"N{at}" for at in range(given.closes.shape[1])])
    targets = pd.DataFrame(given.weights[0], index=days[given.rows], columns=prices.columns)
    strategy = bt.Strategy("grid", [bt.algos.WeighTarget(targets), bt.algos.Rebalance()])
    run = bt.Backtest(
        strategy,
        prices,
        initial_capital=CAPITAL_USD,
        integer_positions=False,
        commissions=lambda quantity, price: abs(quantity) * price * COST_BP * 1e-4,
    )
    run.run()
    return run.strategy.values.to_numpy()[-len(given.closes) :]


def backtesting(given: Work) -> np.ndarray:
    """One name, whole shares: brought to half of the account every month."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    class Half(Strategy):
        def init(self) -> None:
            self.at = 0

        def next(self) -> None:
            self.at += 1
            if self.at % EVERY == 0:
                price = self.data.Close[-1]
                units = int(0.5 * self.equity / price) - self.position.size
                if units:
                    (self.buy if units > 0 else self.sell)(size=abs(units))

    days = pd.bdate_range("2010-01-01", periods=len(given.closes))
    close = pd.Series(given.closes[:, 0], index=days)
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), close))
    done = Backtest(frame, Half, cash=CAPITAL_USD, commission=COST_BP * 1e-4, trade_on_close=True).run()
    return done["_equity_curve"]["Equity"].to_numpy()


#: Engine, and what of the whole grid it is given.
ENGINES: dict[str, tuple[Callable[[Work], np.ndarray], Callable[[], Work]]] = {
    "openbell": (openbell, lambda: work(GRID)),
    "vectorbt": (vectorbt, lambda: work(1)),
    "bt": (bt, lambda: work(1, sessions=BT_SESSIONS)),
    "backtesting": (backtesting, lambda: work(1, names=1)),
}


def measured(name: str) -> Measured:
    """Time one engine: the first call, then the median of `RUNS` more. What is not installed is said to be absent."""
    if importlib.util.find_spec(name) is None:
        return Measured(name, 0.0, 0.0, peak_gb(), {"absent": True})
    engine, make = ENGINES[name]
    given = make()
    warnings.simplefilter("ignore")
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory(prefix="openbell-bench-") as nothing_cached:
        os.environ["NUMBA_CACHE_DIR"] = nothing_cached
        curve, first_s, first_cpu_s = timed(lambda: engine(given))
    runs = sorted(timed(lambda: engine(given))[1:] for _ in range(RUNS))
    wall_s, cpu_s = runs[RUNS // 2]
    k, (n, m) = len(given.weights), given.closes.shape
    counts = {
        "first_s": first_s,
        "first_cpu_s": first_cpu_s,
        "weightings": k,
        "sessions": n,
        "names": m,
        "end_usd": float(curve[-1]),
    }
    if name == "openbell":
        counts["end_usd_at"] = {str(end): float(curve[end - 1]) for end in (BT_SESSIONS, SESSIONS)}
    return Measured(name, wall_s, cpu_s, peak_gb(), counts)


def cells_per_s(each: Measured) -> float:
    """Weightings times sessions times names marked in a second of CPU time, which a busy machine does not stretch."""
    return each.counts["weightings"] * each.counts["sessions"] * each.counts["names"] / each.cpu_s


def figures(ours: Measured, each: Measured) -> list[str]:
    """One line of the table."""
    if each.counts.get("absent"):
        return [f"{each.name}: absent", *["–"] * 8]
    counts = each.counts
    done = f"{each.name}: {counts['weightings']} × {counts['names']:,} names × {counts['sessions']:,} sessions"
    rate, peak = cells_per_s(each), f"{each.peak_gb:.2f} GB"
    expected = ours.counts["end_usd_at"].get(str(counts["sessions"]))
    same = expected is not None and counts["names"] == NAMES
    away = f"{counts['end_usd'] / expected - 1:+.1e}" if same and each is not ours else "–"
    ratio = f"{cells_per_s(ours) / rate:,.0f}"
    spent = [
        f"{counts['first_s']:.1f} s",
        f"{counts['first_cpu_s']:.1f} s",
        f"{each.wall_s:.2f} s",
        f"{each.cpu_s:.2f} s",
    ]
    return [done, *spent, f"{rate / 1e6:,.3g} M", ratio, away, peak]


def interpreter(name: str) -> str:
    """Ours for Openbell, the peers' for the peers."""
    return sys.executable if name == "openbell" else os.environ.get(PEERS_PYTHON, sys.executable)


if __name__ == "__main__":
    told(measured(sys.argv[1]))
