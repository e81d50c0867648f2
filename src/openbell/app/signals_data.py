"""What the signals desk learns from: bars of its base, features of every longer frame, and what came of each moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.declare import Feature, Label
from openbell.core.errors import DataMissing, unknown
from openbell.core.signal import DECISIONS
from openbell.core.view import View

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.research.bar_features import BarFeatures

DESK = "signals"
#: Symbols whose features are held as 64-bit numbers at once.
SYMBOLS_AT_ONCE = 32
#: Calendar days that the longest look-back of daily bars needs before the first decision.
_WARM_UP_DAYS = 900
_DAY_SECONDS = 86_400.0
#: Whatever symbols there are, and not those of the settings.
ANY: Sequence[str] = ("",)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Decisions with what came of them, ready to be learned from.

    Attributes
    ----------
    rows : columns of `core.signal.DECISIONS` and the features, by moment. features : their names, in order.
    bars : base bars ``symbol session at open high low close volume``, sorted by symbol and moment.
    label : what is learned. session, as_of : what was known before its open. lineage : of every feature column.
    made_up : the word that stands beside every figure where bars were generated, else empty. notes : what was left out.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    bars: pl.DataFrame
    label: Label
    session: dt.date
    as_of: dt.datetime
    lineage: pl.DataFrame
    made_up: str
    notes: tuple[str, ...]


def features_of(home: Home) -> list[Feature]:
    """The features of bars in the desk's families, in its order: of two that say the same, the later is left out."""
    families = home.catalogue.desks[DESK].families
    own = [each for each in home.catalogue.features.values() if each.family in families and each.reads == "bars"]
    return sorted(own, key=lambda each: families.index(each.family))


def label_of(home: Home) -> Label:
    """What the settings say is learned."""
    wanted, there = home.settings.signals.label, home.catalogue.labels
    valid = [name for name in there if name.startswith(("direction_", "barrier_"))]
    if wanted not in valid:
        raise unknown("label of the signals desk", wanted, valid)
    return there[wanted]


def bar_seconds(base: str) -> float:
    """How long a base bar lasts, in time that can be waited: a day of 24 hours for daily bars."""
    minutes = FRAMES[base]
    return _DAY_SECONDS if minutes is None else 60.0 * minutes


def engine(home: Home) -> BarFeatures:
    """The feature engine of the desk; a feature of what some symbol's bars lack, such as quotes, is switched off."""
    from openbell.quant.bar_frames import FIELDS
    from openbell.research.bar_features import BarFeatures

    base, wanted = home.settings.signals.base, home.settings.signals.symbols
    table = "bars" if base == "1d" else "minutes"
    if not home.tables.exists(table):
        return BarFeatures(features_of(home), base, home.sessions)
    rows = home.tables.scan(table).filter(pl.col("freq") == base)
    if wanted:
        rows = rows.filter(pl.col("symbol").is_in(list(wanted)))
    known = [name for name in FIELDS if name in rows.collect_schema().names()]
    held = rows.group_by("symbol").agg(pl.col(name).is_not_null().any() for name in known)
    there = held.select(pl.col(name).all() for name in known).collect().row(0, named=True)
    return BarFeatures(features_of(home), base, home.sessions, fields=tuple(name for name in known if there[name]))


def base_bars(
    home: Home, view: View, symbols: Sequence[str] | None = None, first: dt.date | None = None
) -> pl.LazyFrame:
    """Bars of the desk's base, with `at` as the moment at which each is complete."""
    base = home.settings.signals.base
    wanted = None if symbols is ANY else list(symbols or home.settings.signals.symbols) or None
    if base != "1d":
        if not view.tables.exists("minutes"):
            raise DataMissing(
                f"The signals desk decides on bars of {base}, and there are no bars within the session in "
                f"{home.path}. Import some with `openbell data import minutes FILE`, or set signals.base to 1d."
            )
        return view.minutes(base, symbols=wanted, first=first)
    closes = home.sessions.frame.lazy().select("session", pl.col("close_at").alias("at"))
    return view.bars("1d", symbols=wanted, first=first).join(closes, on="session").sort("symbol", "at")


def symbols_of(home: Home, view: View) -> list[str]:
    """The symbols to decide on: those of the settings, which must have bars, else all that have some."""
    there = base_bars(home, view, ANY).select("symbol").unique().collect()["symbol"].sort().to_list()
    for wanted in home.settings.signals.symbols:
        if wanted not in there:
            raise unknown(f"symbol with bars of {home.settings.signals.base}", wanted, there)
    if not there:
        raise DataMissing(f"There is no bar of {home.settings.signals.base} known by {view.as_of:%Y-%m-%d %H:%M} UTC.")
    wanted = set(home.settings.signals.symbols)
    return [each for each in there if each in wanted] if wanted else there


