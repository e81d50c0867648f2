"""The report of a tournament: whole, escaped, equal to its frames, and closed to what selection must not have seen."""

import datetime as dt
import re
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from openbell.app.reports import selection_charts, selection_tables
from openbell.app.reports.model_selection import drawn, legends, verdict, write_model_selection
from openbell.app.reports.selection_board import board
from openbell.app.reports.selection_markdown import write_selection_markdown
from openbell.core.errors import Refused
from openbell.research.contest import BASELINE, BENCHMARK

sys.path.insert(0, str(Path(__file__).parent))
import contests
from pages import Page, assert_no_missing_words, assert_whole_and_offline

FRAMES = (
    *("matrix", "equity", "active", "regimes", "gates", "training", "costs", "calibration", "importance", "shap"),
    *("tuning", "failures"),
)


def shown(contest):
    return board(contest, replications=60)


def without_any_back_test():
    """A tournament in which every model raised before its first back-test."""
    made = contests.contest()
    gone = {name: contests.empty(getattr(made, name)) for name in ("matrix", "regimes", "gates", "costs", "shap")}
    return replace(
        made,
        **gone,
        equity=made.equity.select("session", BASELINE, BENCHMARK),
        active=made.active.select("session"),
        training=made.training.with_columns(
            *(pl.lit(None, dtype=pl.Float64).alias(n) for n in ("rank_ic", "rank_ic_lower", "rank_ic_upper")),
            pl.lit("failed").alias("status"),
        ),
        champion=None,
        why=("No candidate could be judged.",),
    )


def renamed(contest, old, new):
    """The same tournament with `new` wherever a name or a sentence held `old`."""

    def each(frame):
        words = [name for name, kind in frame.schema.items() if kind == pl.String]
        frame = frame.with_columns(pl.col(words).str.replace_all(old, new, literal=True))
        return frame.rename({name: name.replace(old, new) for name in frame.columns})

    champion = contest.champion and contest.champion.replace(old, new)
    return replace(contest, **{name: each(getattr(contest, name)) for name in FRAMES}, champion=champion)


@pytest.fixture(scope="module")
def chosen():
    return shown(contests.contest())


@pytest.fixture(scope="module")
def refused():
    return shown(contests.contest(champion=False, failed="ridge"))


@pytest.fixture(scope="module")
def bare():
    return shown(contests.bare(significance={"trials": {"raw": 12}}))


@pytest.fixture(scope="module", name="nobody")
def nobody_board():
    return shown(without_any_back_test())


@pytest.fixture(scope="module")
def html(chosen):
    return write_model_selection(chosen)


def test_the_page_is_whole_and_opens_offline(html, chosen):
    assert_whole_and_offline(html)
    assert_no_missing_words(html)
    assert_no_missing_words(write_selection_markdown(chosen))
    assert len(html.encode()) < 1_500_000
    assert html.index('id="verdict"') < html.index('id="leaderboard"') < html.index('id="gates"')


@pytest.mark.parametrize("write", [write_model_selection, write_selection_markdown])
@pytest.mark.parametrize("which", ["refused", "bare", "nobody"])
def test_every_outcome_can_be_written(write, which, request):
    """Kills: a section that cannot stand without its frame; `None` or `nan` in a cell."""
    of = request.getfixturevalue(which)
    text = write(of)
    assert_no_missing_words(text)
    if write is write_model_selection:
        assert_whole_and_offline(text)


def test_the_same_tournament_gives_the_same_bytes(html):
    again = shown(contests.contest.__wrapped__())
    assert write_model_selection(again) == html
    assert write_selection_markdown(again) == write_selection_markdown(shown(contests.contest()))


