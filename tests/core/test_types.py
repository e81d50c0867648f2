"""The types refuse what cannot be."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.core.hashing import canonical_json, digest, frame_digest
from openbell.core.types import (
    Book,
    Decision,
    Fill,
    Forecast,
    Instrument,
    Kind,
    Leg,
    Order,
    Outcome,
    Right,
    Side,
    Structure,
    Verdict,
)

AS_OF = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)


def decision(**changes: object) -> Decision:
    base = {
        "desk": "stocks",
        "session": AS_OF.date(),
        "as_of": AS_OF,
        "targets": {"A": 0.5},
        "cash_weight": 0.5,
        "why": ("because",),
    }
    return Decision(**{**base, **changes})  # type: ignore[arg-type]


def test_a_missing_price_is_an_error_never_zero() -> None:
    """check 46. Kills: `price.get(symbol, 0)`."""
    with pytest.raises(DataMissing, match="no price for the held B"):
        Book(AS_OF, 10.0, {"A": 1, "B": 2}, {"A": 5.0})


def test_the_value_includes_cash_and_weights_sum_to_one_with_it() -> None:
    """check 45. Kills: leaving cash out of the account's value."""
    book = Book(AS_OF, 50.0, {"A": 10}, {"A": 5.0})
    assert book.value_usd == 100.0
    assert book.weights == {"A": 0.5}


def test_an_option_without_terms_is_refused() -> None:
    """Kills: an option that is only a name."""
    with pytest.raises(BadInput, match="needs an underlying, an expiry, a strike and a right"):
        Instrument("SPX C 5905", Kind.OPTION, underlying="SPX", strike=5905.0, right=Right.CALL)


def test_a_structure_knows_its_expiries_in_order() -> None:
    """Kills: one expiry assumed for a calendar."""
    legs = tuple(
        Leg(
            Instrument(
                f"X{day}", Kind.OPTION, 100, underlying="X", expiry=dt.date(2025, 6, day), strike=5.0, right=Right.PUT
            ),
            r,
        )
        for day, r in ((20, 1), (13, -1))
    )
    assert Structure(legs).expiries == (dt.date(2025, 6, 13), dt.date(2025, 6, 20))
    with pytest.raises(BadInput, match="ratio 0 is no leg"):
        Leg(legs[0].instrument, 0)


def test_an_unjudged_decision_counts_as_blocked() -> None:
    """Kills: a decision without verdicts becoming orders."""
    assert decision().blocked
    assert not decision(verdicts=(Verdict("x", Outcome.ALLOW, "fine"),)).blocked
    assert decision(verdicts=(Verdict("x", Outcome.ALLOW, "fine"), Verdict("y", Outcome.BLOCK, "no"))).blocked


def test_the_key_of_a_decision_follows_its_content_only() -> None:
    """Kills: a key from the clock or from the words of the explanation."""
    assert decision().key == decision(why=("otherwise put",)).key
    assert decision().key != decision(targets={"A": 0.4}).key


def test_an_order_has_one_key_for_one_decision() -> None:
    """Kills: a random order id."""
    order = Order("d", "stocks", AS_OF.date(), "A", Side.SELL, 3)
    assert order.key == Order("d", "stocks", AS_OF.date(), "A", Side.SELL, 3).key
    assert order.signed_shares == -3
    with pytest.raises(BadInput, match="positive number of shares; was 0"):
        Order("d", "stocks", AS_OF.date(), "A", Side.BUY, 0)


def test_costs_lower_cash_on_both_sides() -> None:
    """Kills: costs with the sign of the trade."""
    buy = Fill("o", "A", AS_OF.date(), AS_OF, 10, 5.0, 1.0, 2.0)
    sell = Fill("o", "A", AS_OF.date(), AS_OF, -10, 5.0, 1.0, 2.0)
    assert (buy.cash_usd, sell.cash_usd) == (-53.0, 47.0)


def test_a_scale_outside_zero_and_one_is_refused() -> None:
    """Kills: a check that enlarges a trade."""
    with pytest.raises(BadInput, match=r"must lie in \[0, 1\]; was 1.2"):
        Verdict("turnover", Outcome.SHRINK, "?", scale=1.2)


def test_a_forecast_needs_an_aware_moment() -> None:
    """Kills: naive moments in forecasts."""
    with pytest.raises(BadInput, match="no time zone"):
        Forecast(AS_OF.replace(tzinfo=None), pl.DataFrame(), None)


def test_canonical_json_has_one_text_for_one_content() -> None:
    """Kills: hashes that depend on the order of keys or on the zone a moment is written in."""
    tokyo = AS_OF.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert canonical_json({"b": 1, "a": AS_OF}) == canonical_json({"a": tokyo, "b": 1})
    with pytest.raises(ValueError, match="cannot hold the number nan"):
        digest({"x": float("nan")})


def test_a_frame_digest_sees_every_change() -> None:
    """Kills: digests that miss nulls, types, names, order or one character."""
    base = pl.DataFrame({"a": [1.0, None, 0.0], "s": ["x", "yz", None]})
    others = [
        base.with_columns(pl.col("a").fill_null(0.0)),
        base.with_columns(pl.col("s").fill_null("")),
        base.rename({"a": "b"}),
        base.with_columns(pl.col("a").cast(pl.Float32)),
        base.reverse(),
        pl.DataFrame({"a": [1.0, None, 0.0], "s": ["xy", "z", None]}),
        pl.DataFrame({"a": [1.0, None, 0.0], "s": ["x\x1fy", "z", None]}),
        pl.DataFrame({"a": [1.0, None, 0.0], "s": ["x", "y\x1fz", None]}),
    ]
    digests = {frame_digest(each) for each in [base, *others]}
    assert frame_digest(base.clone()) in digests
    assert len(digests) == 9
