"""Back-tests on record for a reader: the account with what stood beside it, its trades, and what other costs leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.backtests import OURS, SHOWN, Comparison, Kept, backtests, compare
from openbell.app.lab.looks.evaluation_found import between
from openbell.core.errors import BadInput, DataMissing

if TYPE_CHECKING:
    from openbell.app.home import Home

#: What the account is called among the curves of a back-test, and in the tables.
ACCOUNT = "the account"
#: Names of curves in words; others are called as they are.
WORDS: Mapping[str, str] = {
    "calls": ACCOUNT, "signals": ACCOUNT, OURS: ACCOUNT, "policy": ACCOUNT, "without_costs": "without costs",
    "always_long": "always long", "always_short": "always short", "commonest": "commonest class",
    "equal_weight": "equal weight", "benchmark": "benchmark",
}  # fmt: skip
_MEASURES: Mapping[str, tuple[str, str]] = {
    "total return": ("total_return", "+.1%"), "a year": ("annual_return", "+.1%"), "Sharpe": ("sharpe", "+.2f"),
    "volatility": ("volatility", ".1%"), "max drawdown": ("max_drawdown", ".1%"),
    "value at risk 95 %": ("value_at_risk_95", ".2%"), "won": ("win_rate", ".1%"),
}  # fmt: skip
_OF_TRADES: Mapping[str, tuple[str, str]] = {
    "mean_return": ("mean return of a trade", "+.3%"), "profit_factor": ("profit factor", ".2f"),
    "exposure": ("sessions with a position", ".1%"), "cost_annual": ("costs a year", ".2%"),
    "turnover_annual": ("turnover a year", ".1f"), "win_rate": ("won", ".1%"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One back-test.

    Attributes
    ----------
    curves : ``session`` and the value of `ACCOUNT` and of each curve beside it, 1 at the first mark.
    measures : a row per curve, in words, with intervals. of_trades : measures of the trades, in words.
    trades : a row each; None where none are kept, and `no_trades` says it. groups : trades told apart, by caption.
    verdict : in a sentence. notes : what has to be said beside it.
    """

    kept: Kept
    curves: pl.DataFrame
    measures: pl.DataFrame
    of_trades: pl.DataFrame
    trades: pl.DataFrame | None
    no_trades: str
    groups: Mapping[str, pl.DataFrame]
    verdict: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recosted:
    """The same trades at other costs: figures in words beside those of the record, and the account's curve."""

    bp: float
    recorded_bp: float
    table: pl.DataFrame
    curve: pl.DataFrame
    about: str


def listed(home: Home, desk: str = "") -> list[Kept]:
    """Back-tests on record, the newest first; of one desk where it is named.

    Raises
    ------
    DataMissing
        Where there are none.
    """
    _ = home.kept_journal
    found = backtests(home, desk or None)
    if not found:
        raise DataMissing(f"There is no back-test{f' of the desk {desk}' if desk else ''} on record here yet.")
    return found[::-1]


def words(kept: Kept) -> str:
    """A back-test for a reader who chooses."""
    told = kept.payload
    return f"{told['desk']}: {told['name']}, {told['first']} to {told['last']} ({kept.key[:SHOWN]})"


def chosen(found: list[Kept], key: str) -> Kept:
    """The back-test that `key` begins; the newest where nothing is asked for."""
    fits = [each for each in found if each.key.startswith(key)]
    if not fits:
        raise BadInput(f"There is no back-test `{key[:SHOWN]}` on record. `openbell backtest list` lists all.")
    return fits[0]


def one(kept: Kept) -> Found:
    """Everything on record of one back-test."""
    told = kept.payload
    trades, why = _trades(kept)
    verdict = str(told.get("verdict") or _verdict(kept))
    return Found(
        kept,
        _curves(kept),
        _measures(told),
        _of_trades(told),
        trades,
        why,
        _groups(kept),
        verdict,
        tuple(str(each) for each in told.get("notes", ())),
    )


def _curves(kept: Kept) -> pl.DataFrame:
    if kept.of_stocks:
        from openbell.app.evidence import load

        frame = load(kept.folder, kept.payload["evidence"]).frames["equity"]
    else:
        frame = kept.frame("curves") if "curves" in kept.payload["evidence"] else kept.equity
    names = [name for name in frame.columns if name != "session"]
    first = {name: frame[name].drop_nulls()[0] for name in names if frame[name].drop_nulls().len()}
    return frame.select("session", *(_as_one(name, value) for name, value in first.items() if value))


def _as_one(name: str, first: float) -> pl.Expr:
    return (pl.col(name) / first).alias(WORDS.get(name, name))


def drawdowns(curves: pl.DataFrame) -> pl.DataFrame:
    """How far each curve lies below its highest so far, 0 or negative."""
    names = [name for name in curves.columns if name != "session"]
    return curves.select("session", *(pl.col(name) / pl.col(name).cum_max() - 1.0 for name in names))


