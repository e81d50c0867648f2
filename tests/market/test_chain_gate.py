"""Each rule of the chain gate finds its planted fault, alone, and says so in a sentence with the numbers."""

import datetime as dt

import polars as pl
import pytest
from tests.market.made_chains import CALENDAR, EXPIRIES, SESSION, STRIKES, batch, made_rows, planted

from openbell.market.quality.chain_judging import chain_counts, chain_gate
from openbell.market.quality.chain_rules import CHAIN_RULES

NEXT = dt.date(2023, 9, 15)


def judged(rows, earlier=None):
    return chain_gate(batch(rows).quotes, CALENDAR, earlier=earlier)


def kept_out(judgement):
    bad = judgement.rows.filter(pl.col("rule").is_not_null())
    return [(row["strike"], row["right"], row["rule"]) for row in bad.iter_rows(named=True)]


def sentences(judgement, rule):
    return judgement.findings.filter(pl.col("rule") == rule)["reason"].to_list()


def test_a_chain_without_a_fault_passes_whole():
    """Kills: any rule that finds something in quotes that obey Black's formula, in the money and out, for index and
    stock alike."""
    for rows in (made_rows(), made_rows(underlying="AAPL", root="AAPL", spot=180.0, strikes=range(120, 241, 5))):
        judgement = judged(rows)
        assert judgement.rows["rule"].null_count() == rows.height
        assert set(judgement.findings["rule"]) <= {"zero_bid"}
        assert judgement.rows["spot"].null_count() == 0


@pytest.mark.parametrize(
    ("change", "rule", "said"),
    [
        ({"bid": 96.0, "ask": 95.0}, "crossed", "bid 96.0, ask 95.0"),
        ({"bid": -1.0}, "bad_number", "bid -1.0"),
        ({"open_interest": -5.0}, "bad_number", "open_interest -5.0"),
        ({"strike": 0.0}, "bad_terms", "strike 0.0"),
    ],
)
def test_a_planted_fault_is_found_alone(change, rule, said):
    """Check 25 and point 6: kills a rule that is missing, or takes its neighbours along."""
    judgement = judged(planted(made_rows(), (4500.0, "PUT"), **change))
    assert [found[2] for found in kept_out(judgement)] == [rule]
    assert said in sentences(judgement, rule)[0]


def test_a_put_under_intrinsic_is_found_with_its_numbers():
    """Point 6. By hand: at the forward of 4,500·exp(.04·8/365) the 4,800 put is worth at least 296 points."""
    judgement = judged(planted(made_rows(), (4800.0, "PUT"), bid=199.0, ask=201.0))
    assert kept_out(judgement) == [(4800.0, "PUT", "under_intrinsic")]
    assert sentences(judgement, "under_intrinsic")[0].startswith(
        "the put 4800.0 is offered at 201.0 and worth at least 29"
    )


def test_a_call_above_the_underlying_is_found():
    judgement = judged(planted(made_rows(), (3600.0, "CALL"), bid=4600.0, ask=4610.0))
    assert kept_out(judgement) == [(3600.0, "CALL", "above_bound")]


@pytest.mark.parametrize(("strike", "bid", "ask"), [(4650.0, 80.0, 81.0), (4550.0, 2.0, 2.1)])
def test_of_two_strikes_that_clash_the_wrong_one_goes(strike, bid, ask):
    """Too dear or too cheap, the planted call clashes with many, its neighbours only with it. Kills: blaming
    whichever comes first."""
    judgement = judged(planted(made_rows(), (strike, "CALL"), bid=bid, ask=ask))
    assert kept_out(judgement) == [(strike, "CALL", "vertical_arbitrage")]
    assert f"{strike:g}" in sentences(judgement, "vertical_arbitrage")[0]


def test_a_put_clashes_the_other_way_round():
    """Kills: a rule that reads puts like calls, upwards."""
    judgement = judged(planted(made_rows(), (4300.0, "PUT"), bid=60.0, ask=61.0))
    assert kept_out(judgement) == [(4300.0, "PUT", "vertical_arbitrage")]


