"""What the options desk sees of one underlying: surfaces, chains and the 84 features, as known at one moment."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.files import write_whole
from openbell.app.options_price_market import bars_of, rates_of
from openbell.core.errors import DataMissing
from openbell.core.hashing import digest, frame_digest
from openbell.core.view import View
from openbell.quant.feature_groups import EIGHTY_FOUR, GROUPS
from openbell.quant.listing import Expiries, expiries, programme
from openbell.quant.surfaces import Surfaces
from openbell.research.chain_features import OptionFeatures, chain_day_features, eighty_four, option_features

if TYPE_CHECKING:
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class OptionMarketData:
    """One underlying as known at the moment of `view`, every session from its first bar on.

    Attributes
    ----------
    surfaces : a row per session, NaN where there is none. features : see `research.chain_features`. chain_days : one
        row per session with a chain, real or modelled. remarks : sentences on what is modelled, refused or missing.
    """

    home: Home
    view: View
    underlying: str
    surfaces: Surfaces
    features: OptionFeatures
    chain_days: pl.DataFrame
    remarks: tuple[str, ...]

    @property
    def sessions(self) -> np.ndarray:
        """(n,) datetime64[D]."""
        return self.surfaces.sessions.astype("datetime64[D]")

    @property
    def american(self) -> bool:
        """Whether its options may be exercised early: all but index options."""
        return programme(self.underlying).name != "SPX"

    @cached_property
    def listed(self) -> Expiries:
        """The expiries of its listing programme on the exchange's calendar."""
        return expiries(self.calendar, programme(self.underlying))

    @cached_property
    def calendar(self) -> np.ndarray:
        """(m,) datetime64[D]: the sessions of the surfaces and those after them."""
        dates = np.array(self.view.sessions.dates, dtype="datetime64[D]")
        return dates[dates >= self.sessions[0]]

    @cached_property
    def as_of(self) -> np.ndarray:
        """(n,) datetime64[us], UTC: the moment of the decision that follows each session's close."""
        number = int(np.searchsorted(np.array(self.view.sessions.dates, dtype="datetime64[D]"), self.sessions[0]))
        opens = self.view.sessions.opens[number + 1 : number + 1 + len(self.sessions)]
        lead = np.timedelta64(self.home.settings.run.lead_minutes, "m")
        return np.array([each.replace(tzinfo=None) for each in opens], dtype="datetime64[us]") - lead

    @cached_property
    def table(self) -> pl.DataFrame:
        """The 84 of every session of the surfaces, in the same order of rows; all null where a session has no bar."""
        days = pl.DataFrame({"session": pl.Series(self.sessions).cast(pl.Date)})
        return days.join(self.features.frame, on="session", how="left", maintain_order="left")

    @cached_property
    def usable(self) -> np.ndarray:
        """(n,) whether none of the inputs of the 84 is missing; a swing level that does not exist is no input."""
        return available(self.features, self.table["session"]) & self.table["modelled"].is_not_null().to_numpy()

    def chain(self, session: dt.date) -> tuple[pl.DataFrame, bool]:
        """The quotes of `session`: the stored chain if there is one, else the modelled one; and whether it is that."""
        real = real_quotes(self.view, self.underlying, session)
        if real.height:
            return real, False
        from openbell.market.modelled import day_facts, modelled_chain

        row = int(np.searchsorted(self.sessions, np.datetime64(session)))
        facts = day_facts(self.surfaces, _activity(self.view, self.underlying))
        return modelled_chain(self.surfaces, [row], facts, self.underlying, calendar=self.view.sessions), True


#: Nulls that mean that there is nothing to measure, not that an input is missing: no swing high stands above, say.
STRUCTURAL = frozenset(
    {
        "resistance_level", "support_level", "resistance_2", "support_2", "distance_to_resistance",
        "distance_to_support", "position_in_range", "range_width", "days_in_range", "breakout_probability",
    }
)  # fmt: skip


def available(features: OptionFeatures, sessions: pl.Series) -> np.ndarray:
    """(n,) whether every one of the 84 with an input is there on each of `sessions`."""
    missing = features.unavailable.filter(~pl.col("feature").is_in(list(STRUCTURAL)))["session"].unique()
    return (~sessions.is_in(missing.implode())).to_numpy()