def test_the_leaderboard_says_what_the_matrix_says(chosen, html):
    """Kills: a figure in the wrong row, a swapped bound, a rounded rank."""
    words = Page(html).words
    ordered = chosen.contest.matrix.sort("weighted_score", descending=True)
    for at, row in enumerate(ordered.iter_rows(named=True), 1):
        name = row["entrant"] + (" champion" if row["entrant"] == chosen.contest.champion else "")
        start = f"{at} {name} {row['weighted_score']:.3f} {row['sharpe']:.2f} "
        start += f"{row['sharpe_lower']:.2f} to {row['sharpe_upper']:.2f} {row['active_return']:+.1%}"
        assert start.replace("-", "−").replace("%", " %") in words.replace("−", "−")
        p = "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
        assert f" {p} {row['deflated_sharpe']:.3f} " in words
        assert f"{row['max_drawdown']:.1%}".replace("-", "−").replace("%", " %") in words
    markdown = write_selection_markdown(chosen)
    for at, row in enumerate(ordered.iter_rows(named=True), 1):
        assert f"| {at} | {row['entrant']}" in markdown
        assert (
            f"{row['sharpe']:.2f} ({row['sharpe_lower']:.2f} to {row['sharpe_upper']:.2f})".replace("-", "−")
            in markdown
        )


def test_what_a_reader_needs_to_judge_it_stands_first(chosen, html):
    """check 5: tries, hold-out, n, interval and base rate are beside the champion's figures."""
    first = Page(html[: html.index('id="leaderboard"')]).words
    for expected in (
        "Champion: lightgbm+equal",
        "passed all 6 gates, one of 2 among 12 entrants",
        "62 tries, about 4.7 independent",
        "hold-out from 2019-03-01 not read",
        "n = 400 sessions, 62 tries",
        "95 % interval",
        "nothing added : 0".replace(" :", ":"),
        "1.00 %",
    ):
        assert expected in first, expected


def test_costs_regimes_and_training_equal_their_frames(chosen, html):
    words, contest = Page(html).words, chosen.contest
    for name in chosen.top:
        at_ten = contest.costs.filter((pl.col("entrant") == name) & (pl.col("cost_bp") == 10)).row(0, named=True)
        assert f"{at_ten['sharpe']:.2f} {at_ten['active_return']:+.1%}".replace("%", " %") in words
        for row in contest.regimes.filter(pl.col("entrant") == name).iter_rows(named=True):
            cell = f"{row['sharpe']:.2f} {row['mean_return']:+.1%} a year · n {row['sessions']}"
            assert cell.replace("%", " %").replace("-", "−") in words
    for row in contest.training.iter_rows(named=True):
        interval = f"{row['rank_ic_lower']:+.4f} to {row['rank_ic_upper']:+.4f}".replace("-", "−")
        assert f"{row['model']} {row['rank_ic']:+.4f} {interval}" in words


def test_no_champion_is_said_with_who_was_stopped_by_what(refused):
    said = verdict(refused)
    assert said.headline == "No champion"
    assert said.tone == "rest"
    assert "No entrant of 9 passed every gate, so production is unchanged: stepm stopped" in said.sentence
    assert "and 6 more" in said.sentence
    page = Page(write_model_selection(refused)).words
    assert "leads by weighted score and is not champion" in page
    assert "ridge BadInput: Column `rsi_14` holds 3 infinities. failed" in page
    assert "ridge fold 3 BadInput: Column `rsi_14` holds 3 infinities." in page
    office = shown(replace(contests.contest(champion=False, failed="ridge"), incumbent="ridge+hrp"))
    assert "(ridge+hrp stays in office)" in verdict(office).sentence


def test_the_champion_in_office_stays_where_nobody_beat_it():
    """An entrant that passed every gate and is not promoted is the one in office."""
    made = contests.contest()
    names = made.matrix.filter("eligible").sort("weighted_score")["entrant"].to_list()
    only = made.matrix.with_columns((pl.col("entrant") == names[0]).alias("eligible"))
    of = shown(replace(made, champion=None, incumbent=names[0], matrix=only))
    assert of.leader == names[0]
    said = verdict(of)
    assert said.headline == "The champion in office stays"
    assert said.sentence.startswith(f"{names[0]} stays in office: it passed every gate, and nobody beat it.")
    assert "which is in office and stays" in Page(write_model_selection(of)).words


