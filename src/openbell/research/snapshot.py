"""The market as a desk sees it before each decision: one function for the daily run and for the back-test."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import MOMENT
from openbell.core.types import Market
from openbell.core.view import View
from openbell.research.universe import decisions, members
from openbell.research.wide import NEVER, Wide, wide_bars

#: The declared benchmark that needs no bars of its own: mean daily total return of the universe's members.
EQUAL_WEIGHT = "EQUAL_WEIGHT"
VOLUME_SESSIONS = 20
VOLATILITY_SESSIONS = 60
#: Returns a volatility needs at least; with fewer it is null.
FEWEST_RETURNS = 30
#: Closes of the benchmark a desk sees: more than its longest look-back, the 252 of the drawdown.
BENCHMARK_SESSIONS = 300
#: Closes of each name that a desk sees: a year of returns.
CLOSES_SESSIONS = 253
#: A close older than this many sessions is no price to compute a return from.
STALE_SESSIONS = 5
SESSIONS_PER_YEAR = 252

#: Columns of `Market.names`, in order.
NAMES = (
    "symbol",
    "price_usd",
    "price_session",
    "volume_shares",
    "dollar_volume_usd",
    "volatility",
    "sector",
    "market_value_usd",
    "member",
)

_WINDOW = VOLATILITY_SESSIONS + 1
#: Sessions before a decision that its market reads.
READ_BACK_SESSIONS = BENCHMARK_SESSIONS + STALE_SESSIONS


def is_equal_weight(benchmark: str) -> bool:
    """Whether `benchmark` names the declared equal-weight index of the universe, in either case of letters."""
    return benchmark.upper() == EQUAL_WEIGHT


@dataclass(frozen=True, slots=True, eq=False)
class Snapshots:
    """Everything the markets of some decision sessions are cut from.

    Attributes
    ----------
    wide : bars up to the session before the last decision. benchmark : a symbol or ``EQUAL_WEIGHT``.
    as_of : moment of each decision session. member : members of the universe at each, sorted.
    member_cells : membership of every row, shape as `wide`; None unless the benchmark is the equal-weight index.
    index_returns : mean total return of the members in each row, shape (n,); None likewise.
    sector, value : of each symbol, as known at each decision. value_per_share : whether `value` counts shares.
    """

    wide: Wide
    benchmark: str
    as_of: Mapping[dt.date, dt.datetime]
    member: Mapping[dt.date, tuple[str, ...]]
    member_cells: np.ndarray | None
    index_returns: np.ndarray | None
    sector: Mapping[dt.date, Mapping[str, str | None]]
    value: Mapping[dt.date, Mapping[str, float]]
    value_per_share: bool

    def at(self, session: dt.date, held: Collection[str] = ()) -> Market:
        """The market before the decision session `session`: its members and the `held` names."""
        as_of = self.as_of[session]
        members_now = self.member[session]
        symbols = sorted({*members_now, *held})
        row = self.wide.row(session)
        known = _known(self.wide, slice(max(row - _WINDOW, 0), row), as_of)
        bars_in = np.flatnonzero(known.any(axis=1))
        if not bars_in.size:
            raise DataMissing(
                f"No bar of the {_WINDOW} sessions before {session} was known at {as_of:%Y-%m-%d %H:%M} UTC. "
                "Import newer bars with `openbell data import bars`, or choose an earlier date."
            )
        closes, notes = self._benchmark(session, row, as_of)
        names = self._names(session, symbols, row, as_of)
        missing = names["price_usd"].null_count()
        return Market(
            as_of=as_of,
            session=session,
            last_session=self.wide.sessions[max(row - _WINDOW, 0) + int(bars_in[-1])],
            names=names,
            benchmark=closes,
            benchmark_name=self.benchmark,
            notes=(*notes, *_counted(missing, f"names of {session} have no bar in the {_WINDOW} sessions before it")),
            closes=_closes(self.wide, symbols, row, as_of),
        )

    def _names(self, session: dt.date, symbols: Sequence[str], row: int, as_of: dt.datetime) -> pl.DataFrame:
        """`Market.names`: what is measured on the bars, and the facts known."""
        inside = set(self.member[session])
        sector, value = self.sector[session], self.value[session]
        worth = np.array([value.get(symbol, np.nan) for symbol in symbols], dtype=np.float64)
        measured, at = _measured(self.wide, symbols, row, as_of)
        numbers = {**measured, "market_value_usd": worth * measured["price_usd"] if self.value_per_share else worth}
        return pl.DataFrame(
            {
                "symbol": pl.Series(symbols, dtype=pl.String),
                **{name: pl.Series(array, dtype=pl.Float64, nan_to_null=True) for name, array in numbers.items()},
                "price_session": pl.Series(self.wide.days[at], dtype=pl.Date),
                "sector": pl.Series([sector.get(symbol) for symbol in symbols], dtype=pl.String),
                "member": pl.Series([symbol in inside for symbol in symbols], dtype=pl.Boolean),
            }
        ).select(NAMES)

    def _benchmark(self, session: dt.date, row: int, as_of: dt.datetime) -> tuple[np.ndarray, tuple[str, ...]]:
        """Total-return closes of the benchmark known at `as_of`, and what was missing among them."""
        if self.index_returns is not None and self.member_cells is not None:
            return _index(self.wide, self.index_returns, self.member_cells, row, as_of)
        first = max(row - BENCHMARK_SESSIONS, 0)
        column = self.wide.place[self.benchmark]
        seen = self.wide.known_us[first:row, column] <= _us(as_of)
        closes = self.wide.close[first:row, column][seen]
        closes = closes[np.isfinite(closes)]
        if not closes.size or not seen[-STALE_SESSIONS:].any():
            raise _no_benchmark(self.benchmark, session)
        gaps = int(len(seen) - seen.sum() - np.argmax(seen))
        return closes, _counted(gaps, f"of the last {len(seen)} sessions have no bar of the benchmark {self.benchmark}")


def snapshots(
    view: View,
    sessions: Sequence[dt.date],
    *,
    universe: str | None,
    benchmark: str,
    lead_minutes: int = 30,
    held: Collection[str] = (),
) -> dict[dt.date, Market]:
    """The market before each of the decision `sessions`; see `prepared` for what it is made of."""
    ready = prepared(view, sessions, universe=universe, benchmark=benchmark, lead_minutes=lead_minutes, held=held)
    return {session: ready.at(session, held) for session in sorted(sessions)}


def prepared(
    view: View,
    sessions: Sequence[dt.date],
    *,
    universe: str | None,
    benchmark: str,
    lead_minutes: int = 30,
    held: Collection[str] = (),
    bars_until: dt.date | None = None,
) -> Snapshots:
    """What the markets of `sessions` are cut from; bars are read once, 305 sessions further back than the first.

    Parameters
    ----------
    view : knows at least what was known at the last decision. sessions : decision sessions.
    universe : its name, or None for all stocks. benchmark : a symbol with bars, or ``EQUAL_WEIGHT``.
    lead_minutes : each decision is made this long before the open of its session.
    held : names to read besides the members. bars_until : session up to which `wide` reaches, for accounting; the
        markets never look there.

    Returns
    -------
    Snapshots
        ``at(t)`` uses bars of sessions before t that were known at t's own decision, however much `view` knows: price
        is the last close as received; volumes are means over the bars of 20 sessions, in today's shares; volatility
        is the standard deviation (ddof 1) of the simple total returns within 60 sessions times sqrt(252), null with
        fewer than 30. A value of one session depends on the 305 sessions before it and on nothing else, so one
        session alone gives the same market as many.

    Raises
    ------
    BadInput
        On no sessions, a day without a session, or a decision after ``view.as_of``. DataMissing: where the benchmark
        or all bars are missing.
    """
    if not sessions:
        raise BadInput("A market needs at least one decision session; there was none.")
    dated = decisions(view.sessions, sessions, lead_minutes)
    as_of = dict(dated.select("session", "as_of").iter_rows())
    last = max(as_of)
    if as_of[last] > view.as_of:
        raise BadInput(
            f"The decision of {last} is made at {as_of[last]:%Y-%m-%d %H:%M} UTC, after the view's own moment "
            f"{view.as_of:%Y-%m-%d %H:%M}. Take a view as of the decision, or an earlier session."
        )
    symbol = None if is_equal_weight(benchmark) else benchmark
    row_of_last = view.sessions.index(last)
    start = max(view.sessions.index(min(as_of)) - READ_BACK_SESSIONS, 0)
    if row_of_last == start:
        raise DataMissing(f"There is no session before {last} on the calendar {view.sessions.exchange}.")
    grid = view.sessions.dates[start:row_of_last]
    asked = sorted({*as_of, *(grid if symbol is None else ())})
    who = members(view, universe, asked, lead_minutes=lead_minutes, benchmark=symbol)
    symbols = {*who["symbol"].to_list(), *held, *([symbol] if symbol else [])}
    wide = wide_bars(view, sorted(symbols), grid[0], max(bars_until or grid[-1], grid[-1]))
    values, per_share = _market_values(view)
    cells = None if symbol else _member_cells(wide, who)
    by_session = {key[0]: tuple(part["symbol"]) for key, part in who.partition_by("session", as_dict=True).items()}
    return Snapshots(
        wide=wide,
        benchmark=symbol or EQUAL_WEIGHT,
        as_of=as_of,
        member={session: by_session.get(session, ()) for session in as_of},
        member_cells=cells,
        index_returns=None if cells is None else _index_returns(wide.close, cells),
        sector=_as_known(_sectors(view), as_of),
        value=_as_known(values, as_of),
        value_per_share=per_share,
    )


def _us(moment: dt.datetime) -> int:
    return round(moment.timestamp()) * 1_000_000 + moment.microsecond


def _known(wide: Wide, rows: slice, as_of: dt.datetime) -> np.ndarray:
    """Which cells held a bar that was known at `as_of`."""
    return np.asarray(wide.known_us[rows] <= _us(as_of))


def _counted(count: int, what: str) -> tuple[str, ...]:
    return (f"{count} {what}.",) if count else ()


def _no_benchmark(benchmark: str, session: dt.date) -> DataMissing:
    return DataMissing(
        f"There are no bars of the benchmark `{benchmark}` known in the {STALE_SESSIONS} sessions before {session}; "
        "the regime is read from it and nothing is put in its place. Import them with "
        f"`openbell data import bars {benchmark}.csv`, or take the universe's own index: "
        "`--set data.benchmark=equal_weight`."
    )


def _last(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Of each column the last value that is `present`, NaN without one, shape (w, m) to (m,)."""
    at = len(values) - 1 - np.argmax(present[::-1], axis=0)
    return np.where(present.any(axis=0), values[at, np.arange(values.shape[1])], np.nan)


