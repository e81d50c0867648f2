"""Expiries and strikes as exchanges listed them, against chains that were really quoted."""

import datetime as dt
import gzip
import re

import numpy as np
import pytest

from openbell.core.errors import BadInput
from openbell.market.calendars import sessions
from openbell.quant.listing import expiries, nearest_expiry, programme, strike_increment


@pytest.fixture(scope="module")
def calendar() -> np.ndarray:
    return np.array(sessions("XNYS", 2005, 2026).dates, dtype="datetime64[D]")


@pytest.fixture(scope="module")
def spx(calendar):
    return expiries(calendar)


def listed_on(listed, day: str, until: int = 60) -> set[str]:
    at = np.datetime64(day, "D")
    return set(listed.date[listed.listed_on(at) & (listed.date <= at + until)].astype(str))


@pytest.mark.parametrize(
    ("name", "day"),
    [("spx_2022-02-04", "2022-02-04"), ("spx_2022-06-10", "2022-06-10"), ("spx_2023-02-07", "2023-02-07"),
     ("spx_2023-09-14", "2023-09-14"), ("spy_2023-09-14", "2023-09-14")],
)  # fmt: skip
def test_expiries_are_those_of_real_chains(real_data, calendar, name, day):
    """Of what the model lists within six weeks nearly all was quoted, and nearly all that was quoted is listed."""
    packed = (real_data / "chains" / "cboe" / f"{name}.csv.gz").read_bytes()
    text = gzip.decompress(packed).decode(errors="replace")
    quoted = {f"20{d[:2]}-{d[2:4]}-{d[4:]}" for d in re.findall(r"(?:SPXW?|SPY)(\d{6})[CP]\d{8}", text)}
    near = {each for each in quoted if 0 < (dt.date.fromisoformat(each) - dt.date.fromisoformat(day)).days <= 42}
    made = listed_on(expiries(calendar, programme(name[:3])), day, 42)
    assert len(made & near) >= 0.9 * len(near)
    assert len(made & near) >= 0.88 * len(made)


@pytest.mark.parametrize(
    ("weekday", "first"), [(0, "2016-08-22"), (1, "2022-04-19"), (2, "2016-03-02"), (3, "2022-05-12")]
)
def test_each_weekday_is_listed_from_its_introduction(spx, calendar, weekday, first):
    """Kills a programme that lists today's dailies in years that had none; 2016-02-24 was not among the first."""
    of_weekday = spx.date[(spx.date.astype(int) + 3) % 7 == weekday]
    off = [np.is_busday(of_weekday + step) & ~np.isin(of_weekday + step, calendar) for step in (-1, 1)]
    ends = calendar[:-1][np.diff(calendar.astype("datetime64[M]").astype(int)) > 0]
    # A holiday beside it moves another weekday's expiry here, and months end on any day.
    plain = of_weekday[~off[0] & ~off[1] & ~np.isin(of_weekday, ends)]
    assert abs((plain[0] - np.datetime64(first)).astype(int)) <= 7
    everything = calendar[(calendar > plain[0]) & ((calendar.astype(int) + 3) % 7 == weekday)]
    assert np.isin(everything, spx.date).all()


def test_fridays_between_third_ones_came_in_2005(calendar):
    listed = expiries(calendar[calendar < np.datetime64("2006-03-01")])
    assert "2005-11-04" in listed.date.astype(str)
    assert "2005-10-14" not in listed.date.astype(str)


def test_holidays_move_an_expiry_to_the_session_before_and_a_monday_to_the_one_after(spx):
    """Good Friday 2022 and Labour Day 2016, on which the exchange said so."""
    assert "2022-04-14" in listed_on(spx, "2022-03-14")
    assert "2022-04-15" not in spx.date.astype(str)
    assert "2016-09-06" in listed_on(spx, "2016-08-22")
    assert not np.isin("2016-09-05", spx.date.astype(str))


