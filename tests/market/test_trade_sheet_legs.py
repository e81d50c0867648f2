"""Legs out of the texts of trades: the vectorised reading is the grammar's, text by text."""

import datetime as dt
import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.dialects.thinkorswim import read
from openbell.market.trade_sheet_legs import _COMMON, legs_of_texts, with_legs_of_texts

DAY = dt.date(2024, 11, 15)
AT = dt.datetime(2024, 11, 15, 17, tzinfo=dt.UTC)


def told(*texts, session=DAY):
    rows = pl.DataFrame({"trade_description": texts, "session": [session] * len(texts)})
    return {row["trade_description"]: row for row in legs_of_texts(rows).iter_rows(named=True)}


def legs(row):
    return [
        (row[f"direction{n}"], row[f"type{n}"], row[f"strike{n}"]) for n in range(1, 5) if row[f"strike{n}"] is not None
    ]


def by_grammar(text):
    reading = read(text, at=AT)
    if reading.refusals or len(reading.tickets) != 1:
        return None
    ticket = reading.tickets[0]
    return [(leg.ratio, leg.right.value, leg.strike) for leg in ticket.legs], ticket.underlying


@st.composite
def texts(draw):
    """Texts of the common form: any side, order of strikes, right, sign of the price, with or without a date."""
    word, count = draw(st.sampled_from([("Butterfly", 3), ("IRON CONDOR", 4), ("Vertical", 2)]))
    strikes = draw(st.lists(st.sampled_from([5780, 5785.5, 5790, 5800, 5850, 5905]), min_size=2, max_size=4))
    strikes = strikes if draw(st.booleans()) else (strikes * 2)[:count]
    verb, sign = draw(st.sampled_from([("BUY", "+"), ("SELL", "-"), ("bot", "+"), ("SOLD", ""), ("BUY", "-")]))
    date = draw(st.sampled_from(["", "15 Nov 24 ", "(Weeklys) 18 NOV 24 "]))
    right = draw(st.sampled_from(["CALL", "PUT", "CALL/PUT"]))
    price = draw(st.sampled_from([".63", "0.05", "-1.20", "0", "12"]))
    start = f"{verb} {sign}{draw(st.integers(1, 12))} {word} SPX 100 {date}"
    return f"{start}{'/'.join(map(str, strikes))} {right} @{price} LMT"


@given(st.lists(texts(), min_size=1, max_size=8, unique=True))
@settings(max_examples=15, deadline=None)
def test_the_vectorised_reading_is_the_grammar_s(some):
    """A second reading of the same texts as oracle. Kills: an order of strikes that is taken for another, a sign of a
    side or of a price that is lost, legs where the grammar refuses."""
    found = told(*some)
    for text in some:
        whole = by_grammar(text)
        if whole is None:
            assert found[text]["why"], text
            assert legs(found[text]) == []
        else:
            assert (legs(found[text]), found[text]["underlying"]) == whole, text
            assert found[text]["why"] is None


def test_every_order_of_the_strikes_has_its_own_reading():
    """All orders of two to four strikes, equal ones among them. Kills: a code that two orders share."""
    shapes = (("SELL -1 Iron Condor", 4, "CALL/PUT"), ("BUY +1 Butterfly", 3, "CALL"), ("SELL -1 Vertical", 2, "PUT"))
    some = [
        f"{start} SPX 100 {'/'.join(order)} {right} @.63 LMT"
        for start, count, right in shapes
        for order in itertools.product(["5775", "5780", "5905", "5910"][:count], repeat=count)
    ]
    found = told(*some)
    for text in some:
        whole = by_grammar(text)
        assert legs(found[text]) == (whole[0] if whole else []), text


def test_common_texts_are_read_without_the_grammar_each(monkeypatch):
    """Kills: half a million texts through the grammar."""
    import openbell.market.trade_sheet_legs as module

    asked = []
    monkeypatch.setattr(module, "_read", lambda text, at: asked.append(text) or read(text, at=at))
    some = [f"SELL -1 Vertical SPX 100 15 Nov 24 {k}/{k + 5} CALL @{p / 100:.2f} LMT" for k in range(5000, 5900, 5)
            for p in (5, 63)]  # fmt: skip
    assert len(told(*some)) == len(some) == 360
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELL -1 Iron Condor SPX 100 15 Nov 24 5905/5910/5780/5775 CALL/PUT @.63 LMT", None),
        ("SELL -1 Iron Condor SPXW 100 15 Nov 24 5905/5910/5780/5775 CALL/PUT @.63 LMT", None),
        ("SELL -1 Iron Condor SPY 100 15 Nov 24 590/591/578/577 CALL/PUT @.63 LMT", "another symbol"),
        ("SELL -1 Vertical SPX 100 15 Nov 24 5905/5910 CALL @.63 LMT", "not the legs of its strategy"),
        ("SELL -1 Iron Condor SPX 100 14 Nov 24 5905/5910/5780/5775 CALL/PUT @.63 LMT", "before the trade"),
        ("SELL -1 Iron Condor SPX 100 31 Feb 25 5905/5910/5780/5775 CALL/PUT @.63 LMT", "*"),
        ("nothing of the kind", "*"),
        (None, "no text"),
    ],
)
def test_a_text_that_is_of_another_trade_is_not_believed(text, why):
    """Kills: legs of SPY in a row of SPX, two legs for a condor, an expiry before the trade, an exception."""
    rows = pl.DataFrame({"trade_description": [text], "session": [DAY], "symbol": ["SPX"], "strategy": ["Sonar"]},
                        schema_overrides={"trade_description": pl.String})  # fmt: skip
    empty = {f"{name}{n}": kind for n in range(1, 5) for name, kind in
             (("strike", pl.Float64), ("direction", pl.Int64), ("type", pl.String))}  # fmt: skip
    rows = rows.with_columns(pl.lit(None, kind).alias(name) for name, kind in empty.items())
    row = with_legs_of_texts(rows).row(0, named=True)
    if why is None:
        assert legs(row) == [(-1, "CALL", 5905.0), (1, "CALL", 5910.0), (-1, "PUT", 5780.0), (1, "PUT", 5775.0)]
        assert (row["legs_from"], row["text_expiry"], row["why"]) == ("text", DAY, None)
    else:
        assert (legs(row), row["legs_from"], row["text_expiry"]) == ([], None, None)
        assert why == "*" or why in row["why"]


def test_the_common_form_is_common():
    """Kills: a pattern that fits nothing, so that all goes the slow way."""
    assert pl.Series(["BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT"]).str.contains(_COMMON).all()
