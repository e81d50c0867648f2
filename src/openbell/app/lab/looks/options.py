"""Option chains as stored, what is fitted to them, and what the options desk proposed."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from cachetools import LRUCache, cached

from openbell.core.errors import DataMissing, unknown
from openbell.core.view import View
from openbell.store.journal import Record
from openbell.store.journal_pages import Which, counts, page

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.options_price import Priced
    from openbell.market.chain_smiles import FittedSurface

#: What one smile is of.
SLICE = ("expiry", "root", "settlement")
SIDES = ("bid", "ask", "iv", "delta", "volume", "open_interest")
PROPOSALS = 30
#: Points of a drawn curve; strikes and break-evens come on top, so that its corners are sharp.
POINTS = 241
_PROPOSED: Mapping[str, Any] = {
    "record": pl.Int64, "session": pl.String, "underlying": pl.String, "structure": pl.String, "trade": pl.Boolean,
    "contracts": pl.Int64, "best_probability": pl.Float64, "expected_utility": pl.Float64, "win_rate": pl.Float64,
    "n": pl.Int64, "effective_n": pl.Float64, "return_on_risk": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "max_loss_usd": pl.Float64, "max_profit_usd": pl.Float64, "proven": pl.Boolean, "modelled": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class DayChain:
    """The newest quotes of one underlying and session: `rows` as in `core.quotes.QUOTES`, of the moment `quote_at`.

    `notes` say what was left out.
    """

    underlying: str
    session: dt.date
    rows: pl.DataFrame
    quote_at: dt.datetime
    modelled: bool
    notes: tuple[str, ...]

    @property
    def slices(self) -> pl.DataFrame:
        """Each `SLICE` with its number of contracts, by expiry."""
        return self.rows.group_by(SLICE).agg(pl.len().alias("contracts")).sort(SLICE)


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """One SVI smile per slice, and the SSVI surface of all of them; no surface where `no_surface` says why."""

    smiles: pl.DataFrame
    surface: FittedSurface | None
    no_surface: str


def sessions_of(home: Home, underlying: str) -> list[dt.date]:
    """Sessions of which a chain of `underlying` is stored, newest first.

    Raises
    ------
    DataMissing
        Where no chain is stored at all. BadInput : of an underlying that has none.
    """
    if not home.tables.exists("quotes"):
        raise DataMissing("No option chain is stored yet. Import one with `openbell data import chain FILE`.")
    found = home.tables.scan("quotes").select("underlying", "session").unique().collect()
    if underlying not in found["underlying"]:
        raise unknown("underlying with a stored chain", underlying, found["underlying"].to_list())
    return found.filter(pl.col("underlying") == underlying)["session"].sort(descending=True).to_list()


def day_chain(home: Home, underlying: str, session: dt.date, now: dt.datetime) -> DayChain:
    """The chain of `session` as it is known at `now`: of its moments the one with most quotes, the later of two."""
    rows = View(home.tables, now, home.sessions).chain(underlying, session=session).collect()
    if rows.is_empty():
        raise DataMissing(f"No chain of {underlying} is stored of {session}.")
    moments = rows.group_by("quote_at").len().sort("len", "quote_at")
    kept = rows.filter(pl.col("quote_at") == moments["quote_at"][-1])
    left = rows.height - kept.height
    notes = (f"{left} of {rows.height} quotes are of another moment and left out.",) if left else ()
    return DayChain(underlying, session, kept, moments["quote_at"][-1], bool(kept["modelled"].any()), notes)


def by_strike(rows: pl.DataFrame, expiry: dt.date, root: str, settlement: str) -> pl.DataFrame:
    """Calls, strike and puts of one slice, a row: `SIDES` as ``call_bid``, ``strike``, `SIDES` as ``put_bid``."""
    part = rows.filter((pl.col("expiry") == expiry) & (pl.col("root") == root) & (pl.col("settlement") == settlement))
    sides = {
        right: part.filter(pl.col("right") == right).select(
            "strike", *(pl.col(name).alias(f"{right.lower()}_{name}") for name in SIDES)
        )
        for right in ("CALL", "PUT")
    }
    both = sides["CALL"].join(sides["PUT"], on="strike", how="full", coalesce=True).sort("strike")
    return both.select(*(f"call_{name}" for name in SIDES), "strike", *(f"put_{name}" for name in SIDES))


def fits(home: Home, chain: DayChain) -> Fits:
    """The smiles and the surface of a chain; some seconds for a whole index chain, kept for the next look."""
    return _fits(str(home.settings.store.tables), chain)


def _fit_key(at: str, chain: DayChain) -> tuple[object, ...]:
    return at, chain.underlying, chain.session, chain.quote_at, chain.rows.height, chain.rows["known_at"].max()


@cached(LRUCache(8), key=_fit_key, lock=threading.Lock())
def _fits(at: str, chain: DayChain) -> Fits:
    from openbell.market.chain_smiles import fitted_surface, smiles

    try:
        return Fits(smiles(chain.rows), fitted_surface(chain.rows), "")
    except DataMissing as missing:
        return Fits(smiles(chain.rows), None, str(missing))


def smile_points(chain: DayChain, expiry: dt.date, root: str, settlement: str) -> pl.DataFrame:
    """Quotes of one slice that a smile is fitted to: ``strike``, ``right``, ``iv``, ``low``, ``high`` (of bid and ask).

    Out of the money only, where the quotes are best; `low` and `high` to first order in volatility.
    """
    from openbell.market.chain_smiles import out_of_the_money

    rows = out_of_the_money(chain.rows)
    here = rows.filter((pl.col("expiry") == expiry) & (pl.col("root") == root) & (pl.col("settlement") == settlement))
    return here.select(
        "strike", "right", "iv", low=pl.max_horizontal(pl.col("iv") - pl.col("half_width"), 0.0),
        high=pl.col("iv") + pl.col("half_width"),
    ).sort("strike")  # fmt: skip


def smile_curves(found: Fits, expiry: dt.date, root: str, settlement: str, strikes: pl.Series) -> pl.DataFrame:
    """What is fitted over the range of `strikes`: ``strike``, ``svi``, ``ssvi`` (null where nothing was fitted)."""
    from openbell.quant import ssvi
    from openbell.quant.svi import Svi

    here = found.smiles.filter(
        (pl.col("expiry") == expiry) & (pl.col("root") == root) & (pl.col("settlement") == settlement)
    )
    if here.is_empty() or strikes.is_empty() or here["forward"][0] is None or not here["years"][0] > 0:
        return pl.DataFrame(schema={"strike": pl.Float64, "svi": pl.Float64, "ssvi": pl.Float64})
    row = here.row(0, named=True)
    at = np.linspace(float(strikes.min()), float(strikes.max()), POINTS)  # type: ignore[arg-type]
    k = np.log(at / row["forward"])
    nothing = np.full(POINTS, np.nan)
    own = nothing
    if row["reason"] is None:
        shape = Svi(row["a"], row["b"], row["rho"], row["m"], row["sigma"])
        own = np.sqrt(shape.total_variance(k) / row["years"])
    whole = nothing
    if found.surface is not None:
        whole = np.sqrt(ssvi.total_variance(found.surface.parameters, k, row["years"]) / row["years"])
    return pl.DataFrame({"strike": at, "svi": own, "ssvi": whole}).with_columns(pl.col("svi", "ssvi").fill_nan(None))


def payoff_curves(found: Priced) -> pl.DataFrame:
    """Profit of one unit over prices of the underlying: ``price``, ``today_usd``, ``expiry_usd``, before commissions.

    Today each leg is valued at the volatility that the pricing took for it.
    """
    from openbell.quant.valuation import value

    market, legs, years = found.market, found.legs, found.years
    volatility = market.volatility(legs, years)
    width = 3.0 * float(np.nanmedian(volatility)) * float(np.sqrt(max(years.min(), 1.0 / 365.0)))
    corners = np.array([*legs.strike, *found.profile.breakevens, market.spot])
    near = corners[(corners > 0.5 * market.spot) & (corners < 2.0 * market.spot)]
    low = min(market.spot * np.exp(-width), 0.99 * near.min())
    high = max(market.spot * np.exp(width), 1.01 * near.max())
    prices = np.unique(np.concatenate([np.linspace(low, high, POINTS), near]))
    carry = {"rate": market.rate, "dividend_yield": market.dividend_yield}
    today = value(legs, prices, years, volatility, **carry).total() - found.premium
    return pl.DataFrame(
        {
            "price": prices,
            "today_usd": today * found.multiplier,
            "expiry_usd": found.profile.profit(prices) * found.multiplier,
        }
    )


def proposals(home: Home, limit: int = PROPOSALS) -> pl.DataFrame:
    """The last decisions of the options desk as the journal has them, newest first."""
    known = counts(home.kept_journal).drop_nulls("desk")["desk"].unique().to_list()
    desks = tuple(each for each in known if each.startswith("options."))
    if not desks:
        return pl.DataFrame(schema=dict(_PROPOSED))
    found = page(home.kept_journal, Which(kinds=("decision",), desks=desks), limit)
    return pl.DataFrame([_proposed(each) for each in found], schema=dict(_PROPOSED))


def _proposed(found: Record) -> dict[str, Any]:
    told = found.payload["details"]
    stats = told.get("statistics", {})
    return {
        "record": found.seq,
        "session": found.payload["session"],
        "underlying": told["underlying"],
        "structure": told.get("structure"),
        "trade": bool(found.payload["targets"]),
        "contracts": told.get("contracts", 0),
        "best_probability": told.get("confidence"),
        "expected_utility": told.get("expected_utility"),
        **{name: stats.get(name) for name in ("win_rate", "n", "effective_n", "low", "high")},
        "return_on_risk": stats.get("expected_return"),
        **{name: told.get(name) for name in ("max_loss_usd", "max_profit_usd", "proven", "modelled")},
    }


def legs_of(found: Record) -> pl.DataFrame:
    """The legs of a proposal: ``contract``, ``ratio``, ``right``, ``strike``, ``expiry``, ``bid``, ``ask``."""
    names = ("contract", "ratio", "right", "strike", "expiry", "bid", "ask")
    legs = found.payload["details"].get("legs", [])
    return pl.DataFrame([{name: each.get(name) for name in names} for each in legs])


def similar_days(home: Home, found: Record) -> pl.DataFrame:
    """The similar past days that a decision was simulated on, out of its ``decision.json``, the nearest first.

    Raises
    ------
    DataMissing
        Where that file is not where runs write, or is of another decision.
    """
    where = Path(str(found.payload["desk"]).partition(".")[2], str(found.payload["session"]), "decision.json")
    places = (Path(home.settings.run.output_dir), home.path / home.settings.run.output_dir)
    for each in places:
        if not (each / where).is_file():
            continue
        told = json.loads((each / where).read_text(encoding="utf-8"))
        if told.get("decision") == found.payload["decision"]:
            rows = (told.get("stage_two") or {}).get("similar_days", [])
            return pl.DataFrame(rows, infer_schema_length=None)
    raise DataMissing(
        f"The similar days of record {found.seq} are in no {where} below {home.settings.run.output_dir}: the run wrote "
        "elsewhere, or a later run wrote over it."
    )