def test_a_measure_that_is_undefined_for_one_is_a_dash_not_the_end():
    """Kills: a tournament of hours whose report fails because one curve never fell or never moved."""
    made = contests.contest(champion=False)
    gone = ("sharpe", "sharpe_lower", "sharpe_upper", "calmar", "p_value", "statistic", "deflated_sharpe", "sortino")
    first = pl.int_range(pl.len()) == 0
    holed = made.matrix.with_columns(pl.when(first).then(None).otherwise(name).alias(name) for name in gone)
    of = shown(replace(made, matrix=holed))
    html = write_model_selection(of)
    assert_whole_and_offline(html)
    assert_no_missing_words(html)
    assert "too few for an interval" in Page(html).words
    assert "| ridge+equal |" in write_selection_markdown(of)
    assert "Not in backtest_comparison_matrix.csv, which has no holes: ridge." in Page(html).words


def test_nobody_back_tested_is_an_answer_too(nobody):
    assert nobody.leader is None
    assert verdict(nobody).sentence == "Nobody could be back-tested, so production is unchanged."
    words = Page(write_model_selection(nobody)).words
    assert "Nobody could be back-tested; see failures" in words
    assert "No gate was asked" in words


def test_what_was_not_done_is_said_and_no_table_is_empty(bare):
    words = Page(write_model_selection(bare)).words
    for expected in (
        "No other costs were run",
        "No session was assigned to a regime",
        "Nothing was tuned",
        "No intervals were calibrated",
        "No feature was permuted",
        "No SHAP values were computed",
        "Nobody raised.",
        "Probability of back-test overfitting: not computed",
        "Model confidence set: not computed",
    ):
        assert expected in words, expected
    assert "independent" not in words[: words.index("Leaderboard")], "an effective number that nobody computed"


def test_text_from_data_is_escaped():
    """A model, a gate, a feature or a sentence may say anything; none of it becomes part of the page or a table."""
    attack = '<script>alert("1")</script>|$x$'
    poisoned = renamed(contests.contest(failed="ridge"), "lightgbm", attack)
    poisoned = renamed(poisoned, "momentum_12_1", attack)
    poisoned = renamed(poisoned, "stepm", attack)
    poisoned = renamed(poisoned, "Risk-On", attack)
    poisoned = replace(
        poisoned,
        why=(attack,),
        notes=(attack,),
        benchmark=attack,
        universe=attack,
        significance={**poisoned.significance, attack: {attack: attack}},
        parameters={attack: [attack]},
    )
    of = shown(poisoned)
    page = write_model_selection(of)
    assert_whole_and_offline(page)
    assert page.count("&lt;script&gt;") > 40
    markdown = write_selection_markdown(of)
    assert "<script" not in markdown
    tables = re.findall(r"(?:^\|.*\n)+", markdown, flags=re.M)
    assert len(tables) > 8
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table


def _without(name, column):
    return lambda c: {name: getattr(c, name).drop(column)}


def _with(name, column, value):
    def change(c):
        frame = getattr(c, name)
        first = pl.int_range(pl.len()) == 0
        kind = frame.schema[column]
        return {
            name: frame.with_columns(pl.when(first).then(pl.lit(value, dtype=kind)).otherwise(column).alias(column))
        }

    return change