def prepared(home: Home, session: dt.date | None = None) -> Prepared:
    """Everything known before the open of `session`; by default of the one after the last stored bar."""
    moment, session = as_of_session(home, session)
    view = View(home.tables, moment, home.sessions)
    label, parts, bars, notes = label_of(home), [], [], []
    first = session - dt.timedelta(days=round(home.settings.signals.history_years * 365.25) + _WARM_UP_DAYS)
    made = engine(home)
    for group in _groups(symbols_of(home, view)):
        own = base_bars(home, view, group, first).collect()
        rows, said = decisions(home, made, own, label)
        parts.append(rows)
        bars.append(own.select("symbol", "session", "at", "open", "high", "low", "close", "volume"))
        notes += said
    every, filled = with_prices(pl.concat(bars))
    notes += filled
    rows = pl.concat(parts).sort("as_of", "symbol")
    start = session - dt.timedelta(days=round(home.settings.signals.history_years * 365.25))
    rows = rows.filter(pl.col("session") >= start)
    return Prepared(
        rows=rows,
        features=tuple(name for name in rows.columns if name not in DECISIONS),
        bars=every.sort("symbol", "at"),
        label=label,
        session=session,
        as_of=moment,
        lineage=made.lineage(),
        made_up="generated" if _is_made_up(view, home.settings.signals.base) else "",
        notes=tuple(dict.fromkeys(notes)),
    )


def with_prices(bars: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """`bars` with the close in place of opens, highs and lows that no bar has, as `fill_price` has it; and a note."""
    lacking = [name for name in ("open", "high", "low") if bars[name].null_count() == bars.height]
    if not lacking:
        return bars, []
    told = f"The bars have no {', '.join(lacking)}: what follows them enters at closes, and no stop is seen in a bar."
    return bars.with_columns(pl.col("close").alias(name) for name in lacking), [told]


def decisions(home: Home, made: BarFeatures, bars: pl.DataFrame, label: Label) -> tuple[pl.DataFrame, Sequence[str]]:
    """The rows of `bars` at which the desk decides, with features and labels, and what was left out."""
    from openbell.research.signal_rows import signal_rows

    return signal_rows(
        made.history(bars),
        bars,
        label,
        decide_every=home.settings.signals.decide_every,
        within_session=home.settings.signals.base != "1d",
        sessions=home.sessions,
    )


def regimes_of(home: Home, view: View) -> dict[dt.date, str]:
    """The market's regime in force in each session, by the closes of the benchmark before it; none without its bars."""
    from openbell.quant.regime import SLOW_SESSIONS
    from openbell.research.signal_backtest import regimes_before

    if not view.tables.exists("bars"):
        return {}
    found = view.bars("1d", symbols=(home.settings.data.benchmark,)).select("session", "close").drop_nulls().collect()
    if found.height < SLOW_SESSIONS:
        return {}
    # The session after the last close has a regime too: that of the closes before it.
    after = pl.DataFrame({"session": [home.sessions.shift(found["session"][-1], 1)], "close": [found["close"][-1]]})
    known = regimes_before(pl.concat([found, after.cast(found.schema)])).drop_nulls()
    return dict(known.select("session", "regime").iter_rows())


def as_of_session(home: Home, session: dt.date | None) -> tuple[dt.datetime, dt.date]:
    """The moment before the open of `session`, and the session: by default the one after the last stored bar."""
    if session is None:
        table = "bars" if home.settings.signals.base == "1d" else "minutes"
        if not home.tables.exists(table):
            raise DataMissing(f"There are no bars in {home.path}. Import some, or begin with `openbell demo signals`.")
        # Other products have sessions that this exchange lacks: a future on a holiday, a coin on a Saturday.
        last = home.tables.scan(table).select(pl.col("session").max()).collect().item()
        session = home.sessions.shift(home.sessions.between(home.sessions.dates[0], last)[-1], 1)
    home.sessions.index(session)
    return home.as_of(session), session


def _groups(symbols: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(symbols), SYMBOLS_AT_ONCE):
        yield symbols[start : start + SYMBOLS_AT_ONCE]


def _is_made_up(view: View, base: str) -> bool:
    sources = view.facts("bars" if base == "1d" else "minutes").select(pl.col("source").unique()).collect()["source"]
    return bool(sources.str.starts_with("generated").any())
