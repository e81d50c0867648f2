"""The page Tournament: gates with threshold and value, no champion without all of them, and the error that is left."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from evaluated_homes import AT, DESK, PLAN, session_home, texts

from openbell.app.home import Home
from openbell.app.lab import theme
from openbell.app.lab.figures import tournament as figures
from openbell.app.lab.looks import tournament as looks
from openbell.app.lab.looks import tournament_files as files
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.tournament import PAGE
from openbell.core.errors import BadInput

GATE_ROWS = [
    ("ridge+equal", "beats_baseline", 0.4, 3.2, False, "It does not."),
    ("ridge+equal", "sharpe", 1.2, 1.0, True, "It does."),
    ("naive+equal", "sharpe", 0.1, 1.0, False, "It does not."),
]
STOCKS = {
    "desk": "stocks", "session": "2021-07-01", "training": "b" * 64, "plan": "b" * 64, "champion": None,
    "why": ["There is no champion: 0 of 2 entrants passed every gate."], "notes": [], "tries": 42, "alpha": 0.01,
    "holdout_first": "2019-09-13", "entrants": ["ridge+equal", "naive+equal"], "evidence": {}, "settings": "s",
}  # fmt: skip


def lab(home: Home) -> Lab:
    return Lab(lambda: home, None, None, lambda: AT)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    theme.register()
    found = session_home(tmp_path_factory.mktemp("held"), kind="tournament", made_up="")
    found.trials.spend(DESK, at=AT, alpha=0.01, plan="one")
    found.trials.spend(DESK, at=AT, alpha=0.01, plan="two")
    return found


@pytest.fixture
def stocks(tmp_path: Path) -> Home:
    """A tournament of stocks with the files that it wrote for a reader."""
    home = Home.open(tmp_path)
    home.journal.append("tournament", STOCKS, at=AT, key="t")
    folder = tmp_path / "reports" / "model_selection" / "2021-07-01"
    folder.mkdir(parents=True)
    made = {"plan": "b" * 64, "first": "2012-09-10", "last": "2019-09-12", "sessions": 1763,
            "significance": {"pbo": {"pbo": 0.57, "splits": 12870}, "spa": {"spa": 0.43}}}  # fmt: skip
    (folder / "selection.json").write_text(json.dumps(made))
    pl.DataFrame(GATE_ROWS, schema=list(looks.GATES), orient="row").write_csv(folder / "gates.csv")
    pl.DataFrame({
        "rank": [1, 2], "entrant": ["ridge+equal", "naive+equal"], "n": [1763, 1763], "sharpe": [1.2, 0.1],
        "sharpe_lower": [0.5, -0.6], "sharpe_upper": [1.9, 0.8], "p_value": [0.8, 0.9], "eligible": [False, False],
        "deflated_sharpe": [0.2, 0.0],
    }).write_csv(folder / "backtest_comparison.csv")  # fmt: skip
    return home


def test_without_anything_the_page_says_how_a_tournament_is_held(tmp_path: Path) -> None:
    """Kills an empty page, and a journal or a ledger that is made by looking."""
    shown = texts(PAGE.layout(lab(Home.open(tmp_path)), {"desk": "session"}))
    assert "No tournament of the desk session is on record" in shown
    assert "openbell tournament session" in shown
    assert "Nobody is in office" in shown
    assert "There is no ledger yet" in shown
    assert not list(tmp_path.iterdir())


def test_each_gate_has_its_threshold_and_its_value_and_one_failed_is_enough(home: Home) -> None:
    """Kills a champion who failed a gate, and gates of a baseline, which is no candidate."""
    found = looks.one(home, looks.held(home, DESK)[0])
    rows = {(row["entrant"], row["gate"]): row for row in found.gates.iter_rows(named=True)}
    assert {entrant for entrant, _ in rows} == {"logistic", "ridge"}
    assert (rows["ridge", "stepm"]["limit"], rows["ridge", "sessions"]["limit"]) == (0.05, 100.0)
    assert rows["ridge", "sessions"]["passed"]
    assert not rows["ridge", "interval_above_0"]["passed"]
    board = {row["entrant"]: row for row in found.board.iter_rows(named=True)}
    assert board["base_rate"]["gates passed"] == "baseline"
    assert "interval above 0" in board["ridge"]["stopped by"]
    assert found.head == "There is no champion."


def test_gates_agree_with_what_the_record_calls_proven(tmp_path: Path) -> None:
    """Kills a threshold that is another than the desk's: who passes all is who is proven, and nobody else."""
    home = session_home(tmp_path, knows=0.6, kind="tournament", made_up="")
    record = looks.held(home, DESK)[0]
    found = looks.one(home, record)
    passed = found.gates.group_by("entrant").agg(pl.col("passed").all()).filter("passed")["entrant"].to_list()
    assert passed == record.payload["proven"] == ["logistic"]
    assert found.head == "logistic is the champion."


