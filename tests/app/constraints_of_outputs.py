"""A reader of a day's files that checks every constraint of the request. It imports nothing of Openbell."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRADE_COLUMNS = [
    "symbol", "side", "shares", "price", "notional", "weight_change", "current_shares", "target_shares",
    "commission_est", "slippage_est", "total_cost_est", "liquidity_warning", "volume_pct",
]  # fmt: skip
FILES = ("trades.csv", "portfolio_weights.csv", "signals.json", "report.html", "monitoring_log.json")
CENT = 0.011


@dataclass(frozen=True)
class Day:
    """The files of one day, read."""

    trades: list[dict[str, str]]
    weights: dict[str, dict[str, str]]
    signals: dict
    monitoring: dict
    report: str


def read(folder: Path) -> Day:
    """Every file of `folder`; one that is missing or does not parse fails the test."""
    assert {each.name for each in folder.iterdir()} == set(FILES)
    rows = list(csv.DictReader((folder / "portfolio_weights.csv").read_text().splitlines()))
    return Day(
        list(csv.DictReader((folder / "trades.csv").read_text().splitlines())),
        {row["symbol"]: row for row in rows},
        json.loads((folder / "signals.json").read_text(), parse_constant=_no_constant),
        json.loads((folder / "monitoring_log.json").read_text(), parse_constant=_no_constant),
        (folder / "report.html").read_text(),
    )


def _no_constant(word: str) -> float:
    raise AssertionError(f"JSON knows no {word}")


def positions(text: str) -> tuple[dict[str, int], float]:
    """Shares and cash of a ``current_positions.csv``."""
    rows = list(csv.DictReader(text.splitlines()))
    cash = [float(row["value_usd"]) for row in rows if row["symbol"] == "CASH"]
    assert len(cash) == 1
    return {row["symbol"]: int(row["shares"]) for row in rows if row["symbol"] != "CASH"}, cash[0]


def check(
    folder: Path,
    shares: Mapping[str, int],
    cash_usd: float,
    prices: Mapping[str, float],
    volumes: Mapping[str, float],
    *,
    universe: set[str] | None = None,
) -> Day:
    """Assert every constraint on the files in `folder`.

    `shares` and `cash_usd` are what was held before; `prices` the last raw closes and `volumes` the mean daily share
    volumes of 20 sessions, both by symbol and straight from the data.
    """
    day = read(folder)
    value = cash_usd + sum(count * prices[name] for name, count in shares.items())
    held = dict(shares)
    with (folder / "trades.csv").open() as file:
        assert next(csv.reader(file)) == TRADE_COLUMNS
    sides = [row["side"] for row in day.trades]
    assert sides == sorted(sides, reverse=True), "sells come before buys"
    assert len(day.trades) <= 50
    assert len({row["symbol"] for row in day.trades}) == len(day.trades)
    cash, notional, costs = cash_usd, 0.0, 0.0
    for row in day.trades:
        name, count, price = row["symbol"], int(row["shares"]), float(row["price"])
        traded = count * price
        sign = {"BUY": 1, "SELL": -1}[row["side"]]
        assert row["shares"] == str(count)
        assert count > 0
        assert math.isclose(price, prices[name], rel_tol=1e-7)
        assert math.isclose(float(row["notional"]), traded, rel_tol=1e-6)
        assert int(row["current_shares"]) == held.get(name, 0)
        assert int(row["target_shares"]) == held.get(name, 0) + sign * count >= 0
        assert math.isclose(float(row["commission_est"]), traded * 1e-4, abs_tol=1e-6)
        assert math.isclose(float(row["slippage_est"]), traded * 2e-4, abs_tol=1e-6)
        assert math.isclose(float(row["total_cost_est"]), traded * 3e-4, abs_tol=1e-6)
        assert math.isclose(float(row["weight_change"]), sign * traded / value, abs_tol=1e-6)
        assert traded <= 0.10 * value * (1 + 1e-9)
        assert traded >= 100.0 or (sign < 0 and count == held[name]), "a trade under 100 USD empties a position"
        assert count <= 0.05 * volumes[name] * (1 + 1e-9)
        assert row["liquidity_warning"] == "false"
        assert math.isclose(float(row["volume_pct"]), count / volumes[name], rel_tol=1e-4, abs_tol=1e-7)
        held[name] = held.get(name, 0) + sign * count
        cash -= sign * traded + traded * 3e-4
        notional += traded
        costs += traded * 3e-4
        assert cash >= -CENT, "cash is never negative, trade after trade"
    assert notional / (2 * value) <= 0.35 * (1 + 1e-9)
    assert costs <= 0.005 * value
    _weights(day, {name: count for name, count in held.items() if count}, prices, value, shares)
    _signals(day, folder.name)
    if universe is not None:
        assert {row["symbol"] for row in day.trades if row["side"] == "BUY"} <= universe
        assert {row["symbol"] for row in day.signals["signals"]} <= universe
        assert set(day.signals["details"]["desk_targets"]) <= universe
    _report(day)
    return day


def _weights(
    day: Day, after: Mapping[str, int], prices: Mapping[str, float], value: float, before: Mapping[str, int]
) -> None:
    """`portfolio_weights.csv` is what the trades make of the book, and holds the caps."""
    weights = {name: float(row["weight"]) for name, row in day.weights.items()}
    targets = {name: float(row["target_weight"]) for name, row in day.weights.items()}
    current = {name: float(row["current_weight"]) for name, row in day.weights.items()}
    for column in (weights, targets, current):
        assert math.isclose(sum(column.values()), 1.0, abs_tol=1e-8), "weights and cash sum to 1"
        assert min(column.values()) >= 0.0, "long only"
    assert "CASH" in weights
    for name in weights.keys() - {"CASH"}:
        assert math.isclose(weights[name], after.get(name, 0) * prices[name] / value, abs_tol=1e-8)
        assert math.isclose(current[name], before.get(name, 0) * prices[name] / value, abs_tol=1e-8)
    assert set(after) <= weights.keys()
    assert set(before) <= weights.keys()
    bought = {row["symbol"] for row in day.trades if row["side"] == "BUY"}
    sectors: dict[str, float] = defaultdict(float)
    grown: set[str] = set()
    for name in weights.keys() - {"CASH"}:
        assert weights[name] <= 0.15 + 1e-9 or name not in bought
        sector = day.weights[name]["sector"] or "unknown"
        sectors[sector] += weights[name]
        grown |= {sector} if name in bought else set()
    if any(day.weights[name]["sector"] for name in weights.keys() - {"CASH"}):
        for sector in grown:
            assert sectors[sector] <= 0.30 + 1e-9, f"{sector} was bought above its cap"


def _signals(day: Day, folder: str) -> None:
    session = dt.date.fromisoformat(folder)
    assert day.signals["session"] == folder == day.monitoring["date"]
    as_of = dt.datetime.fromisoformat(day.signals["as_of"])
    assert as_of.utcoffset() == dt.timedelta(0)
    assert as_of.date() == session
    assert as_of.hour in (13, 14), "half an hour before 09:30 in New York"
    assert day.signals["verdicts"]
    names = [each["check"] for each in day.signals["verdicts"]]
    assert len(names) == len(set(names)) >= 12
    assert all(each["why"] for each in day.signals["verdicts"])
    assert day.signals["why"]
    scored = [each["symbol"] for each in day.signals["signals"]]
    assert scored == sorted(set(scored))
    explained = {each["symbol"] for each in day.signals["signals"] if each.get("because")}
    assert explained == set(day.signals["targets"]) & set(scored)
    assert bool(scored) == day.signals["view"] == (day.signals["model"] is not None)


def _report(day: Day) -> None:
    """One self-contained page that opens offline and names every trade and check."""
    assert day.report.lstrip().lower().startswith("<!doctype html>")
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)["']""", day.report)
    assert [each for each in loaded if not each.startswith(("#", "data:"))] == []
    assert "@import" not in day.report
    assert not re.search(r"url\(\s*['\"]?(?!data:|#)", day.report)
    assert "<script src" not in day.report
    # A quarantined row's reason tells its volume as a multiple of the usual one, which may be 0.
    words = re.sub(r"<[^>]*>|data:[^\"']*|inf of its usual volume", " ", day.report)
    assert not re.search(r"\b(nan|inf|None)\b", words)
    for row in day.trades:
        assert row["symbol"] in day.report
    for verdict in day.signals["verdicts"]:
        assert verdict["check"] in day.report or verdict["check"].replace("_", " ") in day.report.lower()