def _with_champion(column, value):
    def change(c):
        named = pl.col("entrant") == c.champion
        return {"matrix": c.matrix.with_columns(pl.when(named).then(value).otherwise(column).alias(column))}

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: {"holdout_first": c.first}, "nothing but sessions before the hold-out"),
        (lambda c: {"first": c.holdout_first}, "nothing but sessions before the hold-out"),
        (lambda c: {"holdout_first": c.last}, "nothing but sessions before the hold-out"),
        (lambda c: {"last": c.last - dt.timedelta(30), "holdout_first": c.last}, "`equity` reaches"),
        (lambda c: {"significance": {}}, "how many configurations were tried"),
        (lambda c: {"significance": {"trials": {"raw": 0, "effective": 1.0}}}, "was 0"),
        (lambda c: {"active": c.active.with_columns(pl.lit(None, pl.Float64).alias("ridge+hrp"))}, "n is 0"),
        (_without("active", "ridge+hrp"), "`active` has no column for ridge[+]hrp"),
        (_without("equity", "ridge+hrp"), "`equity` has no column for ridge[+]hrp"),
        (_without("matrix", "p_value"), "`matrix` lacks `p_value`"),
        (_without("regimes", "sessions"), "`regimes` lacks `sessions`"),
        (_without("calibration", "n"), "`calibration` lacks `n`"),
        (_with("matrix", "entrant", None), "no holes; there are some in entrant"),
        (_with("matrix", "weighted_score", None), "no holes; there are some in weighted_score"),
        (_with_champion("p_value", None), "named champion without its p_value"),
        (_with_champion("sharpe_lower", float("nan")), "named champion without its sharpe_lower"),
        (_with("matrix", "calmar", float("inf")), "infinite values in calmar"),
        (_with("costs", "sharpe", float("-inf")), "infinite values in sharpe"),
        (_with("training", "dates", None), "figures without dates"),
        (_with("training", "rank_ic_upper", None), "figures without rank_ic_upper"),
        (_with("regimes", "sessions", None), "figures without sessions"),
        (_with("calibration", "n", None), "figures without n"),
        (lambda c: {"matrix": pl.concat([c.matrix, c.matrix.head(1)])}, "stands twice"),
        (lambda c: {"champion": "ridge+hrp"}, "did not pass every gate"),
        (lambda c: {"champion": "nobody+hrp"}, "did not pass every gate"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, words):
    """check 5 and 8: in sample, read hold-out, without n, tries or interval: the writer refuses the whole."""
    made = contests.contest()
    with pytest.raises(Refused, match=words):
        board(replace(made, **change(made)), replications=10)


def test_gates_are_counted_by_hand():
    """a fails at g1 and g2, b at g2 only, c nowhere: g1 stopped a first, g2 stopped b first."""
    made = contests.contest()
    a, b, c = made.matrix.sort("weighted_score", descending=True)["entrant"].head(3)
    rows = [
        (name, gate, {"g1": 0.3, "g2": 0.4}[gate], 0.5, passed, f"{name} at {gate}")
        for name, passes in ((b, (True, False)), (a, (False, False)), (c, (True, True)))
        for gate, passed in zip(("g1", "g2"), passes, strict=True)
    ]
    gates = pl.DataFrame(rows, schema=["entrant", "gate", "value", "limit", "passed", "why"], orient="row")
    of = shown(replace(made, gates=gates))
    assert selection_tables.gate_counts(of) == [
        {"gate": "g1", "limits": [0.5], "asked": 3, "failed": 1, "first": [a]},
        {"gate": "g2", "limits": [0.5], "asked": 3, "failed": 2, "first": [b]},
    ]
    assert [(row["entrant"], row["gate"]) for row in selection_tables.stops(of)] == [(a, "g1"), (a, "g2"), (b, "g2")]
    by_name = {row["entrant"]: row for row in selection_tables.leaderboard(of)}
    assert by_name[a]["failed"] == ["g1", "g2"]
    assert by_name[c]["passed"] == 2


def test_coverage_is_that_of_the_latest_window_beside_the_lowest():
    """Kills: windows that overlap counted as so many rows; the first row taken for the last."""
    frame = pl.DataFrame(
        {
            "model": ["m", "m", "m"],
            "session": [dt.date(2018, 5, 15), dt.date(2018, 5, 1), dt.date(2018, 5, 8)],
            "nominal": [0.9, 0.9, 0.9],
            "coverage": [0.88, 0.91, 0.8],
            "adaptive_coverage": [0.905, None, 0.89],
            "n": [300, 280, 290],
        }
    )
    of = shown(replace(contests.contest(), calibration=frame))
    (row,) = selection_tables.coverage(of)
    assert (row["session"], row["n"], row["windows"]) == (dt.date(2018, 5, 15), 300, 3)
    assert (row["coverage"], row["adaptive_coverage"]) == (0.88, 0.905)
    assert (row["lowest"], row["adaptive_lowest"]) == (0.8, 0.89)
    words = Page(write_model_selection(of)).words
    assert "Latest window, to 2018-05-15: conformal 88.0 %, adaptive 90.5 %, n = 300 rows" in words