def _activity(view: View, underlying: str) -> pl.DataFrame:
    """Closes and volume of the underlying, as the model of option activity wants them."""
    return view.bars("1d", symbols=[underlying]).select("session", "volume", close="raw_close").collect()


def real_quotes(view: View, underlying: str, session: dt.date | None = None) -> pl.DataFrame:
    """Stored quotes that somebody made, of one session or of all; empty where there are none."""
    from openbell.core.quotes import QUOTES

    if not view.tables.exists("quotes"):
        return pl.DataFrame(schema=dict(QUOTES))
    return view.chain(underlying, session=session).filter(~pl.col("modelled")).collect()


def market_data(
    home: Home, view: View, underlying: str, *, first: dt.date | None = None, progress: Progress | None = None
) -> OptionMarketData:
    """Everything the desk stands on, from what `view` knows; sessions before `first` get no features.

    Raises
    ------
    DataMissing
        Where the underlying or the volatility index has no bars.
    """
    from openbell.market.surface_model import OF_THE_VIX, modelled

    names = home.settings.options
    bars = _on_the_grid(view, _needed(view, underlying, "the underlying"))
    index = _needed(view, names.volatility_index, "the volatility index")
    later = bars_of(view, names.volatility_index_3m)
    market = None if underlying in OF_THE_VIX else _needed(view, _index_of_the_vix(view, names.benchmark), "the market")
    made = modelled(underlying, bars, index, later if later.height else None, rates_of(view, names.rate), market=market)
    chains = _chain_days(home, view, underlying, made.surfaces, first, progress)
    features = option_features(
        underlying,
        view.bars("1d", symbols=[underlying]),
        benchmark=view.bars("1d", symbols=[names.benchmark]),
        volatility_index=index.select("session", "close"),
        chain_days=chains,
        sessions=view.sessions,
        features=eighty_four(home.catalogue.features),
        first=first,
        benchmark_name=names.benchmark,
        index_name=names.volatility_index,
    )
    return OptionMarketData(home, view, underlying, made.surfaces, features, chains, (*made.remarks, *features.notes))


def _needed(view: View, symbol: str, what: str) -> pl.DataFrame:
    bars = bars_of(view, symbol)
    if not bars.height:
        raise DataMissing(
            f"There are no bars of {symbol}, {what}, before {view.as_of:%Y-%m-%d %H:%M} UTC. Import them with "
            "`openbell data import bars FILE --symbol " + f"{symbol}`."
        )
    return bars


def _index_of_the_vix(view: View, benchmark: str) -> str:
    """The bars that the VIX is of: the index where it is stored, else the benchmark."""
    return "SPX" if bars_of(view, "SPX").height else benchmark


def _on_the_grid(view: View, bars: pl.DataFrame) -> pl.DataFrame:
    """The bars with a row for every session from the first to the last; null where a session has no bar."""
    days = view.sessions.frame.select("session").filter(
        pl.col("session").is_between(bars["session"].min(), bars["session"].max())
    )
    return days.join(bars, on="session", how="left", maintain_order="left")


def _chain_days(
    home: Home, view: View, underlying: str, surfaces: Surfaces, first: dt.date | None, progress: Progress | None
) -> pl.DataFrame:
    """Aggregates of every day's chain: the stored one, else the modelled one, year by year, each kept in the cache."""
    from openbell.market.modelled import day_facts, modelled_chains

    declared = eighty_four(home.catalogue.features)
    real = chain_day_features(real_quotes(view, underlying), declared)
    bars = _activity(view, underlying)
    facts = day_facts(surfaces, bars)
    sessions = surfaces.sessions.astype("datetime64[D]")
    has = np.isfinite(surfaces.parameters).all(axis=1) & ~np.isin(sessions, real["session"].to_numpy())
    if first is not None:
        # A year and a half before the first day: the rank of the volatility looks back on 252 of them.
        has &= sessions >= np.datetime64(first) - np.timedelta64(550, "D")
    years = sessions.astype("datetime64[Y]")

    def _aggregated(rows: np.ndarray) -> pl.DataFrame:
        chains = modelled_chains(surfaces, rows, facts, underlying, calendar=view.sessions)
        return pl.concat([chain_day_features(each, declared) for each in chains])

    parts = [real]
    wanted = np.unique(years[has])
    for done, year in enumerate(wanted, start=1):
        rows = np.flatnonzero(has & (years == year))
        key = digest([underlying, _shown(surfaces, rows), frame_digest(_of(bars, sessions, rows)), _code(home)])
        parts.append(cached(home, key, partial(_aggregated, rows)))
        if progress is not None:
            progress(done, len(wanted), f"modelled chains of {year!s}")
    return pl.concat(parts, how="vertical_relaxed").sort("session")