def _mean(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean of what is `present` in each column, NaN without any."""
    count = present.sum(axis=0)
    total = np.where(present, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _volatility(closes: np.ndarray) -> np.ndarray:
    """Annualised standard deviation of simple returns between consecutive sessions, shape (w, m) to (m,)."""
    returns = closes[1:] / closes[:-1] - 1.0
    there = np.isfinite(returns)
    count = there.sum(axis=0)
    deviation = np.where(there, returns - _mean(returns, there), 0.0)
    variance = (deviation**2).sum(axis=0) / np.maximum(count - 1, 1)
    return np.where(count >= FEWEST_RETURNS, np.sqrt(variance * SESSIONS_PER_YEAR), np.nan)


def _measured(
    wide: Wide, symbols: Sequence[str], row: int, as_of: dt.datetime
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The measured columns of `Market.names`, NaN where unknown, and the row of each last price, -1 without one."""
    window = slice(max(row - _WINDOW, 0), row)
    columns = wide.columns(symbols)
    known = _known(wide, window, as_of)[:, columns]

    def cut(matrix: np.ndarray) -> np.ndarray:
        return np.where(known, matrix[window][:, columns], np.nan)

    recent = slice(-VOLUME_SESSIONS, None)
    close, raw_volume, volume = cut(wide.raw_close), cut(wide.raw_volume), cut(wide.volume)
    traded = np.isfinite(volume) & (volume > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        split = np.nan_to_num(_last(raw_volume / volume, traded), nan=1.0)
        dollars = raw_volume * close
    found = {
        "price_usd": _last(close, known),
        "volume_shares": _mean(volume[recent], np.isfinite(volume[recent])) * split,
        "dollar_volume_usd": _mean(dollars[recent], np.isfinite(dollars[recent])),
        "volatility": _volatility(cut(wide.close)),
    }
    last = np.where(known.any(axis=0), window.stop - 1 - np.argmax(known[::-1], axis=0), -1)
    there = np.array([symbol in wide.place for symbol in symbols], dtype=bool)
    measured = {name: np.full(len(symbols), np.nan) for name in found}
    for name, values in found.items():
        measured[name][there] = values
    at = np.full(len(symbols), -1)
    at[there] = last
    return measured, at


def _closes(wide: Wide, symbols: Sequence[str], row: int, as_of: dt.datetime) -> np.ndarray:
    """`Market.closes`: what was known at `as_of` of the sessions before `row`, shape (sessions, symbols)."""
    window = slice(max(row - CLOSES_SESSIONS, 0), row)
    columns = wide.columns(symbols)
    known = wide.known_us[window][:, columns] <= _us(as_of)
    closes = np.full((len(known), len(symbols)), np.nan)
    there = [symbol in wide.place for symbol in symbols]
    closes[:, there] = np.where(known, wide.close[window][:, columns], np.nan)
    return closes


def _member_cells(wide: Wide, who: pl.DataFrame) -> np.ndarray:
    """Whether each symbol was a member in each row, shape (n, m)."""
    cells = np.zeros(wide.close.shape, dtype=bool)
    place = {symbol: at for at, symbol in enumerate(wide.symbols)}
    inside = who.filter(pl.col("session") <= wide.sessions[-1], pl.col("session") >= wide.sessions[0])
    numbers = inside.join(wide.calendar.frame.select("session", "number"), on="session")["number"].cast(pl.Int64)
    cells[numbers.to_numpy() - wide.start, [place[symbol] for symbol in inside["symbol"]]] = True
    return cells


def _index_returns(close: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Mean total return of the members in each row, shape (n,); NaN in a row without one.

    A name's return runs from its last close within `STALE_SESSIONS`, so a gap is earned when the name is back.
    """
    seen = np.isfinite(close)
    rows = np.arange(len(close))[:, None]
    last = np.maximum.accumulate(np.where(seen, rows, -1), axis=0)
    before = np.vstack([np.full((1, close.shape[1]), -1), last[:-1]])
    usable = (before >= 0) & (rows - before <= STALE_SESSIONS) & seen & cells
    base = np.take_along_axis(close, np.maximum(before, 0), axis=0)
    returns = np.where(usable, close / np.where(usable, base, 1.0) - 1.0, 0.0)
    count = usable.sum(axis=1)
    return np.where(count > 0, returns.sum(axis=1) / np.maximum(count, 1), np.nan)


def _index(
    wide: Wide, returns: np.ndarray, cells: np.ndarray, row: int, as_of: dt.datetime
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Closes of the equal-weight index over the window before `row`, 1 at its first."""
    first = max(row - READ_BACK_SESSIONS, 0)
    known = _known(wide, slice(first, row), as_of)
    if not np.array_equal(known, wide.known_us[first:row] != NEVER):
        # Some bars came after this decision: it saw the index without them.
        window = _index_returns(np.where(known, wide.close[first:row], np.nan), cells[first:row])
    else:
        window = returns[first:row]
    window = window[-(BENCHMARK_SESSIONS - 1) :]
    there = np.flatnonzero(np.isfinite(window))
    if not there.size:
        raise DataMissing(
            f"No member of the universe has two closes before {as_of:%Y-%m-%d}: there is no equal-weight index. "
            "Import bars of its members with `openbell data import bars`."
        )
    window = window[there[0] :]
    gaps = int(np.isnan(window).sum())
    closes = np.cumprod(np.concatenate([[1.0], 1.0 + np.nan_to_num(window, nan=0.0)]))
    return closes, _counted(gaps, "sessions without any member's close stand still in the equal-weight index")


def _as_known(facts: pl.DataFrame, as_of: Mapping[dt.date, dt.datetime]) -> dict[dt.date, dict[str, Any]]:
    """The last value of each symbol known at each moment; `facts` are symbol, value, known_at in order of known_at."""
    known = facts["known_at"].dt.epoch("us").to_numpy()
    symbols, values = facts["symbol"].to_list(), facts["value"].to_list()
    now: dict[str, Any] = {}
    seen = 0
    found = {}
    for session in sorted(as_of):
        upto = int(np.searchsorted(known, _us(as_of[session]), side="right"))
        if upto > seen:
            now = {**now, **dict(zip(symbols[seen:upto], values[seen:upto], strict=True))}
            seen = upto
        found[session] = now
    return found


_NO_FACTS = pl.DataFrame(schema={"symbol": pl.String, "value": pl.Float64, "known_at": MOMENT})


def _sectors(view: View) -> pl.DataFrame:
    """Sectors in the order they became known."""
    if not view.tables.exists("instruments"):
        return _NO_FACTS
    rows = view.facts("instruments").select("symbol", pl.col("sector").alias("value"), "known_at")
    return rows.sort("known_at", "symbol").collect()


def _market_values(view: View) -> tuple[pl.DataFrame, bool]:
    """Dated values from ``market_value_usd`` or ``shares_outstanding``, and whether they are to be times the price."""
    if not view.tables.exists("fundamentals"):
        return _NO_FACTS, False
    rows = view.facts("fundamentals")
    columns = rows.collect_schema().names()
    for source, per_share in (("market_value_usd", False), ("shares_outstanding", True)):
        if source in columns:
            kept = rows.filter(pl.col(source) > 0).select("symbol", pl.col(source).alias("value"), "known_at")
            return kept.sort("known_at", "symbol").collect(), per_share
    return _NO_FACTS, False
