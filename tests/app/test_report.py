"""The report: whole, offline, deterministic, escaped, and closed to anything that was not measured out of sample."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.app.reports import charts
from openbell.app.reports.daily import brief_trades, headline, safety_rows, write_report
from openbell.app.reports.figures import Figure, TooFew, figure, headline_figures
from openbell.app.reports.page import measure, number, percent, place, usd
from openbell.core.errors import Refused
from openbell.core.types import TRADE_SCHEMA, Book, Forecast
from openbell.quant.intervals import Estimate
from openbell.research.reasons import Reasons

sys.path.insert(0, str(Path(__file__).parent))
import report_of_a_day as day

GOOD = {
    "name": "Sharpe ratio",
    "value": 0.8,
    "low": 0.1,
    "high": 1.5,
    "n": 900,
    "counted": "sessions",
    "baseline": 0.5,
    "baseline_name": "equal weight",
    "split": "out_of_sample",
    "tries": 5,
}
VOID = {"meta", "link", "br", "img", "input", "hr", "path", "use", "rect", "line"}


class Page(HTMLParser):
    """Checks that every element is closed in order, and collects what is in the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                self.links.append(value)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "br"):
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text).replace("\xa0", " "))


@pytest.fixture(scope="module")
def html() -> str:
    return write_report(day.report())


