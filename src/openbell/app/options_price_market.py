"""Where the price of a structure comes from: stated numbers, the stored chain, or the modelled surface."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.quant import ssvi
from openbell.quant.density import Density
from openbell.quant.distributions import Distribution, Lognormal
from openbell.quant.legs import CALL, Legs
from openbell.quant.payoffs import FarValue
from openbell.quant.svi import Svi
from openbell.quant.valuation import far_value, far_value_on_surface, surface_volatility

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.core.view import View

STATED, CHAIN, MODEL = "stated", "chain", "modelled surface"
#: A volatility above this was surely meant in percent.
_LARGEST_VOLATILITY = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class MarketNow:
    """What a structure is priced on, at the close before the decision.

    Attributes
    ----------
    source : stated, chain or modelled surface. surface : (6,) as a row of `Surfaces.parameters`, None for one `iv`.
    quotes : bid, ask and iv of legs by (right, strike, expiry), (3,) each; empty without quotes.
    slices : forward and smile of each expiry of a chain. settlements : of those that have only one.
    half_spread : of the modelled quotes, from values, strikes, years and volatility at the money.
    """

    underlying: str
    quote_at: dt.datetime
    spot: float
    rate: float
    dividend_yield: float
    source: str
    modelled: bool
    iv: float | None
    surface: np.ndarray | None
    quotes: dict[tuple[int, float, dt.date], np.ndarray]
    slices: dict[dt.date, tuple[float, Svi]]
    half_spread: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None
    notes: tuple[str, ...]
    settlements: Mapping[dt.date, str] = field(default_factory=dict)

    def volatility(self, legs: Legs, years: np.ndarray) -> np.ndarray:
        """(n,) of each leg: of its quotes' mid, else of the surface, else the stated one."""
        if self.iv is not None:
            return np.full(len(years), self.iv)
        assert self.surface is not None
        fitted = surface_volatility(
            self.surface, np.float64(self.spot), legs.strike, years, rate=self.rate, dividend_yield=self.dividend_yield
        )
        quoted = np.array([self._quote(*key)[2] for key in _keys(legs)])
        return np.where(np.isfinite(quoted), quoted, fitted)

    def bid_and_ask(self, legs: Legs, values: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(n,) each: as quoted, or the modelled spread around `values`; None where prices were only stated."""
        if self.half_spread is not None:
            at_the_money = self.volatility(_at_the_money(legs, self.spot), years)
            half = self.half_spread(values, legs.strike, years, at_the_money)
            return np.maximum(values - half, 0.0), values + half
        if not self.quotes:
            return None
        found = np.array([self._quote(*key) for key in _keys(legs)])
        return found[:, 0], found[:, 1]

    def distribution(self, expiry: dt.date, years: float) -> Distribution:
        """The risk-neutral distribution at `expiry`, which is `years` away."""
        forward = self.spot * math.exp((self.rate - self.dividend_yield) * years)
        if self.iv is not None:
            return Lognormal(forward, self.iv * math.sqrt(years))
        if expiry in self.slices:
            return Density(*self.slices[expiry])
        return Density(forward, ssvi.slice_at(self.surface, years))

    @property
    def far(self) -> FarValue:
        """Value of a far leg at the near expiry; a surface moves with the underlying, one volatility stays."""
        if self.iv is not None:
            stated = self.iv
            return far_value(lambda *_: stated, rate=self.rate, dividend_yield=self.dividend_yield)
        assert self.surface is not None
        return far_value_on_surface(self.surface, rate=self.rate, dividend_yield=self.dividend_yield)

    def _quote(self, right: int, strike: float, expiry: dt.date) -> np.ndarray:
        return self.quotes.get((right, strike, expiry), np.full(3, np.nan))


def _keys(legs: Legs) -> list[tuple[int, float, dt.date]]:
    return [
        (int(right), float(strike), expiry)
        for right, strike, expiry in zip(legs.right, legs.strike, legs.expiry.tolist(), strict=True)
    ]


def _at_the_money(legs: Legs, spot: float) -> Legs:
    return Legs(legs.right, np.full(len(legs.strike), spot), legs.ratio, legs.expiry)


def stated_market(
    underlying: str, quote_at: dt.datetime, spot: float, iv: float, rate: float | None, dividend_yield: float | None
) -> MarketNow:
    """A market of one stated volatility: Black's, for every strike and expiry."""
    if not (math.isfinite(spot) and spot > 0):
        raise BadInput(f"The spot must be above 0; was {spot}.")
    if not 0 < iv <= _LARGEST_VOLATILITY:
        hint = f" Write {iv / 100:g} for {iv:g} %." if iv > _LARGEST_VOLATILITY else ""
        raise BadInput(
            f"A volatility must lie above 0 and at or below {_LARGEST_VOLATILITY:g} per year; was {iv:g}.{hint}"
        )
    told = [
        f"The {name} was not stated and is taken as 0."
        for name, number in (("rate", rate), ("dividend yield", dividend_yield))
        if number is None
    ]
    return MarketNow(
        underlying, quote_at, spot, rate or 0.0, dividend_yield or 0.0, STATED, False, iv, None, {}, {}, None,
        tuple(told),
    )  # fmt: skip


def chain_market(view: View, underlying: str, session: dt.date, settlement: str) -> MarketNow | None:
    """The stored chain of `session`, or None where there is none."""
    from openbell.market.chain_pricing import fitted_surface, smiles

    if not view.tables.exists("quotes"):
        return None
    known = view.chain(underlying, session=session).filter(~pl.col("modelled")).collect()
    if not known.height:
        return None
    rows, told = _one_moment(known)
    fit, each = fitted_surface(rows), smiles(rows)
    kept = rows.filter((pl.col("settlement") == settlement) | ~_both_settle(rows))
    quotes = {
        (CALL if right == "CALL" else -CALL, strike, expiry): np.array([bid, ask, iv], dtype=np.float64)
        for right, strike, expiry, bid, ask, iv in kept.select(
            "right", "strike", "expiry", "bid", "ask", "iv"
        ).iter_rows()
    }
    single = rows.filter(~_both_settle(rows)).select("expiry", "settlement").unique()
    good = each.filter(pl.col("reason").is_null()).sort((pl.col("settlement") == settlement).cast(pl.Int8))
    slices = {
        row["expiry"]: (row["forward"], Svi(row["a"], row["b"], row["rho"], row["m"], row["sigma"]))
        for row in good.iter_rows(named=True)
    }
    told += (f"Surface fitted to {fit.quotes} quotes, {100 * fit.error:.2f} points of volatility off on average.",)
    return MarketNow(
        underlying, fit.quote_at, fit.spot, fit.rate, fit.dividend_yield, CHAIN, fit.modelled, None, fit.parameters,
        quotes, slices, None, told, dict(single.iter_rows()),
    )  # fmt: skip


def _one_moment(rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The quotes of the moment that has most of them (the later of two), and the sentence on those left out."""
    counts = rows.group_by("quote_at").len().sort("len", "quote_at")
    kept = rows.filter(pl.col("quote_at") == counts["quote_at"][-1])
    if kept.height == rows.height:
        return kept, ()
    return kept, (f"{rows.height - kept.height} of {rows.height} quotes are of another moment and left out.",)


def _both_settle(rows: pl.DataFrame) -> pl.Series:
    """Whether the expiry of each row has contracts of both settlements."""
    return rows.select(pl.col("settlement").n_unique().over("expiry") > 1).to_series()


def modelled_market(home: Home, view: View, underlying: str, session: dt.date) -> MarketNow:
    """The modelled surface of `session`, from the bars and the volatility index known by the view."""
    from openbell.market.surface_model import OF_THE_VIX, modelled
    from openbell.quant.spread_kernel import half_spreads

    names = home.settings.options
    bars = bars_of(view, underlying)
    if not bars.height:
        raise DataMissing(
            f"There are no bars of {underlying} known on {session}. Import them with `openbell data import bars FILE`, "
            "or state --spot and --iv."
        )
    vix = bars_of(view, names.volatility_index)
    if not vix.height:
        raise DataMissing(
            f"There are no bars of {names.volatility_index}, which the modelled surface is driven by. Import them, or "
            "state --spot and --iv."
        )
    later = bars_of(view, names.volatility_index_3m)
    market = None if underlying in OF_THE_VIX else _market(view, names.benchmark)
    made = modelled(underlying, bars, vix, later if later.height else None, rates_of(view, names.rate), market=market)
    row = len(made.surfaces.sessions) - 1
    last = made.surfaces.sessions[row].astype("datetime64[D]").item()
    parameters = made.surfaces.parameters[row]
    if last != session or not np.isfinite(parameters).all():
        reason = made.notes.filter(pl.col("session") == session)["reason"].to_list()
        why = reason[0] if reason else f"The bars of {underlying} end on {last}."
        raise DataMissing(f"There is no modelled surface of {underlying} on {session}: {why}")
    spread, spot = np.ascontiguousarray(made.surfaces.spread), float(made.surfaces.spot[row])

    def half(value: np.ndarray, strike: np.ndarray, years: np.ndarray, at_the_money: np.ndarray) -> np.ndarray:
        return np.asarray(half_spreads(value, np.full(len(value), spot), strike, years, at_the_money, spread))

    return MarketNow(
        underlying, view.sessions.close(session), spot, float(made.surfaces.rate[row]),
        float(made.surfaces.dividend_yield[row]), MODEL, True, None, parameters, {}, {}, half, tuple(made.remarks),
    )  # fmt: skip


def _market(view: View, benchmark: str) -> pl.DataFrame | None:
    """The bars that the VIX is of: the index where it is stored, else the benchmark."""
    found = [bars for bars in (bars_of(view, "SPX"), bars_of(view, benchmark)) if bars.height]
    return found[0] if found else None


def bars_of(view: View, symbol: str) -> pl.DataFrame:
    """``session``, ``open``, ``close`` as traded and ``adjusted`` (for splits alone) of the daily bars of `symbol`."""
    if not view.tables.exists("bars"):
        return pl.DataFrame(
            schema={"session": pl.Date, "open": pl.Float64, "close": pl.Float64, "adjusted": pl.Float64}
        )
    rows = view.bars("1d", symbols=[symbol]).select("session", open="raw_open", close="raw_close").collect()
    return rows.with_columns((pl.col("close") * _split_factor(view, symbol, rows["session"])).alias("adjusted"))


def _split_factor(view: View, symbol: str, sessions: pl.Series) -> pl.Series:
    """Product of the split factors up to each session, 1 at the first."""
    if not view.tables.exists("actions"):
        return pl.Series(np.ones(len(sessions)))
    splits = (
        view.facts("actions")
        .filter(pl.col("symbol") == symbol, pl.col("kind") == "split")
        .sort("session", "known_at")
        .unique("session", keep="last", maintain_order=True)
        .select("session", pl.col("factor").cum_prod())
        .collect()
    )
    joined = pl.DataFrame({"session": sessions}).join_asof(splits, on="session", strategy="backward")
    return joined["factor"].fill_null(1.0)


def rates_of(view: View, name: str) -> pl.DataFrame | None:
    """``session`` and continuously compounded ``rate`` of the imported rate `name`, which is in percent a year."""
    if not name or not view.tables.exists("rates"):
        return None
    rows = view.facts("rates").filter(pl.col("name") == name).sort("session", "known_at")
    found = rows.unique("session", keep="last", maintain_order=True).collect()
    if not found.height:
        return None
    return found.select("session", (1.0 + pl.col("value") / 100.0).log().alias("rate"))
