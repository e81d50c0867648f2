"""Which expiries and strikes are listed, as pure functions of dates and spots.

The programmes follow the exchanges' introduction dates: SPX weeklies (Fridays) 2005, Wednesdays and Mondays 2016,
Tuesdays and Thursdays 2022; SPY and its like Fridays 2010, Wednesdays 2016, Mondays 2018, Tuesdays and Thursdays
2022; stocks Fridays 2010. How long before its day a series is listed is read from the chains of 2022 to 2025 and held
constant between the steps that are written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from openbell.core.errors import BadInput, unknown

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = range(5)

#: An expiry stands for a target if it is at most this share of the target away, or so many days.
TOLERANCE_SHARE, TOLERANCE_DAYS = 1 / 3, 4
_OFFSETS = 45


@dataclass(frozen=True, slots=True)
class Programme:
    """What an exchange lists on one kind of underlying.

    Attributes
    ----------
    weekly : (weekday, since, days): from `since` on, expiries of that weekday are listed `days` before their day.
    monthly_days : how long before its day a third Friday is listed. am_monthly : whether it settles on the open.
    pm_since : from this day on a third Friday has a contract that settles on the close too.
    month_ends, quarter_ends : (since, days) of expiries on the last session; None where there are none.
    increments : (spot from, days to expiry from, increment), the last row that holds applies.
    """

    name: str
    weekly: tuple[tuple[int, str, int], ...]
    monthly_days: int
    increments: tuple[tuple[float, int, float], ...]
    am_monthly: bool = False
    pm_since: str = "2011-10-04"
    month_ends: tuple[str, int] | None = None
    quarter_ends: tuple[str, int] | None = None


SPX = Programme(
    "SPX",
    weekly=(
        (FRIDAY, "2005-10-28", 8), (FRIDAY, "2012-11-15", 28), (FRIDAY, "2014-01-15", 50),
        (WEDNESDAY, "2016-02-23", 15), (WEDNESDAY, "2016-05-24", 35), (MONDAY, "2016-08-15", 35),
        (TUESDAY, "2022-04-18", 15), (THURSDAY, "2022-05-11", 15),
        (TUESDAY, "2022-09-12", 35), (THURSDAY, "2022-09-12", 35),
    ),
    monthly_days=400,
    increments=((0.0, 0, 1.0), (500.0, 0, 5.0), (500.0, 120, 10.0), (500.0, 180, 25.0)),
    am_monthly=True,
    month_ends=("2014-07-07", 180),
)  # fmt: skip
ETF = Programme(
    "ETF",
    weekly=(
        (FRIDAY, "2010-06-04", 8), (FRIDAY, "2012-11-15", 43), (WEDNESDAY, "2016-08-30", 15),
        (MONDAY, "2018-02-16", 15), (TUESDAY, "2022-11-14", 14), (THURSDAY, "2022-11-14", 14),
    ),
    monthly_days=130,
    increments=((0.0, 0, 0.5), (50.0, 0, 1.0), (50.0, 100, 5.0)),
    quarter_ends=("2006-07-10", 280),
)  # fmt: skip
STOCK = Programme(
    "STOCK",
    weekly=((FRIDAY, "2010-07-01", 8), (FRIDAY, "2012-11-15", 38)),
    monthly_days=240,
    increments=(
        (0.0, 0, 0.5), (25.0, 0, 1.0), (75.0, 61, 2.5), (150.0, 0, 2.5), (150.0, 15, 5.0),
        (500.0, 0, 5.0), (500.0, 61, 10.0),
    ),
)  # fmt: skip
PROGRAMMES: Mapping[str, Programme] = MappingProxyType({each.name: each for each in (SPX, ETF, STOCK)})
_UNDERLYINGS: Mapping[str, str] = MappingProxyType(
    {**dict.fromkeys(("SPX", "NDX", "RUT", "XSP"), "SPX"), **dict.fromkeys(("SPY", "QQQ", "IWM"), "ETF")}
)


def programme(underlying: str) -> Programme:
    """The listing programme of `underlying`: indices as SPX, the big index funds as SPY, everything else a stock."""
    return PROGRAMMES[_UNDERLYINGS.get(underlying.upper(), "STOCK")]


def _programme(which: Programme | str) -> Programme:
    if isinstance(which, Programme):
        return which
    if which not in PROGRAMMES:
        raise unknown("listing programme", which, PROGRAMMES)
    return PROGRAMMES[which]


@dataclass(frozen=True, slots=True, eq=False)
class Expiries:
    """Expiries of one underlying, rising by date.

    Attributes
    ----------
    sessions : (m,) datetime64[D], the calendar they were made from.
    date : (e,) datetime64[D]. row : (e,) where `date` stands in `sessions`.
    listed_from : (e,) datetime64[D], the first day it is listed.
    am : (e,) whether the only contract settles on the open; am_too : (e,) whether there is such a contract as well.
    """

    sessions: np.ndarray
    date: np.ndarray
    row: np.ndarray
    listed_from: np.ndarray
    am: np.ndarray
    am_too: np.ndarray

    @classmethod
    def of_chain(cls, session: np.datetime64, dates: np.ndarray) -> Expiries:
        """The expiries `dates`, rising, of a chain of `session`."""
        none = np.zeros(len(dates), dtype=bool)
        rows = np.full(len(dates), -1, dtype=np.int64)
        return cls(np.empty(0, dtype="datetime64[D]"), dates, rows, np.full(len(dates), session), none, none)

    def listed_on(self, session: np.datetime64) -> np.ndarray:
        """Which of them, (e,) bool, can be traded at the close of `session`: listed, and not over by then."""
        return np.asarray((self.listed_from <= session) & (self.date > session))


def expiries(sessions: np.ndarray | Sequence[object], which: Programme | str = "SPX") -> Expiries:
    """All expiries that fall on `sessions`.

    Parameters
    ----------
    sessions : (m,) trading days, rising strictly, those after the last known price included: the future of a calendar
        is known. A weekday that is not among them is a holiday: its expiry moves to the session before, a Monday's to
        the one after. A day before the first or after the last session is nobody's holiday and has no expiry.
    which : the programme, or its name.

    Raises
    ------
    BadInput
        On no sessions, sessions that do not rise, or an unknown programme.
    """
    days = np.asarray(sessions, dtype="datetime64[D]")
    if not len(days) or np.any(np.diff(days) <= np.timedelta64(0, "D")):
        raise BadInput("Expiries need sessions that rise strictly; hand in the exchange's calendar.")
    chosen = _programme(which)
    nominal = np.arange(days[0], days[-1] + 1)
    weekday = (nominal.astype(np.int64) + 3) % 7
    third = (weekday == FRIDAY) & (np.abs(_day_of_month(nominal) - 18) <= 3)
    weekly = _weekly(nominal[~third], weekday[~third], chosen)
    kinds = [weekly, *_monthly(nominal[third], chosen), *_ends(days, chosen)]
    dates = np.concatenate([each[0] for each in kinds])
    since = np.concatenate([each[1] for each in kinds])
    am = np.concatenate([np.full(len(each[0]), each[2]) for each in kinds])
    row = _rows(days, dates)
    kept = row >= 0
    unique, place = np.unique(row[kept], return_inverse=True)
    first = np.full(len(unique), np.datetime64("9999-12-31", "D"))
    np.minimum.at(first, place, since[kept])
    any_am, any_pm = np.zeros(len(unique), dtype=bool), np.zeros(len(unique), dtype=bool)
    np.logical_or.at(any_am, place, am[kept])
    np.logical_or.at(any_pm, place, ~am[kept])
    return Expiries(days, days[unique], unique, first, any_am & ~any_pm, any_am)


_Kind = tuple[np.ndarray, np.ndarray, bool]


def _weekly(nominal: np.ndarray, weekday: np.ndarray, chosen: Programme) -> _Kind:
    dates, since = [], []
    for day, introduced, length in chosen.weekly:
        begins = np.datetime64(introduced, "D")
        these = nominal[(weekday == day) & (nominal > begins)]
        dates.append(these)
        since.append(np.maximum(these - length, begins))
    return np.concatenate(dates), np.concatenate(since), False


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return np.asarray((days - days.astype("datetime64[M]")).astype(np.int64) + 1)


def _monthly(these: np.ndarray, chosen: Programme) -> list[_Kind]:
    since = these - chosen.monthly_days
    if not chosen.am_monthly:
        return [(these, since, False)]
    begins = np.datetime64(chosen.pm_since, "D")
    both = these > begins
    return [(these, since, True), (these[both], np.maximum(since[both], begins), False)]


def _ends(days: np.ndarray, chosen: Programme) -> list[_Kind]:
    month = days.astype("datetime64[M]")
    last = days[:-1][month[:-1] != month[1:]]
    quarterly = (last.astype("datetime64[M]").astype(np.int64) % 3) == 2
    kinds: list[_Kind] = []
    for terms, these in ((chosen.month_ends, last), (chosen.quarter_ends, last[quarterly])):
        if terms is not None:
            begins = np.datetime64(terms[0], "D")
            these = these[these > begins]
            kinds.append((these, np.maximum(these - terms[1], begins), False))
    return kinds


def _rows(days: np.ndarray, nominal: np.ndarray) -> np.ndarray:
    """Row of the session that each nominal day expires on: itself, else the one before; after a Monday off the next."""
    at = np.searchsorted(days, nominal)
    exact = days[np.minimum(at, len(days) - 1)] == nominal
    monday = (nominal.astype(np.int64) + 3) % 7 == MONDAY
    return np.where(exact | monday, np.where(at < len(days), at, -1), at - 1)


def nearest_expiry(
    listed: Expiries, session: np.ndarray, target_days: np.ndarray, after: np.ndarray | None = None
) -> np.ndarray:
    """Index into `listed` of the expiry nearest `target_days` after each `session`; -1 where none is near enough.

    Parameters
    ----------
    session : (p,) datetime64[D], the day whose chain is looked at. target_days : (p,) calendar days.
    after : (p,) the expiry must lie after this day (the fill, or the near expiry); `session` if None.

    Notes
    -----
    Of two as near, the later. Near enough is ``max(TOLERANCE_DAYS, TOLERANCE_SHARE * target)`` days.
    """
    session = np.asarray(session, dtype="datetime64[D]")
    target = np.asarray(target_days, dtype=np.int64)
    floor = session if after is None else np.maximum(session, np.asarray(after, dtype="datetime64[D]"))
    wanted = session + target
    start = np.searchsorted(listed.date, wanted)
    best = np.full(wanted.shape, -1, dtype=np.int64)
    gap = np.maximum(float(TOLERANCE_DAYS), TOLERANCE_SHARE * target)
    # The later side goes first and a tie does not replace it; each side ends where nothing nearer can come.
    for side in (range(_OFFSETS), range(-1, -_OFFSETS - 1, -1)):
        for step in side:
            at = start + step
            inside = np.clip(at, 0, len(listed.date) - 1)
            date = listed.date[inside]
            away = np.abs((date - wanted).astype(np.int64))
            within = (at == inside) & (away <= gap)
            if not within.any():
                break
            able = within & (listed.listed_from[inside] <= session) & (date > floor)
            better = able & ((away < gap) | (best < 0))
            best, gap = np.where(better, inside, best), np.where(better, away, gap)
    return best


def strike_increment(
    spot: np.ndarray | float, dte: np.ndarray | float = 30.0, which: Programme | str = "SPX"
) -> np.ndarray:
    """Distance of listed strikes near the money, points, for spots and calendar days to expiry (they broadcast)."""
    spot, dte = np.broadcast_arrays(np.asarray(spot, dtype=np.float64), np.asarray(dte, dtype=np.float64))
    made = np.full(spot.shape, np.nan)
    for lowest, soonest, increment in _programme(which).increments:
        made = np.where((spot >= lowest) & (dte >= soonest), increment, made)
    return made