def test_the_page_is_whole_and_opens_offline(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    assert [link for link in page.links if not link.startswith("#")] == []
    assert not re.findall(r"url\((?!['\"]?#)", html)
    assert "@import" not in html
    assert "<script" not in html
    for link in page.links:
        assert link[1:] in page.ids
    for used in re.findall(r"url\(#([^)]+)\)", html):
        assert used in page.ids
    assert set(re.findall(r"https?://[^\"' <)]+", html)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert len(html.encode()) < 1_500_000


def test_the_same_report_gives_the_same_bytes(html: str) -> None:
    assert write_report(day.report()) == html
    assert not re.search(r"20(2[1-9]|3\d)-\d\d-\d\d", html), "a date that is no part of the report"


def test_every_part_is_there(html: str) -> None:
    words = Page(html).words
    for expected in (
        "Sell 2, buy 5",
        "Risk-Off by SPY",
        "lightgbm@2020-03-02#a1b2c3",
        "34.1 % cash",
        "Mean rank IC",
        "Growth of 1 after costs",
        "Drawdown",
        "this desk with lightgbm",
        "equal weight",
        "the champion was chosen on these same dates",
        "unavailable",
        "market cap classes",
        "Rank IC over time",
        "Return by quantile of the score",
        "All 5 candidates that were tried",
        "gives every name the same score",
        "By regime",
        "All sessions",
        "This alarm would have rung on 27 %",
        "The account so far",
        "FOO 2009-03-02",
        "Switched off: fundamentals",
        "Not tried: mean-variance",
        "31 orders of the policy found no price",
        "9f2c" * 16,
        "dry run: nothing was ordered",
    ):
        assert expected in words, expected


def test_the_decision_comes_first(html: str) -> None:
    places = [
        html.index(f'id="{name}"')
        for name in ("decision", "worth", "trades", "portfolio", "reasons", "safety", "skill")
    ]
    assert places == sorted(places)
    assert html.index("Sell 2, buy 5") < 14_000, "only the style sheet stands before the decision"


def test_what_is_written_is_what_is_in_the_trade_list(html: str) -> None:
    words = Page(html).words
    for row in day.trades().to_dicts():
        assert f"{row['side']} {row['symbol']} {row['shares']} {row['price']:,.2f} ${row['notional']:,.0f}" in words
    total = day.trades()["notional"].sum()
    assert f"7 for ${total:,.0f}" in words


def test_each_explained_name_says_what_moved_its_score(html: str) -> None:
    """In the order of the portfolio, each with its own score; names in code; what is not explained is said."""
    words = Page(html).words
    section = words[words.index("Why these names") : words.index("Safety verdict")]
    n05 = "N05 +0.100 momentum_12_1 at 0.471 raised the score by 0.0312. beta_252 , which is missing, lowered the score"
    n02 = "N02 +0.220 volatility_20 at -0.38 raised the score by 0.0127."
    assert section.index(n05) < section.index(n02), "the heavier position comes first"
    assert "N03 +0.180 No feature moved it." in section
    assert "N04" not in section
    assert "1 held names have no score to explain: N11" in section
    assert "<code>momentum_12_1</code>" in html


def test_a_champion_that_is_not_explained_says_so_and_one_that_is_not_there_says_nothing() -> None:
    why = "The scores are not explained. The model `lstm` reads sequences."
    html = write_report(day.report(reasons=Reasons(notes=(why,))))
    assert "The scores are not explained. The model <code>lstm</code> reads sequences." in html
    assert "largest contributions" not in html
    nobody = Forecast(day.AS_OF, day.report().forecast.scores.clear(), None, why=("No view.",))
    assert "Why these names" not in write_report(day.report(forecast=nobody, reasons=Reasons(notes=("Nothing.",))))


def test_text_from_data_is_escaped() -> None:
    """A company or a rule may be named anything; none of it becomes part of the page's code."""
    attack = "<script>alert(1)</script>"
    market = day.market()
    named = market.names.with_columns(pl.lit(attack).alias("sector"))
    poisoned = day.report(
        market=type(market)(
            market.as_of, market.session, market.last_session, named, market.benchmark, "SPY", (attack,)
        ),
        quality=pl.DataFrame({"rule": [attack], "rows": [1], "example": [attack]}),
        notes=(attack,),
        reasons=Reasons({"N02": (attack,)}, notes=(attack,)),
        proof=day.proof(sessions=120, model=attack, benchmark=attack),
    )
    html = write_report(poisoned)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 7
    assert Page(html).open == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "in_sample"}, "in_sample.*out_of_sample"),
        ({"split": "train"}, "fitted or chosen"),
        ({"split": ""}, "out_of_sample"),
        ({"n": 0}, "has no n"),
        ({"n": None}, "has no n"),
        ({"tries": 0}, "has no tries"),
        ({"tries": None}, "has no tries"),
        ({"low": None}, "has no low"),
        ({"high": float("nan")}, "has no high"),
        ({"value": float("inf")}, "has no value"),
        ({"baseline": None}, "has no baseline"),
        ({"low": 2.0}, "exchange its bounds"),
    ],
)
def test_the_writer_refuses_what_cannot_be_judged(change: dict, words: str) -> None:
    """Check 5: in-sample, or without n, interval, base rate or tries, a figure cannot even be made."""
    with pytest.raises(Refused, match=words):
        Figure(**{**GOOD, **change})


def test_the_refusal_holds_on_every_way_in() -> None:
    """Check 5, at each door: a figure, the evidence, and the table of candidates."""
    how = {"baseline": 0.0, "baseline_name": "no skill", "tries": 5}
    with pytest.raises(Refused, match="in_sample"):
        figure("Mean rank IC", Estimate(0.3, 0.2, 0.4, 900, 0.95, 10), split="in_sample", **how)
    with pytest.raises(Refused, match="has no n"):
        figure("Mean rank IC", {"value": 0.3, "low": 0.2, "high": 0.4, "level": 0.95}, split="out_of_sample", **how)
    with pytest.raises(Refused, match="validation"):
        day.proof(sessions=60, split="validation", figures=())
    with pytest.raises(Refused, match="how many candidates"):
        day.proof(sessions=60, tries=0, figures=())
    bare = day.proof(sessions=60).candidates.with_columns(pl.lit(None, dtype=pl.Float64).alias("lower"))
    with pytest.raises(Refused, match="without its interval"):
        day.proof(sessions=60, candidates=bare)


