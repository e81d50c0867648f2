"""A portfolio as a child would keep it: a list of shares, one loop per name and day, and no numpy in the sums."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq


class Simulator:
    """Shares of each name, cash, and the last price seen; everything is counted one share at a time."""

    def __init__(
        self, names: int, capital: float, bp: float, limit: int, *, impact: float = 0.0, delisting: float = 0.0
    ) -> None:
        self.shares, self.last, self.missed = [0.0] * names, [None] * names, [0] * names
        self.cash, self.rate, self.limit, self.impact, self.delisting = capital, bp * 1e-4, limit, impact, delisting
        self.costs, self.turnovers, self.unfilled, self.vanished, self.carried = [], [], [], [], 0

    def worth(self, i: int) -> float:
        return self.shares[i] * self.last[i] if self.shares[i] else 0.0

    def value(self) -> float:
        return self.cash + sum(self.worth(i) for i in range(len(self.shares)))

    def see(self, row: np.ndarray) -> None:
        for i, price in enumerate(row):
            if price == price:
                self.last[i] = float(price)

    def price_of(self, change: float, volatility: float, volume: float) -> float:
        """Commission and half-spread, and the impact where the name's volatility and volume are known."""
        size = abs(change)
        known = self.impact > 0 and volatility == volatility and volume > 0
        return self.rate * size + (self.impact * volatility * (size / volume) ** 0.5 * size if known else 0.0)

    def trade(self, weights, row, volatility=None, volume=None) -> None:
        names = range(len(row))
        volatility, volume = volatility if volatility is not None else row, volume if volume is not None else row
        quoted = [i for i in names if row[i] == row[i]]
        before = self.value()
        frozen = sum(self.worth(i) for i in names if i not in quoted)
        total = sum(weights[i] for i in quoted)
        if before <= 0:  # all lost in delistings
            for log in (self.unfilled, self.turnovers, self.costs):
                log.append(0)
            return
        self.unfilled.append(sum(abs(weights[i] - self.worth(i) / before) > 1e-12 for i in names if i not in quoted))

        def target(cost: float) -> dict[int, float]:
            left = before - cost
            room = left - frozen if left - frozen > 1e-13 * before else 0.0
            scale = min(left, room / total) if total else 0.0
            return {i: weights[i] * scale for i in quoted}

        def excess(cost: float) -> float:
            wanted = target(cost)
            return sum(self.price_of(wanted[i] - self.worth(i), volatility[i], volume[i]) for i in quoted) - cost

        cost = brentq(excess, 0.0, before * 0.5, xtol=1e-16, rtol=1e-15) if excess(0.0) > 0 else 0.0
        wanted = target(cost)
        self.turnovers.append(sum(abs(wanted[i] - self.worth(i)) for i in quoted) / (2 * before))
        for i in quoted:
            self.shares[i] = wanted[i] / float(row[i])
        self.cash = max(before - cost - frozen - sum(wanted.values()), 0.0)
        self.costs.append(cost)

    def close(self, row: np.ndarray, day: int) -> None:
        self.see(row)
        for i, price in enumerate(row):
            self.missed[i] = 0 if price == price else self.missed[i] + 1
            if self.shares[i] and self.missed[i] > self.limit:
                self.cash += self.worth(i) * (1 + self.delisting)
                self.shares[i] = 0.0
                self.vanished.append((day, i))
            elif self.shares[i] and self.missed[i]:
                self.carried += 1


def simulated(
    plan, closes, opens=None, capital=1000.0, bp=3.0, limit=5, cash_return=0.0, volatility=None, volume=None, **how
):
    """Equity at each close, and the simulator as it ended; `volatility` and `volume` by row, as `plan`."""
    sim = Simulator(closes.shape[1], capital, bp, limit, **how)
    earned = np.broadcast_to(cash_return, len(closes))
    curve = []
    for row in range(len(closes)):
        sim.cash *= 1 + float(earned[row])
        known = {"volatility": volatility[row], "volume": volume[row]} if volatility and row in plan else {}
        if opens is not None and row in plan:
            sim.see(opens[row])
            sim.trade(plan[row], opens[row], **known)
        sim.close(closes[row], row)
        if opens is None and row in plan:
            sim.trade(plan[row], closes[row], **known)
        curve.append(sim.value())
    return np.array(curve), sim


def prices(sessions: int, names: int, seed: int, holes: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Opens and closes of random walks; the same random days have neither."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.02, (sessions, 2, names))
    path = 50 * np.exp(np.cumsum(steps.reshape(-1, names), axis=0)).reshape(sessions, 2, names)
    opens, closes = path[:, 0].copy(), path[:, 1].copy()
    if holes:
        gone = rng.random((sessions, names)) < holes
        opens[gone], closes[gone] = np.nan, np.nan
    return opens, closes


def plans(rows, names: int, seed: int) -> dict[int, np.ndarray]:
    """Random weights for each of `rows`, some names and some cash left out."""
    rng = np.random.default_rng(seed)
    return {row: rng.dirichlet(np.ones(names + 1))[:names] * (rng.random(names) > 0.3) for row in rows}
