"""Hand-made sessions: bars within them written out, their hours, and the rows that come of them."""

import datetime as dt
import zoneinfo

import polars as pl
from feature_bars import declared

from openbell.core.declare import Feature, Label, collect, feature
from openbell.core.time import MOMENT
from openbell.labels import session_days
from openbell.research.session_rows import session_rows

ZONE = "America/New_York"
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
LABELS: dict[str, Label] = collect([session_days], Label)
OWN: dict[str, Feature] = {name: each for name, each in declared().items() if each.reads in ("early", "session")}


def moment(day, clock):
    """`clock` of New York on `day`, in UTC."""
    local = dt.datetime.combine(day, dt.time.fromisoformat(clock), zoneinfo.ZoneInfo(ZONE))
    return local.astimezone(dt.UTC)


def hours(days, *, opens="09:30", closes="16:00", early=None, overnight=False):
    """Hours of `days`: 18:00 of the evening before to 17:00 where `overnight`; `early` gives other closes by day."""
    rows = []
    for day in days:
        close = moment(day, (early or {}).get(day, closes))
        start = moment(day - dt.timedelta(days=1), "18:00") if overnight else moment(day, "08:00")
        rows.append((day, start, moment(day, "17:00"), moment(day, opens), close))
    names = ("session", "open_at", "close_at", "regular_open_at", "regular_close_at")
    return pl.DataFrame(rows, schema=dict(zip(names, (pl.Date, *[MOMENT] * 4), strict=True)), orient="row")


def bars(rows, *, freq="15m", symbol="T", delay=0):
    """Bars ``(session, begin "HH:MM" or moment, open, high, low, close, volume)``."""
    made = []
    for session, begin, *values in rows:
        start = moment(session, begin) if isinstance(begin, str) else begin
        end = start + dt.timedelta(minutes=MINUTES[freq])
        made.append((symbol, freq, session, end, *map(float, values), end + dt.timedelta(minutes=delay)))
    names = ("symbol", "freq", "session", "at", "open", "high", "low", "close", "volume", "known_at")
    kinds = (pl.String, pl.String, pl.Date, MOMENT, *[pl.Float64] * 5, MOMENT)
    return pl.DataFrame(made, schema=dict(zip(names, kinds, strict=True)), orient="row")


def flat_day(session, price=100.0, *, opens="09:30", closes="16:00", freq="15m", volume=10.0, wide=1.0):
    """Regular bars of one session around `price`, each a little above the one before."""
    step = dt.timedelta(minutes=MINUTES[freq])
    at, end, rows = moment(session, opens), moment(session, closes), []
    while at < end:
        p = price + 0.01 * len(rows)
        rows.append((session, at, p, p + wide, p - wide, p + 0.005, volume))
        at += step
    return rows


def planted(name, expression, reads="session", lookback=None):
    """A feature that no file declares."""

    def it():
        return expression

    it.__doc__ = "Planted."
    return feature(reads=reads, unit="x", name=name, lookback=lookback)(it)[0]


def rows_of(bars, hours, *features, cutoff="10:30", daily=None, label="direction_from_cutoff", markets=None):
    """The rows of some features: declared names, or planted ones."""
    chosen = [OWN[each] if isinstance(each, str) else each for each in features]
    asked = LABELS[label] if label else None
    return session_rows(bars, hours, daily, cutoff, ZONE, chosen, asked, markets or {})


def value(made, name, session):
    """One value of one session."""
    return made.rows.filter(pl.col("session") == session)[name].item()