@pytest.mark.parametrize(
    ("low", "p", "n", "passed"),
    [(0.01, 0.05, 100, [True, True, True]), (0.0, 0.051, 99, [False, False, False]), (None, None, 0, [False] * 3)],
)
def test_a_gate_at_its_threshold(low: float | None, p: float | None, n: int, passed: list[bool]) -> None:
    """Kills >= for >, and passing what was never measured."""
    rows = pl.DataFrame({"model": ["m"], "low": [low], "p_value": [p], "n": [n]},
                        schema_overrides={"low": pl.Float64, "p_value": pl.Float64})  # fmt: skip
    assert looks._gates(rows, 0.05, 100)["passed"].to_list() == passed


def test_the_budget_is_that_of_the_ledger(home: Home) -> None:
    """Kills a year that is not the tournament's, and one more tournament than may be held."""
    now = dt.datetime(AT.year, 6, 1, tzinfo=dt.UTC)
    (found,) = looks.budgets(home, DESK, now)
    assert (found.tournaments, found.left) == (2, 3)
    assert found.spent == pytest.approx(0.02)
    later = looks.budgets(home, DESK, now.replace(year=AT.year + 2))
    assert [(each.year, each.tournaments) for each in later] == [(AT.year + 2, 0), (AT.year, 2)]
    drawn = figures.spent(later)
    assert list(drawn.data[0].x) == pytest.approx([0.0, 0.02])
    assert list(drawn.data[1].x) == pytest.approx([0.05, 0.03])


def test_the_board_of_stocks_is_that_of_its_files(stocks: Home) -> None:
    """Kills a board of another tournament, and a gate without what stopped whom."""
    found = looks.one(stocks, looks.held(stocks, "stocks")[0])
    row = found.board.row(0, named=True)
    assert (row["entrant"], row["Sharpe"], row["its low"], row["gates passed"]) == ("ridge+equal", 1.2, 0.5, "1 of 2")
    assert row["stopped by"] == "beats baseline"
    assert found.facts["probability of overfitting (PBO)"] == "57% of 12,870 splits; chance 50%"
    shown = texts(PAGE.layout(lab(stocks), {}))
    assert "There is no champion" in shown
    assert "42 tries" in shown


def test_files_of_a_later_tournament_of_the_session_are_not_taken(stocks: Home) -> None:
    """Kills the figures of one tournament under the name of another."""
    folder = stocks.path / "reports" / "model_selection" / "2021-07-01"
    (folder / "selection.json").write_text(json.dumps({"plan": "c" * 64}))
    assert files.table(stocks, STOCKS, "gates.csv") is None
    found = looks.one(stocks, looks.held(stocks, "stocks")[0])
    assert "are not in reports/model_selection/2021-07-01 any more" in found.missing
    assert found.gates.is_empty()
    assert "so its leaderboard is not shown" in texts(PAGE.layout(lab(stocks), {"desk": "stocks"}))


def test_the_figure_of_gates_says_the_value_of_each_cell() -> None:
    """Kills a colour alone, which not everybody sees."""
    theme.register()
    rows = pl.DataFrame(GATE_ROWS, schema=list(looks.GATES), orient="row")
    drawn = figures.gates(rows, ["ridge+equal", "naive+equal"]).data[0]
    assert drawn.text[0] == ("failed 0.4", "passed 1.2") or list(drawn.text[0]) == ["failed 0.4", "passed 1.2"]
    assert drawn.text[1][0] == ""
    assert drawn.x[1] == "sharpe<br>1"


def test_a_desk_is_found_by_its_family_and_refused_in_a_sentence(home: Home) -> None:
    """Kills an error on an address that somebody typed."""
    assert looks.known(looks.desks(home), "session") == DESK
    with pytest.raises(BadInput, match="desk `nobody`"):
        looks.known(looks.desks(home), "nobody")
    shown = texts(PAGE.layout(lab(home), {"desk": "<script>", "training": PLAN}))
    assert "<script>" in shown
    assert looks.command("options.SPX") == "openbell tournament options --underlying SPX --as-of 2020-03-16"
    assert looks.command(DESK) == "openbell tournament session --product ES"