def test_a_bulge_between_neighbours_and_a_parity_miss_are_noted_and_kept():
    """A quote 8 points too dear at the money clashes with no single strike; its neighbours and its put tell."""
    rows = made_rows(spread=0.001)
    at = rows.filter((pl.col("strike") == 4500) & (pl.col("right") == "CALL") & (pl.col("expiry") == EXPIRIES[0]))
    judgement = judged(planted(rows, (4500.0, "CALL"), bid=at["bid"][0] + 22, ask=at["ask"][0] + 22))
    assert judgement.rows["rule"].null_count() == rows.height
    assert len(sentences(judgement, "butterfly_arbitrage")) >= 1
    assert len(sentences(judgement, "parity")) == 2


def test_locked_zero_and_missing_sides_are_kept_and_told():
    rows = planted(made_rows(), (4500.0, "CALL"), bid=45.0, ask=45.0)
    rows = planted(rows, (5400.0, "CALL"), bid=0.0, ask=0.05)
    rows = planted(rows, (3600.0, "PUT"), bid=0.0, ask=0.0)
    rows = planted(rows, (5400.0, "PUT"), bid=890.0, ask=0.0)
    judgement = judged(rows)
    assert judgement.rows["rule"].null_count() == rows.height
    here = judgement.findings.filter(pl.col("contract").str.contains("230922"))
    found = {(row["rule"], row["contract"][-9:]) for row in here.iter_rows(named=True)}
    assert {
        ("locked", "C04500000"), ("zero_bid", "C05400000"), ("no_quote", "P03600000"), ("no_ask", "P05400000"),
    } <= found  # fmt: skip


def test_an_expiry_with_one_strike_is_kept_apart():
    """Point 6. Kills: counting contracts instead of strikes."""
    lonely = made_rows(expiries=[dt.date(2023, 9, 29)], strikes=[4500])
    judgement = judged(pl.concat([made_rows(), lonely]))
    assert kept_out(judgement) == [(4500.0, "CALL", "one_strike"), (4500.0, "PUT", "one_strike")]
    assert sentences(judgement, "one_strike")[0] == "2023-09-29 has the strike 4500.0 alone"


def test_a_vendor_volatility_of_zero_is_set_aside_and_the_quote_kept():
    """Point 6. Kills: a 0 that reaches the tables, and a good quote lost for its vendor's solver."""
    judgement = judged(planted(planted(made_rows(), (4500.0, "PUT"), vendor_iv=0.0), (4550.0, "PUT"), vendor_iv=1e-5))
    assert judgement.rows["rule"].null_count() == judgement.rows.height
    assert judgement.rows["vendor_iv"].null_count() == 2
    assert sentences(judgement, "vendor_iv_zero") == ["volatility 0.0", "volatility 0.00001"]


def test_a_delta_that_cannot_be_is_set_aside():
    """Check 25: a call's delta of 2.5, a put's above 0."""
    rows = planted(made_rows(), (4500.0, "CALL"), vendor_delta=2.5)
    judgement = judged(planted(rows, (4500.0, "PUT"), vendor_delta=0.4))
    assert judgement.rows["vendor_delta"].null_count() == 2
    assert sentences(judgement, "vendor_delta_range") == ["delta 2.5 of a call", "delta 0.4 of a put"]


def test_expired_contracts_and_adjusted_classes_are_kept_apart():
    today = made_rows(expiries=[NEXT]).with_columns(pl.lit(SESSION).alias("expiry"))
    adjusted = made_rows(underlying="SPX", root="SPX1", expiries=EXPIRIES[:1], strikes=[4500, 4550])
    judgement = judged(pl.concat([made_rows(), today, adjusted]))
    by_rule = judgement.rows.filter(pl.col("rule").is_not_null())["rule"].value_counts()
    assert dict(by_rule.iter_rows()) == {"expired": today.height, "adjusted_contract": 4}
    assert sentences(judgement, "expired")[0] == "expired at 2023-09-14 20:00 UTC, quoted at 2023-09-14 20:00 UTC"


def test_a_morning_settled_contract_has_expired_by_the_close():
    """SPX of the third Friday settles at its open; SPXW of the same day at its close. Kills: one moment for both."""
    rows = made_rows(session=NEXT, root="SPX", expiries=[dt.date(2023, 9, 18)]).with_columns(
        pl.lit(NEXT).alias("expiry")
    )
    rows = rows.with_columns(pl.col("quote_at") - pl.duration(hours=3))
    assert set(judged(rows).rows["rule"]) == {"expired"}
    assert set(judged(rows.with_columns(pl.lit("SPXW").alias("root"))).rows["rule"]) == {None}