def test_a_figure_says_whether_it_beats_its_baseline() -> None:
    assert Figure(**GOOD).beats_baseline is None
    assert Figure(**{**GOOD, "baseline": 0.0}).beats_baseline is True
    assert Figure(**{**GOOD, "baseline": 2.0}).beats_baseline is False


def test_too_few_observations_are_said_not_shown() -> None:
    few = figure(
        "Mean rank IC", Estimate(0.9, None, None, 12, 0.95, 10), baseline=0.0, baseline_name="no skill",
        split="out_of_sample", tries=1, counted="dates",
    )  # fmt: skip
    assert few == TooFew("Mean rank IC", 12, "dates")
    words = Page(write_report(day.report(proof=day.proof(sessions=60)))).words
    assert "too few to say" in words
    assert "Too few dates for a rolling mean" in words
    assert "no interval, so no figure" in words


def test_headline_figures_compare_with_equal_weight_and_the_benchmark() -> None:
    found = {each.name: each for each in day.proof().figures}
    assert set(found) == {
        "Mean rank IC", "Added to equal weight, per year", "Added to SPY, per year", "Annual return", "Sharpe ratio",
    }  # fmt: skip
    rows = {row["label"]: row for row in day.proof().measures}
    assert found["Sharpe ratio"].baseline == rows["Sharpe ratio (risk-free 2 %)"]["cells"][1]["value"]
    index = day.proof(sessions=300, benchmark="EQUAL_WEIGHT")
    assert "Added to EQUAL_WEIGHT, per year" not in [each.name for each in index.figures]
    words = Page(write_report(day.report(proof=index))).words
    assert "EQUAL_WEIGHT" not in words


def test_headline_figures_take_what_was_read_back() -> None:
    """Evidence comes from a file as plain values; the figures are the same."""
    from dataclasses import asdict

    from openbell.quant.performance import performance

    curve = day.curves(300)
    metrics = {
        name: performance(curve["session"].to_list(), curve[name].to_numpy(), replications=50)
        for name in ("policy", "equal_weight", "benchmark")
    }
    excess = {name: Estimate(0.01, -0.01, 0.03, 300, 0.95, 10) for name in ("equal_weight", "benchmark")}
    how = {"benchmark": "SPY", "split": "out_of_sample", "tries": 3}
    plain = ({name: asdict(each) for name, each in kind.items()} for kind in (metrics, excess))
    assert headline_figures(metrics, excess, **how) == headline_figures(*plain, **how)


def test_a_blocked_decision_says_so_first() -> None:
    blocked = day.report(decision=day.decision(blocked=True))
    assert headline(blocked) == ("No orders: safety blocked this decision", "stop")
    words = Page(write_report(blocked)).words
    assert words.index("The account lost 4.1 %") < words.index("What such decisions")
    assert "Trades that were proposed, and are not ordered" in words
    assert safety_rows(blocked)[0]["word"] == "BLOCK"
    unjudged = day.report(decision=day.decision(verdicts=False))
    assert headline(unjudged)[1] == "stop"
    assert "cannot become orders" in Page(write_report(unjudged)).words


def test_a_day_without_trades_without_view_without_evidence() -> None:
    empty = Forecast(
        day.AS_OF, pl.DataFrame(schema={"symbol": pl.String, "score": pl.Float64}), None, why=("No view.",)
    )
    quiet = day.report(
        decision=day.decision(traded=pl.DataFrame(schema=dict(TRADE_SCHEMA))),
        forecast=empty,
        proof=None,
        no_proof="Nothing has been trained; run `openbell train stocks`.",
        history=None,
        drift=None,
        quality=None,
        survivorship_biased=True,
        switched_off=(),
        not_tried=(),
        notes=(),
        book=Book(day.AS_OF, 100_000.0),
        executed=True,
    )
    assert headline(quiet) == ("Nothing to trade today", "rest")
    page = Page(write_report(quiet))
    assert page.open == []
    for expected in ("no view", "survivorship-biased", "openbell train stocks", "There is nothing to trade", "ordered"):
        assert expected in page.words
    assert "<svg" not in write_report(quiet)


