"""The page Gate: what `openbell odds` answers, how it was read, and what was not; nothing is stored."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from openbell.app.gate_ask import ask
from openbell.app.home import Home
from openbell.app.lab.figures import gate as figures
from openbell.app.lab.looks import gate as looks
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.gate import EXAMPLE, EXAMPLE_AT, PAGE, answer
from openbell.core.errors import BadInput, DataMissing

NOW = dt.datetime(2026, 3, 26, 15, tzinfo=dt.UTC)
SCRIPT = "BUY +1 VERTCAL SPX <script>alert(1)</script> @1"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path)


def texts(component: Any) -> str:
    if component is None:
        return ""
    if isinstance(component, (list, tuple)):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


def files(path: Path) -> set[str]:
    return {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}


def test_the_answer_is_that_of_the_command(home: Home) -> None:
    """Kills an answer of the page's own: verdict, money and reasons are those of `openbell odds`."""
    found = looks.asked(home, EXAMPLE, now=NOW, as_of=EXAMPLE_AT, price=6450.0, volatility=0.2)
    same = ask(home, EXAMPLE, as_of=EXAMPLE_AT, price=6450.0, volatility=0.2)
    assert found.answered == same
    said = same.said[0]
    told = texts(answer(found))
    assert (said.risk_usd, said.reward_usd) == (1425.0, 3575.0)
    for words in (*said.why[1:], said.answer.value, "1,425 USD", "3,575 USD", f"{said.price_probability:.1%}",
                  f"{said.fair_probability:.1%}", "6,369.25, 6,440.75"):  # fmt: skip
        assert words in told
    assert f"{said.answer.value} BUY" in " ".join(told.split())


def test_asking_records_nothing(home: Home, tmp_path: Path) -> None:
    """Kills a log of what was only tried out: not in the prediction log, not in the journal."""
    looks.asked(home, EXAMPLE, now=NOW)
    assert {each for each in files(tmp_path) if not each.startswith("journal.db")} == set()
    assert home.journal.head.records == 0


def test_without_a_moment_it_is_asked_now(home: Home) -> None:
    """Kills a clock of its own beside the lab's."""
    assert looks.asked(home, EXAMPLE, now=NOW).at == NOW


def test_what_cannot_be_read_says_where_and_what_may_stand_there(home: Home) -> None:
    """Kills dropping the bad line, and the good one beside it."""
    found = looks.asked(home, f"{EXAMPLE}\n{SCRIPT}", now=NOW)
    told = texts(answer(found))
    assert "Line 2, column" in told
    assert "cannot stand here" in told
    assert "6455" in told
    assert len(found.answered.said) == 1
    assert told.count("not read") == 1


def test_markup_of_others_stays_text(home: Home) -> None:
    """Kills raw HTML on the page."""
    shown = answer(looks.asked(home, SCRIPT, now=NOW))
    plain = json.dumps([each.to_plotly_json() for each in shown], default=lambda each: each.to_plotly_json())
    assert "<script>" in plain
    assert "dangerously" not in plain.lower()
    assert "srcDoc" not in plain


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "the field is empty"), (" \n ", "the field is empty"), ("x" * (looks.LONGEST_TEXT + 1), "20,001 characters")],
)
def test_no_text_and_too_much_of_it_are_refused(home: Home, text: str, why: str) -> None:
    """Kills a fault, or a page that hangs on a novel."""
    with pytest.raises(BadInput, match=why):
        looks.asked(home, text, now=NOW)


@pytest.mark.parametrize(
    "given", [{"as_of": "soon"}, {"price": -1.0}, {"volatility": 0.2}, {"dialect": "klingon"}], ids=str
)
def test_impossible_numbers_are_refused_in_a_sentence(home: Home, given: dict[str, Any]) -> None:
    """Kills a value that is silently left out."""
    with pytest.raises(BadInput):
        looks.asked(home, EXAMPLE, now=NOW, **given)


def test_words_without_an_order_show_what_one_looks_like(home: Home) -> None:
    """Kills an empty answer."""
    assert "One looks like" in texts(answer(looks.asked(home, "good morning", now=NOW)))


def test_without_a_training_the_page_says_so(home: Home, tmp_path: Path) -> None:
    """Kills making a journal by looking."""
    with pytest.raises(DataMissing, match="not trained yet"):
        looks.standing(home, NOW)
    assert files(tmp_path) == set()
    shown = texts(PAGE.layout(Lab(lambda: home, None, None, lambda: NOW), {"order": "abc"}))  # type: ignore[arg-type]
    assert "Ask the gate" in shown


def test_thin_bins_are_not_drawn_and_intervals_are(home: Home) -> None:
    """Kills a point on three trades, and bounds taken for widths."""
    rows = pl.DataFrame(
        {
            "model": ["simple", "simple", "price"], "bin": [0, 1, 0], "n": [100, 29, 100], "said": [0.2, 0.8, 0.3],
            "observed": [0.25, 1.0, 0.3], "observed_low": [0.15, 0.9, None], "observed_high": [0.40, 1.0, None],
        }
    )  # fmt: skip
    drawn = figures.reliability(rows, "simple")
    model = drawn.data[1]
    assert (list(model.x), list(model.y), list(model.customdata)) == ([0.2], [0.25], [100])
    assert list(model.error_y.array) == pytest.approx([0.15])
    assert list(model.error_y.arrayminus) == pytest.approx([0.10])


def test_money_adds_up_over_the_days(home: Home) -> None:
    """Kills drawing each day's money for the sum, and mixing up who decides."""
    days = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
    daily = pl.DataFrame({"session": days, "take_all": [1.0, 2.0], "price": [0.0, -1.0], "simple": [5.0, 5.0]})
    drawn = {trace.name: list(trace.y) for trace in figures.money(daily).data}
    assert drawn == {"every trade taken": [1.0, 3.0], "by the price alone": [0.0, -1.0], "simple": [5.0, 10.0]}


@pytest.mark.slow
def test_a_trained_gate_tells_how_it_stood(gate_home: Any, open_home: Any) -> None:
    """Kills figures that differ from the record of the training."""
    from openbell.app.lab.pages.gate import standing

    home = open_home(gate_home.path)
    found = looks.standing(home, NOW)
    told = texts(standing(found))
    assert f"{found.scores.trades:,} trades of {found.scores.days:,} days" in told
    rows = looks.model_rows(found)
    assert rows["kind"].to_list() == ["candidate", "candidate", "baseline", "baseline"]
    assert rows["skill_nats"].to_list()[:2] == sorted(rows["skill_nats"].to_list()[:2], reverse=True)
