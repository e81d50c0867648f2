"""Fundamentals as of each day: usable the day after the filing, null around it, growth from filing to filing."""

import datetime as dt

import polars as pl
import pytest
from feature_bars import declared
from memory_tables import MemoryTables, bar_rows, view_of, weekday_calendar

from openbell.core.declare import feature
from openbell.core.errors import BadInput, DeclarationError
from openbell.core.view import View
from openbell.quant.expressions import raw_close
from openbell.research.audit import audit_features
from openbell.research.compute import feature_rows

CALENDAR = weekday_calendar(700)
ALL = [each for each in declared().values() if each.reads == "fundamentals"]
MOMENT = pl.Datetime("us", "UTC")

# period_end, filed, focus, revenues, net_income, eps
STATEMENTS = [
    ("2009-12-31", "2010-02-15", "FY", 1000.0, 100.0, 2.0),
    ("2010-03-31", "2010-05-03", "Q1", 260.0, 26.0, 0.52),
    ("2010-06-30", "2010-08-02", "Q2", 270.0, 30.0, 0.60),
    ("2010-09-30", "2010-11-01", "Q3", 280.0, -5.0, -0.10),
    ("2010-12-31", "2011-02-15", "FY", 1150.0, 130.0, 2.60),
    ("2011-03-31", "2011-05-02", "Q1", 338.0, 13.0, 0.26),
]


def filings_table(statements=STATEMENTS, symbol="S0"):
    day = lambda text: dt.date.fromisoformat(text)  # noqa: E731
    return pl.DataFrame(
        [
            {
                "symbol": symbol, "period_end": day(end), "filed": day(filed), "period_focus": focus,
                "revenues": revenues, "net_income": income, "op_income": income * 1.5, "eps_diluted": eps,
                "assets": 2000.0, "equity": 800.0, "cur_assets": 500.0, "cur_liab": 250.0, "cash": 100.0,
                "cash_flow_op": income * 1.2,
                "known_at": dt.datetime.combine(day(filed), dt.time(), tzinfo=dt.UTC) + dt.timedelta(days=1),
                "source": "t",
            }
            for end, filed, focus, revenues, income, eps in statements
        ],
        schema_overrides={"known_at": MOMENT},
    )  # fmt: skip


TABLES = MemoryTables({"bars": bar_rows(CALENDAR, 2, sessions=660), "fundamentals": filings_table()})


def rows_of(tables=TABLES, features=ALL, **about):
    return feature_rows(view_of(tables, CALENDAR), features, dtype=pl.Float64, **about)


def at_decision(frame, day, name):
    """The value that the decision on `day` sees: that of the bar of the session before."""
    session = CALENDAR.shift(dt.date.fromisoformat(day), -1)
    return frame.filter((pl.col("session") == session) & (pl.col("symbol") == "S0"))[name].item()


@pytest.fixture(scope="module")
def frame():
    return rows_of().frame


def test_usable_from_the_day_after_the_filing():
    """Filed on Monday 15 February 2010: the decision of that morning knows nothing, Tuesday's does."""
    plain = rows_of(blackout_days=0).frame
    assert at_decision(plain, "2010-02-15", "net_margin") is None
    assert at_decision(plain, "2010-02-16", "net_margin") == pytest.approx(0.1)


def test_two_days_of_blackout_after_a_filing_null_fundamentals_only():
    """Check 56: the two days after the day of the filing; features of bars stand."""
    rows = rows_of(features=[*ALL, declared()["return_1d"]]).frame
    for day in ("2010-05-04", "2010-05-05"):
        assert at_decision(rows, day, "net_margin") is None
        assert at_decision(rows, day, "price_to_earnings") is None
        assert at_decision(rows, day, "return_1d") is not None
    # Until the filing is known the figures before it stand; after the black-out the new ones do.
    assert at_decision(rows, "2010-05-03", "net_margin") == pytest.approx(0.1)
    assert at_decision(rows, "2010-05-06", "net_margin") == pytest.approx(26 / 260)


def test_growth_is_from_filing_to_filing(frame):
    """Check 56: like with like, a year apart; on filled daily rows it would be 0 on nearly every day."""
    assert at_decision(frame, "2011-03-15", "revenue_growth_yoy") == pytest.approx(0.15)
    assert at_decision(frame, "2011-03-16", "revenue_growth_yoy") == pytest.approx(0.15)
    assert at_decision(frame, "2011-05-10", "revenue_growth_yoy") == pytest.approx(338 / 260 - 1)
    assert at_decision(frame, "2011-05-10", "net_income_growth_yoy") == pytest.approx(-0.5)
    assert at_decision(frame, "2010-08-10", "revenue_growth_yoy") is None


def test_growth_over_a_quarter_needs_two_quarters(frame):
    assert at_decision(frame, "2010-08-10", "revenue_growth_qoq") == pytest.approx(270 / 260 - 1)
    assert at_decision(frame, "2010-05-10", "revenue_growth_qoq") is None, "a quarter against a year is no growth"
    assert at_decision(frame, "2011-03-15", "revenue_growth_qoq") is None
    assert at_decision(frame, "2010-11-10", "net_income_growth_qoq") == pytest.approx(-5 / 30 - 1)
    assert at_decision(frame, "2011-05-10", "net_income_growth_qoq") is None, "nor from a loss"