def test_duplicates_are_kept_once_and_conflicts_not_at_all():
    rows = made_rows()
    again, other = rows[10:11], rows[20:21].with_columns(pl.col("bid") - 0.5)
    judgement = judged(pl.concat([rows, again, other]))
    ends = judgement.rows["rule"].to_list()
    assert ends[10] is None
    assert ends[-2:] == ["duplicate_contract", "conflicting_contract"]
    assert ends[20] == "conflicting_contract"
    assert sum(each is not None for each in ends) == 3


def test_a_price_of_another_instrument_refuses_the_whole_chain():
    """Check 11 and point 6: `price 81.90` beside strikes from 250 to 450."""
    rows = made_rows(underlying="SMH", root="SMH", spot=340.0, strikes=range(250, 451, 5))
    judgement = judged(rows.with_columns(pl.lit(81.90).alias("spot")))
    assert set(judgement.rows["rule"]) == {"spot_elsewhere"}
    said = sentences(judgement, "spot_elsewhere")[0]
    assert said.startswith("spot 81.9, and the quotes imply 340")


def test_the_same_without_one_pair_is_told_from_the_strikes():
    rows = made_rows(underlying="SMH", root="SMH", spot=340.0, strikes=range(250, 451, 5)).filter(
        pl.col("right") == "CALL"
    )
    judgement = judged(rows.with_columns(pl.lit(81.90).alias("spot")))
    assert sentences(judgement, "spot_elsewhere")[0] == "spot 81.9, and the strikes go from 250.0 to 450.0"


def test_strikes_before_a_split_refuse_the_chain_and_name_the_ratio():
    rows = made_rows(underlying="AAPL", root="AAPL", spot=500.0, strikes=range(400, 601, 10))
    judgement = judged(rows.with_columns(pl.lit(125.0).alias("spot")))
    assert set(judgement.rows["rule"]) == {"spot_elsewhere"}
    assert sentences(judgement, "spot_elsewhere")[0].endswith("4.0 times: a split?")


def test_yesterdays_price_is_not_of_the_quotes_moment():
    """Point 6: the sentence has both numbers, the price is set aside, the quotes are kept. Kills: a wrong price that
    stays beside right quotes."""
    judgement = judged(made_rows().with_columns(pl.lit(4467.44).alias("spot")))
    assert judgement.rows["rule"].null_count() == judgement.rows.height
    assert judgement.rows["spot"].null_count() == judgement.rows.height
    said = sentences(judgement, "spot_moment")[0]
    assert said.startswith("spot 4467.44, and the quotes imply 4503.9")


def test_the_forwards_of_vix_may_lie_anywhere():
    """Spot 80, near options on 60, far ones on 30: no split, nothing else. Kills: a carry where there is none."""
    terms = {"underlying": "VIX", "root": "VIX", "volatility": 1.0}
    near = made_rows(spot=60.0, strikes=range(40, 81, 2), **terms)
    far = made_rows(spot=30.0, strikes=range(20, 41, 2), expiries=[dt.date(2024, 1, 17)], **terms)
    lone = far.filter((pl.col("right") == "CALL") & (pl.col("strike") <= 22)).with_columns(
        pl.lit(dt.date(2024, 2, 14)).alias("expiry")
    )
    judgement = judged(pl.concat([near, far, lone]).with_columns(pl.lit(80.0).alias("spot")))
    assert judgement.rows["rule"].null_count() == judgement.rows.height
    assert judgement.rows["spot"].null_count() == 0


def test_a_dividend_before_the_nearest_expiry_is_no_other_moment():
    """A stock that stands 2 above its forward, which contracts that end today still imply. Kills: a true price lost."""
    rows = made_rows(underlying="AAPL", root="AAPL", spot=448.5, strikes=range(400, 501, 5))
    today = made_rows(underlying="AAPL", root="AAPL", spot=451.0, strikes=range(400, 501, 5), expiries=[NEXT])
    today = today.with_columns(pl.lit(SESSION).alias("expiry"))
    stated = pl.lit(451.0).alias("spot")
    assert judged(pl.concat([rows, today]).with_columns(stated)).good["spot"].null_count() == 0
    assert judged(rows.with_columns(stated)).good["spot"].null_count() == rows.height