def test_every_expiry_is_a_session_and_rows_point_at_it(spx, calendar):
    assert np.array_equal(calendar[spx.row], spx.date)
    assert (np.diff(spx.date) > np.timedelta64(0, "D")).all()
    assert (spx.listed_from <= spx.date).all()


def test_third_fridays_settled_on_the_open_only_before_there_was_another(spx):
    am = spx.date[spx.am].astype(str)
    assert "2011-09-16" in am
    assert "2012-06-15" not in am
    assert spx.am_too[spx.date == np.datetime64("2023-09-15")][0]
    assert not expiries(spx.sessions, "STOCK").am.any()


def test_the_future_of_a_calendar_lists_beyond_the_last_price_and_nothing_else_changes(calendar):
    """A longer calendar adds expiries and moves none: what is listed today does not hang on prices to come."""
    short, long = expiries(calendar[:3000]), expiries(calendar[:3200])
    # The last month may not end where the calendar does.
    sure = short.date < short.sessions[-1].astype("datetime64[M]")
    assert np.isin(short.date[sure], long.date).all()
    for name in ("row", "listed_from", "am"):
        assert np.array_equal(getattr(short, name)[sure], getattr(long, name)[np.isin(long.date, short.date[sure])])


def test_nearest_expiry_by_hand(spx):
    """From Thursday 2022-02-03, Mondays, Wednesdays and Fridays: 14 days on lies between the 16th and the 18th."""
    day = np.full(4, np.datetime64("2022-02-03"))
    found = nearest_expiry(spx, day, np.array([14, 7, 1, 30]))
    assert spx.date[found].astype(str).tolist() == ["2022-02-18", "2022-02-11", "2022-02-04", "2022-03-04"]


def test_the_nearest_expiry_is_the_nearest_by_brute_force(spx):
    random = np.random.default_rng(0)
    days = random.choice(spx.sessions[1500:5000], 300)
    target = random.choice([7, 14, 21, 30, 45, 60], 300)
    found = nearest_expiry(spx, days, target)
    for day, wanted, at in zip(days, target, found, strict=True):
        able = spx.date[spx.listed_on(day)]
        away = np.abs((able - day).astype(int) - wanted)
        if away.min() > max(4, wanted / 3):
            assert at == -1
        else:
            assert spx.date[at] in able
            assert abs(int((spx.date[at] - day).astype(int)) - wanted) == away.min()


def test_an_expiry_lies_after_the_floor_and_far_targets_find_none(spx):
    day = np.array([np.datetime64("2008-06-02")])
    assert nearest_expiry(spx, day, np.array([7]))[0] >= 0
    assert (
        nearest_expiry(spx, day, np.array([33]))[0] == -1
        or spx.date[nearest_expiry(spx, day, np.array([33]))[0]] == np.datetime64("2008-06-20") + 28
    )
    after = nearest_expiry(spx, day, np.array([7]), np.array([np.datetime64("2008-06-20")]))
    assert after[0] == -1


def test_increments_by_spot_and_term():
    assert strike_increment(4500.0, 14).item() == 5.0
    assert strike_increment(4500.0, 200).item() == 25.0
    assert strike_increment(450.0, 14, "ETF").item() == 1.0
    assert strike_increment(np.array([20.0, 60.0, 277.0, 277.0]), np.array([14, 14, 9, 30]), "STOCK").tolist() == [
        0.5, 1.0, 2.5, 5.0,
    ]  # fmt: skip


@pytest.mark.parametrize("days", [[], ["2024-01-03", "2024-01-02"]])
def test_sessions_that_do_not_rise_are_refused(days):
    with pytest.raises(BadInput, match="rise strictly"):
        expiries(np.array(days, dtype="datetime64[D]"))


def test_an_unknown_programme_is_refused(calendar):
    with pytest.raises(BadInput, match="no listing programme `SPQ`"):
        expiries(calendar[:10], "SPQ")