def test_without_a_champion_the_curve_is_not_called_the_models() -> None:
    words = Page(write_report(day.report(proof=day.proof(sessions=400, champion=False)))).words
    assert "this desk without a view" in words
    assert "No candidate earned a view" in words
    assert "chosen on these same dates" not in words


def test_an_unavailable_check_is_not_a_pass() -> None:
    rows = {row["check"]: row["word"] for row in safety_rows(day.report())}
    assert rows == {
        "turnover": "SHRINK", "liquidity": "SHRINK", "market cap classes": "unavailable", "long only": "ALLOW",
        "position cap": "ALLOW",
    }  # fmt: skip
    assert "2 pass, 2 shrink" in Page(write_report(day.report())).words


def test_many_trades_are_counted_in_the_brief() -> None:
    assert brief_trades(day.trades(45))[0][1].endswith(" and 3 more")
    assert brief_trades(pl.DataFrame(schema=dict(TRADE_SCHEMA))) == []


def test_ten_years_stay_under_the_size() -> None:
    """Twenty years of daily marks and fifty trades: below 1.5 MB."""
    report = day.report(proof=day.proof(sessions=5200), decision=day.decision(traded=day.trades(14)))
    assert len(write_report(report).encode()) < 1_500_000


def test_charts_take_their_colours_from_the_page_and_keep_their_numbers() -> None:
    dates = day.weekdays(600)
    ics = pl.DataFrame({"session": dates, "rank_ic": np.full(600, 0.03725) + 0.01 * np.sin(np.arange(600))})
    svg = charts.ic_chart(ics, window=126, block=10)
    assert "var(--policy)" in svg
    assert "#0a0101" not in svg
    assert f"dashed: mean of all 600 dates, {ics['rank_ic'].mean():+.3f}" in svg, "numbers in words are not cut"
    assert "<metadata" not in svg
    assert 'role="img"' in svg
    assert svg == charts.ic_chart(ics, window=126, block=10)


def test_rolling_band_is_the_standard_error_under_dependence() -> None:
    rng = np.random.default_rng(0)
    noise = pl.Series(rng.normal(0, 0.1, 4000))
    mean, half = charts.rolling_ic(noise, 126, 10)
    assert mean[0] == pytest.approx(noise[:126].mean())
    assert mean[-1] == pytest.approx(noise[-126:].mean())
    assert half.mean() == pytest.approx(1.96 * 0.1 / np.sqrt(126), rel=0.15)
    smooth = pl.Series(np.convolve(rng.normal(0, 0.1, 4009), np.ones(10) / 10, mode="valid"))
    _, wider = charts.rolling_ic(smooth, 126, 20)
    assert wider.mean() > 1.8 * 1.96 * smooth.std() / np.sqrt(126)


@pytest.mark.parametrize(("low", "high"), [(0.94, 1.07), (0.8, 1.5), (0.5, 6.0), (0.3, 40.0)])
def test_growth_axis_has_a_few_round_ticks(low: float, high: float) -> None:
    ticks = charts.growth_ticks(low, high)
    assert 3 <= len(ticks) <= 8
    assert all(low <= each <= high for each in ticks)


def test_numbers_are_written_in_one_way() -> None:
    assert percent(0.1234) == "12.3\u00a0%"
    assert percent(-0.00001) == "0.0\u00a0%", "no negative zero"
    assert percent(-0.05, sign=True) == "−5.0\u00a0%"
    assert percent(None) == "–"
    assert number(1234.5) == "1,234.50"
    assert number(0.5, 3, sign=True) == "+0.500"
    assert number(None) == "–"
    assert usd(-1234.5, 2) == "−$1,234.50"
    assert usd(None) == "–"
    assert measure(0.0312, "ic", sign=True) == "+0.0312"
    assert measure(0.0312, "percent") == "3.1\u00a0%"
    assert place(0.5, 0.0, 2.0) == 25.0
    assert place(1.0, 1.0, 1.0) == 0.0