def _of(bars: pl.DataFrame, sessions: np.ndarray, rows: np.ndarray) -> pl.DataFrame:
    """The bars that the activity of these rows is modelled from: theirs and those of the year before."""
    first = sessions[rows[0]] - np.timedelta64(400, "D")
    return bars.filter(pl.col("session").is_between(first.item(), sessions[rows[-1]].item()))


def _shown(surfaces: Surfaces, rows: np.ndarray) -> list[list[float]]:
    """The numbers of these rows, for a hash."""
    columns = (surfaces.spot, surfaces.rate, surfaces.dividend_yield, surfaces.increment)
    table = np.column_stack([*(each[rows] for each in columns), surfaces.parameters[rows]])
    return [[*each] for each in table.tolist()] + [surfaces.spread.tolist()]


def _code(home: Home) -> str:
    """What a cached part depends on besides its data: the code that models and aggregates."""
    from openbell.market import chain_activity, modelled, surface_scalars
    from openbell.quant import chain_expressions, surface_values
    from openbell.research import chain_days
    from openbell.research.fitting import code_behind

    modules = (chain_activity, modelled, surface_scalars, chain_expressions, surface_values, chain_days)
    return digest([code_behind(each) for each in modules])


def cached(home: Home, key: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """What `make` gives, kept in the home's cache under `key`; a file that cannot be read is made anew."""
    path = home.cache / "options" / f"{key}.parquet"
    if path.is_file():
        try:
            return pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError):
            path.unlink(missing_ok=True)
    found = make()
    buffer = io.BytesIO()
    found.write_parquet(buffer)
    write_whole(path, buffer.getvalue())
    return found


@dataclass(frozen=True, eq=False)
class FeaturesOfDay:
    """The 84 of one decision, for the command line."""

    underlying: str
    session: dt.date
    known_on: dt.date
    values: Mapping[str, float | None]
    reasons: Mapping[str, str]
    modelled: bool
    notes: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Features without an input; the desk abstains."""
        return tuple(name for name in self.reasons if name not in STRUCTURAL)

    def table(self) -> pl.DataFrame:
        """A row per feature."""
        group_of = {name: group for group, names in GROUPS.items() for name in names}
        return pl.DataFrame(
            [
                {"group": group_of[name], "feature": name, "value": value, "reason": self.reasons.get(name, "")}
                for name, value in self.values.items()
            ],
            infer_schema_length=None,
        )

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "underlying": self.underlying,
            "session": self.session.isoformat(),
            "known_on": self.known_on.isoformat(),
            "modelled": self.modelled,
            "features": dict(self.values),
            "unavailable": dict(self.reasons),
            "notes": list(self.notes),
        }


def features_of_day(home: Home, underlying: str, session: dt.date) -> FeaturesOfDay:
    """The 84 as known before the open of `session`: those of the close before it."""
    session = home.decision_session(session)
    before = home.sessions.shift(session, -1)
    data = market_data(home, home.view(session), underlying, first=before)
    return features_on(data, before, session)


def features_on(data: OptionMarketData, known_on: dt.date, session: dt.date) -> FeaturesOfDay:
    """The 84 of the close of `known_on`, with the reason of each that is missing."""
    row = data.features.frame.filter(pl.col("session") == known_on)
    if row.is_empty():
        raise DataMissing(
            f"There is no bar of {data.underlying} on {known_on}, so nothing can be said before the open of {session}."
        )
    values = row.select(EIGHTY_FOUR).row(0, named=True)
    why = data.features.unavailable.filter(pl.col("session") == known_on)
    reasons = dict(why.select("feature", "reason").iter_rows())
    kind = "Modelled" if row["modelled"][0] else "Quoted"
    notes = [f"{kind} chains stand behind the option features."]
    return FeaturesOfDay(
        data.underlying, session, known_on, values, reasons, bool(row["modelled"][0]), (*notes, *data.remarks)
    )