def test_ratios_by_hand(frame):
    session = CALENDAR.shift(dt.date(2010, 8, 10), -1)
    bars = TABLES.frames["bars"].filter((pl.col("session") == session) & (pl.col("symbol") == "S0"))
    price = bars["close"].item()
    expected = {
        # The latest annual statement, not the quarter's: 2.00 a share, 100 of income, so 50 shares.
        "price_to_earnings": price / 2.0,
        "earnings_yield": 2.0 / price,
        "price_to_book": price * 50 / 800,
        "price_to_sales": price * 50 / 1000,
        "return_on_equity": 100 / 800,
        "return_on_assets": 100 / 2000,
        "liabilities_to_equity": 1200 / 800,
        "current_ratio": 2.0,
        "cash_ratio": 0.4,
        "net_margin": 30 / 270,
        "operating_margin": 45 / 270,
        "cash_quality": 1.2,
    }
    for name, value in expected.items():
        assert at_decision(frame, "2010-08-10", name) == pytest.approx(value), name


def test_what_the_filings_lack_switches_off(frame):
    rows = rows_of()
    assert rows.switched_off == {
        "ev_to_ebitda": "the filings have no column `ebitda`, `total_debt`.",
        "quick_ratio": "the filings have no column `inventory`.",
    }
    none = rows_of(MemoryTables({"bars": TABLES.frames["bars"]}))
    assert len(none.switched_off) == len(ALL)
    assert "there are no filings" in none.switched_off["net_margin"]


def test_without_the_kind_of_period_only_what_needs_none_is_left():
    """Filings of numbers alone: nobody can tell a year from a quarter, so nothing guesses it."""
    numbers = MemoryTables({**TABLES.frames, "fundamentals": filings_table().drop("period_focus")})
    rows = rows_of(numbers)
    assert {"net_margin", "operating_margin", "current_ratio", "revenue_growth_yoy"} <= set(rows.names)
    assert {"price_to_earnings", "return_on_equity", "revenue_growth_qoq"} <= set(rows.switched_off)
    assert "`period_focus`" in rows.switched_off["price_to_book"]
    assert rows.frame["revenue_growth_yoy"].equals(rows_of().frame["revenue_growth_yoy"])


def test_repeated_filings_do_not_start_the_blackout_again():
    """The same figures filed again a day later, as the source does: the first one counts."""
    twice = [*STATEMENTS[:2], ("2010-03-31", "2010-05-12", *STATEMENTS[1][2:]), *STATEMENTS[2:]]
    tables = MemoryTables(
        {"bars": TABLES.frames["bars"], "fundamentals": filings_table(sorted(twice, key=lambda s: s[1]))}
    )
    rows = rows_of(tables).frame
    assert at_decision(rows, "2010-05-13", "net_margin") == pytest.approx(0.1)
    assert rows.equals(rows_of().frame)


def test_a_restatement_counts_from_when_it_was_filed_and_an_old_period_never():
    restated = [
        *STATEMENTS,
        ("2011-03-31", "2011-06-06", "Q1", 338.0, 6.5, 0.13),
        ("2009-12-31", "2011-06-20", "FY", 9.0, 9.0, 9.0),
    ]
    tables = MemoryTables({"bars": TABLES.frames["bars"], "fundamentals": filings_table(restated)})
    rows = rows_of(tables).frame
    assert at_decision(rows, "2011-06-06", "net_margin") == pytest.approx(13 / 338)
    assert at_decision(rows, "2011-06-10", "net_margin") == pytest.approx(6.5 / 338)
    assert at_decision(rows, "2011-06-28", "net_margin") == pytest.approx(6.5 / 338)


def test_a_statement_grows_stale():
    """Without a filing for 460 days after the end of its period a company has no figures."""
    tables = MemoryTables({"bars": TABLES.frames["bars"], "fundamentals": filings_table(STATEMENTS[:1])})
    rows = rows_of(tables).frame
    assert at_decision(rows, "2011-04-05", "net_margin") is not None
    assert at_decision(rows, "2011-04-06", "net_margin") is None


def test_rows_of_fundamentals_say_when_they_were_known(frame):
    """Filed on the 15th, known from the start of the 16th: later than the close of the 15th, before the 16th's open."""
    row = frame.filter((pl.col("session") == dt.date(2010, 2, 15)) & (pl.col("symbol") == "S0"))
    assert row["known_at"].item() == dt.datetime(2010, 2, 16, tzinfo=dt.UTC)
    assert frame.filter(pl.col("symbol") == "S1")["net_margin"].null_count() == 660


def test_a_filing_that_the_view_does_not_know_is_not_there():
    early = feature_rows(
        View(TABLES, dt.datetime(2010, 5, 3, 14, tzinfo=dt.UTC), CALENDAR), ALL, dtype=pl.Float64
    ).frame
    late = rows_of().frame.filter(pl.col("session") < dt.date(2010, 5, 3))
    assert early.equals(late)


def test_daily_rows_cannot_be_differenced():
    """A change over daily rows of a filled figure is refused; it belongs on the filings."""

    def it():
        return raw_close.shift(5) / pl.col("eps_diluted")

    it.__doc__ = "Planted."
    (wrong,) = feature(reads="fundamentals", unit="x")(it)
    with pytest.raises(DeclarationError, match="looks back over daily rows"):
        rows_of(features=[wrong])


def test_columns_named_as_the_bars_are_refused():
    clash = MemoryTables({"bars": TABLES.frames["bars"], "fundamentals": filings_table().rename({"cash": "volume"})})
    with pytest.raises(BadInput, match="named as the bars' are: volume"):
        rows_of(clash)


def test_every_fundamental_is_proven():
    """Causality with filings and prices removed alike, and the look-back in filings."""
    found = audit_features(TABLES, CALENDAR, ALL, cuts=10, seed=2)
    failed = [each for each in found if not each.passed]
    assert not failed, failed[0].detail
    proven = {each.feature for each in found if each.proof == "look-back"}
    assert proven == {each.name for each in ALL} - {"ev_to_ebitda", "quick_ratio"}