def _measures(told: Mapping[str, Any]) -> pl.DataFrame:
    curves = {ACCOUNT: told, **{WORDS.get(name, name): each for name, each in told.get("benchmarks", {}).items()}}
    rows = [
        {"curve": name, **{title: between(each.get(of), each.get(f"{of}_low"), each.get(f"{of}_high"), form)
                           if f"{of}_low" in each else _plain(each.get(of), form)
                           for title, (of, form) in _MEASURES.items()}}
        for name, each in curves.items()
    ]  # fmt: skip
    return pl.DataFrame(rows)


def _plain(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _of_trades(told: Mapping[str, Any]) -> pl.DataFrame:
    rows = [
        {"measure": _OF_TRADES.get(name, (name.replace("_", " "), ""))[0], "n": f"{each['n']:,}",
         "value (95 %)": between(each["value"], each["low"], each["high"], _OF_TRADES.get(name, ("", ".4g"))[1])}
        for name, each in (told.get("of_trades") or {}).items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema={"measure": pl.String, "n": pl.String, "value (95 %)": pl.String})


def _trades(kept: Kept) -> tuple[pl.DataFrame | None, str]:
    if kept.of_stocks:
        from openbell.app.evidence import load

        frame = load(kept.folder, kept.payload["evidence"]).frames["rebalances"]
        return frame, "Each row is a rebalance: a portfolio is moved, and its single orders are not kept."
    if "trades" in kept.payload["evidence"]:
        return kept.frame("trades"), ""
    n = kept.payload.get("trades")
    count = "" if n is None else f" of {n:,} trades"
    return None, f"The record of this desk keeps the account{count}, and not each trade."


def _groups(kept: Kept) -> dict[str, pl.DataFrame]:
    """Tables by regime first, then whatever else trades are told apart by; in words, with intervals."""
    told: dict[str, pl.DataFrame] = {}
    if kept.of_stocks:
        from openbell.app.evidence import load

        rows = load(kept.folder, kept.payload["evidence"]).frames["regimes"]
        named = rows.rename({"low": "avg_return_low", "high": "avg_return_high"})
        told["regime"] = _worded(named.drop("regime"))
    elif "regimes" in kept.payload["evidence"]:
        told["regime"] = _worded(kept.frame("regimes"))
    for name, rows in (kept.payload.get("groups") or {}).items():
        if name not in told and rows:
            told[name] = _worded(pl.DataFrame(rows, infer_schema_length=None))
    return dict(sorted(told.items(), key=lambda each: each[0] != "regime"))


def _worded(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns in words, each figure with its interval."""
    shown: dict[str, list[Any]] = {}
    for name, kind in rows.schema.items():
        if name.endswith(("_low", "_high")):
            continue
        values = rows[name].to_list()
        form = "+.3%" if "return" in name else ".1%" if "rate" in name else ",.0f" if name.endswith("_usd") else "+.2f"
        if f"{name}_low" in rows.columns:
            bounds = zip(values, rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
            values = [between(*each, form) for each in bounds]
        elif kind.is_float():
            values = [_plain(each, form) for each in values]
        shown[name.replace("_", " ")] = values
    return pl.DataFrame(shown, infer_schema_length=None)


def _verdict(kept: Kept) -> str:
    told = kept.payload
    if told.get("sharpe_low") is None:
        return "It is not shown to earn anything: there are too few sessions for an interval of its Sharpe ratio."
    head = "Its Sharpe ratio lies above 0" if told["sharpe_low"] > 0 else "It is not shown to earn anything"
    ratio = between(told["sharpe"], told["sharpe_low"], told["sharpe_high"], "+.2f")
    return f"{head}: {ratio}, 95 %, over {told['sessions']:,} sessions and among {told['tries']:,} tries."


def recorded_bp(kept: Kept) -> float | None:
    """Cost of each side on record, bp of what is traded: commission and slippage; None where none is told."""
    costs = [kept.payload["costs"].get(name) for name in ("commission_bp", "slippage_bp")]
    return None if any(each is None for each in costs) else float(sum(costs))


def why_not(kept: Kept) -> str | None:
    """Why the costs cannot be changed without making the back-test anew; None where they can."""
    desk = kept.payload["desk"]
    if kept.of_stocks:
        return (
            "The record of the stocks desk keeps what each rebalance cost, but not the weights that it moved, which "
            "other costs would change. A tournament is held at five levels of costs: see the page Tournament."
        )
    if desk in ("options", "gate"):
        return (
            f"The costs of the {desk} desk are the spread of each quote and fees per contract, which decide what is "
            "taken; they cannot be changed afterwards. Make the back-test again with other settings."
        )
    if not recorded_bp(kept):
        return "This back-test was made without costs, so what they would be of each trade is not on record."
    if kept.frame("trades").is_empty():
        return "Nothing was traded, so no costs change anything."
    return None


def recosted(home: Home, kept: Kept, bp: float) -> Recosted:
    """What the recorded trades would have left had each side cost `bp`; no bar is looked at.

    Raises
    ------
    DataMissing
        Where they cannot be, with the reason. BadInput on negative costs.
    """
    reason = why_not(kept)
    if reason is not None:
        raise DataMissing(reason)
    if not 0.0 <= bp <= 1_000.0:
        raise BadInput(f"Costs of each side must lie between 0 and 1,000 bp; were {bp:g}.")
    if kept.payload["desk"] == "session":
        return _of_session(kept, bp)
    return _of_signals(kept, bp)


def _of_session(kept: Kept, bp: float) -> Recosted:
    """Every return anew, as the back-test itself makes its table of costs."""
    from openbell.quant.day_blocks import DayBlocks
    from openbell.research.session_account import cost_table, with_costs

    trades, daily, own = kept.frame("trades"), kept.frame("daily"), recorded_bp(kept) or 0.0
    told = kept.payload["parameters"]
    blocks = DayBlocks.of(daily["session"].to_numpy(), replications=told["replications"], seed=told["seed"])
    rows = cost_table(trades, daily, own, blocks=blocks, multiples=(1.0, bp / own))
    _, again = with_costs(trades, daily, bp)
    capital = float(kept.equity[OURS][0])
    curve = pl.DataFrame(
        {"session": kept.equity["session"], ACCOUNT: [1.0, *(again["equity_usd"] / capital).to_list()]}
    )
    table = pl.DataFrame({
        "each side, bp": [f"{own:g} (on record)", f"{bp:g}"],
        "total return": [f"{each:+.2%}" for each in rows["total_return"]],
        "mean return of a trade": ["–" if each is None else f"{each:+.3%}" for each in rows["mean_return"]],
        "Sharpe (95 %)": [between(*each, "+.2f") for each in rows.select("sharpe", "sharpe_low",
                                                                         "sharpe_high").iter_rows()],
        "costs, USD": [f"{each:,.0f}" for each in rows["cost_usd"]],
    })  # fmt: skip
    about = f"The {trades.height:,} recorded trades with every return and the account's growth made anew."
    return Recosted(bp, own, table, curve, about)


def _of_signals(kept: Kept, bp: float) -> Recosted:
    """The account moved by what more or less the trades would have paid; their sizes stay as they were."""
    own = recorded_bp(kept) or 0.0
    trades, equity = kept.frame("trades"), kept.equity
    more = trades.filter(pl.col("reason") != "open").select(
        pl.col("exit_session").alias("session"), (pl.col("cost_usd") * (1.0 - bp / own)).alias("saved")
    )
    daily = more.group_by("session").agg(pl.col("saved").sum())
    moved = equity.join(daily, on="session", how="left", maintain_order="left").with_columns(
        saved=pl.col("saved").fill_null(0.0).cum_sum()
    )
    first = float(equity[OURS][0])
    curve = moved.select("session", ((pl.col(OURS) + pl.col("saved")) / first).alias(ACCOUNT))
    paid = float(trades.filter(pl.col("reason") != "open")["cost_usd"].sum())
    ends = [float(equity[OURS][-1]) / first - 1.0, float(curve[ACCOUNT][-1]) - 1.0]
    table = pl.DataFrame({
        "each side, bp": [f"{own:g} (on record)", f"{bp:g}"],
        "total return": [f"{each:+.2%}" for each in ends],
        "costs, USD": [f"{paid:,.2f}", f"{paid * bp / own:,.2f}"],
    })  # fmt: skip
    about = (
        f"The {trades.height:,} recorded trades, each with its cost in proportion, charged when it was left. What an "
        "account that paid less would have put into the next trade is not followed: sizes stay as they were."
    )
    return Recosted(bp, own, table, curve, about)


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """Two back-tests on the marks that both have: their curves, both 1 at the first, and how they compare."""

    curves: pl.DataFrame
    found: Comparison


def beside(home: Home, first: Kept, other: Kept) -> Beside:
    """Two back-tests side by side, as `openbell backtest compare` does it.

    Raises
    ------
    BadInput
        Where they are the same one.
    """
    if first.key == other.key:
        raise BadInput("A back-test is not compared with itself. Choose another one.")
    found = compare(home, [first.key, other.key])
    names = [f"{each.payload['name']} ({each.key[:SHOWN]})" for each in (first, other)]
    both = first.equity.join(other.equity, on="session", suffix="_other").sort("session")
    if both.is_empty():
        return Beside(pl.DataFrame(schema={"session": pl.Date}), found)
    return Beside(
        both.select("session", *((pl.col(column) / pl.col(column).first()).alias(name)
                                 for column, name in zip((OURS, f"{OURS}_other"), names, strict=True))),
        found,
    )  # fmt: skip