def test_strikes_of_before_a_split_among_those_of_after_it():
    """As Yahoo keeps them: the old ladder at ten times the price, last traded before the split; a far one without a
    pair goes with it, a new strike as high that traded since does not."""
    before, after = dt.datetime(2023, 9, 1, 19, tzinfo=dt.UTC), dt.datetime(2023, 9, 14, 19, tzinfo=dt.UTC)
    new = made_rows(underlying="X", root="X", spot=110.0, strikes=range(80, 141, 5), volatility=0.8)
    old = made_rows(underlying="X", root="X", spot=1100.0, strikes=range(800, 1401, 50), volatility=0.8)
    lone = planted(old.filter(pl.col("strike") == 1400), (1400.0, "PUT"), bid=0.0, ask=0.0)
    traded = pl.concat(
        [
            new.with_columns(pl.lit(after).alias("last_trade_at")),
            old.with_columns(pl.lit(before).alias("last_trade_at")),
        ]
    )
    traded = traded.with_columns(pl.lit(110.0).alias("spot"))
    high = lone[:1].with_columns(
        *(
            pl.lit(value).alias(name)
            for name, value in (("strike", 1450.0), ("bid", 0.0), ("ask", 0.05), ("spot", 110.0))
        ),
        pl.lit(after).alias("last_trade_at"),
    )
    untraded = high.with_columns(pl.lit(1500.0).alias("strike"), pl.lit(before).alias("last_trade_at"))
    judgement = judged(pl.concat([traded, high, untraded], how="diagonal"))
    found = judgement.rows.filter(pl.col("rule") == "split_strike")
    assert found.height == old.height + 1
    assert found["strike"].min() == 800.0
    assert 1450.0 not in found["strike"]
    assert 1500.0 in found["strike"]
    assert judgement.rows["spot"].drop_nulls().len() == judgement.rows.height


def test_a_day_without_a_session_is_refused():
    """Point 6, a holiday: Thanksgiving of 2023."""
    judgement = judged(made_rows(session=dt.date(2023, 11, 23), expiries=[dt.date(2023, 12, 15)]))
    assert set(judgement.rows["rule"]) == {"chain_without_session"}
    assert sentences(judgement, "chain_without_session")[0] == "2023-11-23 (Thursday) is no session of XNYS"


def test_a_chain_copied_from_the_session_before_is_refused():
    """Kills: comparing with itself, with a later session, or on too few quotes."""
    rows = made_rows()
    copy = rows.with_columns(pl.lit(NEXT).alias("session"), pl.lit(CALENDAR.close(NEXT)).alias("quote_at"))
    judgement = judged(pl.concat([rows, copy]))
    ends = judgement.rows["rule"].to_list()
    assert set(ends[: rows.height]) == {None}
    assert set(ends[rows.height :]) == {"copied_chain"}
    assert sentences(judgement, "copied_chain")[0].endswith("quotes are those of 2023-09-14")
    honest = judged(pl.concat([rows, made_rows(session=NEXT, spot=4520.0)]))
    assert honest.rows["rule"].null_count() == honest.rows.height


def test_a_quote_that_stood_still_while_its_value_moved_is_stale():
    """The 3,600 call keeps yesterday's quotes through a day of 5 points, half a percent within every other rule."""
    rows, later = made_rows(spread=0.001), made_rows(session=NEXT, spot=4505.0, spread=0.001)
    then = rows.filter((pl.col("strike") == 3600) & (pl.col("right") == "CALL") & (pl.col("expiry") == EXPIRIES[0]))
    still = planted(later, (3600.0, "CALL"), bid=then["bid"][0], ask=then["ask"][0])
    assert kept_out(judged(pl.concat([rows, still]))) == [(3600.0, "CALL", "stale_quote")]


def test_counts_say_every_rule_and_give_examples():
    counts = chain_counts(judged(planted(made_rows(), (4500.0, "PUT"), bid=96.0, ask=95.0)).findings)
    assert counts["rule"].to_list() == [rule.name for rule in CHAIN_RULES]
    crossed = counts.row(by_predicate=pl.col("rule") == "crossed", named=True)
    assert (crossed["rows"], crossed["chains"]) == (1, 1)
    assert crossed["examples"] == ["SPX 2023-09-14 SPXW230922P04500000: bid 96.0, ask 95.0"]
    assert STRIKES[0] == 3600