def test_an_index_that_is_the_universe_is_not_called_equal_weight_twice():
    of = shown(replace(contests.contest(), benchmark="equal_weight"))
    words = Page(write_model_selection(of)).words
    assert "the universe's own index" in words
    assert "| the universe's own index |" in write_selection_markdown(of).replace("&#39;", "'")


def test_a_bootstrap_never_says_that_luck_is_impossible():
    of = shown(replace(contests.contest(), significance={"trials": {"raw": 4}, "spa": {"spa": 0.0, "dates": 400}}))
    (_, spa) = selection_tables.significance(of)
    assert spa["measures"] == [("Hansen's test, p", "< 0.001"), ("dates", "400")]


def test_tuning_says_the_gain_and_counts_what_was_pruned():
    rows = [("m", 0, 0.010, "COMPLETE"), ("m", 1, 0.016, "COMPLETE"), ("m", 2, None, "PRUNED")]
    frame = pl.DataFrame(rows, schema=["model", "trial", "value", "state"], orient="row").with_columns(
        pl.lit(0.012).alias("default_value")
    )
    (row,) = selection_tables.tuning(shown(replace(contests.contest(), tuning=frame)))
    assert row["gain"] == pytest.approx(0.004)
    assert (row["trials"], row["scored"]) == (3, 2)
    assert row["states"] == [("COMPLETE", 2), ("PRUNED", 1)]


def test_a_pair_that_was_not_played_is_a_dash_and_named(chosen):
    made = chosen.contest
    holed = replace(made, matrix=made.matrix.filter(pl.col("entrant") != "ridge+hrp"))
    of = shown(holed)
    table = selection_tables.grid(of, "sharpe")
    ridge = dict(zip(table["columns"], dict(table["rows"])["ridge"], strict=True))
    assert [name for name, value in ridge.items() if value is None] == ["hrp"]
    words = Page(write_model_selection(of)).words
    assert "Not in backtest_comparison_matrix.csv, which has no holes: ridge." in words


def test_fallbacks_are_summed_per_allocator(chosen):
    found = {row["allocator"]: row["fallbacks"] for row in selection_tables.fallbacks(chosen)}
    assert found == {"equal": 0, "hrp": 0, "max_sharpe": 12}


def test_a_champion_outside_the_top_five_is_drawn_as_well():
    made = contests.contest()
    last = made.matrix.sort("weighted_score")["entrant"][0]
    of = shown(replace(made, champion=last, matrix=made.matrix.with_columns(pl.lit(True).alias("eligible"))))
    assert len(of.top) == 6
    assert of.top[-1] == of.leader == last
    labels = [each["label"] for each in legends(of)["legend_entries"]]
    assert labels == [*of.top[:-1], f"{last} (champion)", "equal weight", "SPY"]


def test_the_legend_names_the_colours_of_the_curves(chosen):
    """Kills: a legend in another order than the picture."""
    colours = [each["colour"] for each in legends(chosen)["legend_own"]]
    assert colours == [f"var(--c{at})" for at in range(1, 6)]
    svg = selection_charts.growth_chart(chosen.contest.equity, drawn(chosen), key="t")
    for colour in (*colours, "var(--equal)", "var(--bench)"):
        assert colour in svg
    one = selection_charts.growth_chart(chosen.contest.equity, [chosen.top[1]], key="t")
    assert "var(--c1)" in one
    assert "var(--c2)" not in one
    assert "#0b01" not in svg


def test_plain_words_for_any_value():
    plain = selection_tables.plain
    assert plain(float("nan")) == plain(None) == "not known"
    assert plain(float("inf")) == "beyond any number"
    assert plain(True) == "yes"
    assert plain(-0.25) == "−0.25"
    assert plain(12870) == "12,870"
    assert plain([]) == plain({}) == "none"
    assert plain({"b", "a"}) == "a, b"
    assert plain(pl.Series([0.5, 2.0]).to_numpy()) == "0.5, 2"
    assert plain(list(range(100))) == "100 values from 0 to 99"
