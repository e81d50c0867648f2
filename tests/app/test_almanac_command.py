"""`openbell almanac`: what it prints, what it refuses, and how often was looked."""

import csv
import datetime as dt
import io
import json
import zipfile

import pytest
from tests.research.almanac_world import NOVEMBER, bars

from openbell.app.almanac import kept_of, look, product_almanac
from openbell.app.cli import main
from openbell.app.home import Home
from openbell.core.errors import BadInput, DataMissing, Refused
from openbell.research.almanac_filters import Group, filter_of
from openbell.research.almanac_kept import kept, study
from openbell.research.almanac_scenario import STATISTICS, Scenario

DAYS = tuple(day for day in (dt.date(2023, 3, 1) + dt.timedelta(days=n) for n in range(75)) if day.weekday() < 5)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A home with bars of ES by the quarter of an hour, and some of another product by the hour."""
    place = tmp_path_factory.mktemp("almanac")
    home = Home.open(place)
    rows = [bars(DAYS, minutes=15, symbol="ES"), bars(DAYS[10:], minutes=60, symbol="NQ", seed=9)]
    for each in rows:
        home.tables.append("minutes", each)
    home.trials.close()
    return place


@pytest.fixture
def home(path):
    return Home.open(path)


def asked(capsys, *words):
    """Exit code, standard output and standard error of a command."""
    import sys
    from unittest.mock import patch

    with patch.object(sys, "argv", ["openbell", "almanac", *words]), pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def scenario(text=None, **more):
    group = Group("and", () if text is None else (filter_of(text),))
    return Scenario("ES", filters=group, **more)


def test_the_command_says_what_the_rooms_say(capsys, home, path):
    """The same sessions, by whichever way they are asked for."""
    code, out, _ = asked(capsys, "filter", "ES", "-f", "previous direction=negative", "--json", "--home", str(path))
    told = json.loads(out)
    wanted = scenario("previous direction=negative")
    own = product_almanac(home, "ES")
    found = kept(study(wanted, own), wanted)
    assert code == 0
    assert told["sessions"] == [each.isoformat() for each in found.sessions]
    assert (told["n"], told["of"]) == (found.n, found.of)
    assert told["filters"][0]["known"] == "pre-open"


def test_csv_is_read_by_any_program(capsys, path):
    code, out, _ = asked(capsys, "filter", "ES", "--csv", "--home", str(path))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["session"] for row in rows] == [each.isoformat() for each in DAYS if each != dt.date(2023, 4, 7)]
    _, out, _ = asked(capsys, "stats", "ES", "-s", "weekday", "--csv", "--home", str(path))
    assert [row["label"] for row in csv.DictReader(io.StringIO(out))] == ["Mon", "Tue", "Wed", "Thu", "Fri"]


def test_a_refused_filter_ends_with_1_and_a_sentence(capsys, path):
    """Check 64."""
    code, _, err = asked(capsys, "filter", "ES", "--trades-at", "cut-off", "-f", "direction", "--home", str(path))
    assert code == 1
    assert "bull session of the day itself" in err
    assert "full-day" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats"], "Name a product"),
        (["stats", "EX"], "ES"),
        (["stats", "ES", "-s", "hourli"], "Did you mean `hourly`"),
        (["stats", "ES", "--csv", "--json"], "Choose one"),
        (["stats", "ES", "--any"], "--filter"),
        (["stats", "ES", "-f", "gap percnt=1"], "Did you mean `percent`"),
        (["stats", "ES", "--first", "2023-05-01", "--last", "2023-04-01"], "Exchange"),
        (["stats", "NQ", "-s", "survival"], "at most 30 minutes"),
        (["stats", "ES", "--freq", "1m"], "15m"),
        (["stats", "ES", "-s", "correlation"], "against"),
        (["filter", "ES", "-f", "events"], "openbell data import events"),
        (["filter", "--scenario", "none.json"], "none.json"),
    ],
)
def test_bad_input_ends_with_2_and_a_sentence(capsys, path, words, said):
    code, _, err = asked(capsys, *words, "--home", str(path))
    assert code == 2
    assert said in err


def test_help_teaches_every_statistic_and_filter(capsys):
    from openbell.research.almanac_filters import kinds

    code, out, _ = asked(capsys, "stats", "--help")
    assert code == 0
    flat = " ".join(out.replace("│", " ").split())
    for name in (*STATISTICS, *kinds()):
        assert name in flat
    assert "{" not in flat


def test_a_scenario_of_a_file_is_changed_by_options_and_comes_back(capsys, path, tmp_path):
    place = tmp_path / "s.json"
    wanted = scenario("weekdays days=mon", statistic="weekday", last=DAYS[40])
    place.write_text(wanted.as_json())
    _, out, _ = asked(capsys, "stats", "--scenario", str(place), "--json", "--home", str(path))
    assert json.loads(out)["scenario"] == wanted.as_dict()
    preset = {"format": "openbell preset", "kind": "almanac", "name": "x", "document": {"scenario": wanted.as_dict()}}
    place.write_text(json.dumps(preset))
    _, out, _ = asked(capsys, "filter", "--scenario", str(place), "--json", "--home", str(path), "--last", "2023-04-03")
    assert json.loads(out)["scenario"]["last"] == "2023-04-03"


def test_every_look_counts_once_and_raises_p(tmp_path):
    """Multiple testing: the tenth look needs ten times the evidence; the same look again is no new one."""
    home = Home.open(tmp_path)
    home.tables.append("minutes", bars(DAYS, minutes=15, symbol="ES"))
    first = look(home, scenario("weekdays days=mon,tue", statistic="weekday"))
    again = look(home, scenario("weekdays days=mon,tue", statistic="weekday"))
    second = look(home, scenario("weekdays days=mon,tue", statistic="session"))
    assert (first.looks, again.looks, second.looks) == (1, 1, 2)
    assert first.comparison.p == second.comparison.p
    assert second.p_adjusted == pytest.approx(min(1.0, 2 * first.p_adjusted))
    assert any("look number 2" in each for each in second.sentences)
    with pytest.raises(DataMissing):
        look(home, scenario("previous_percent percent=99"))
    assert look(home, scenario("weekdays days=mon,tue", statistic="session")).looks == 2


def test_every_statistic_is_told(home):
    for name in STATISTICS:
        wanted = scenario(statistic=name, against="NQ", metric="change_pct")
        if name == "volatility":
            with pytest.raises(DataMissing, match="at least 100"):
                look(home, wanted)
            continue
        found = look(home, wanted)
        assert found.told.tables
        assert all(frame.height for frame in found.told.tables.values()), name


def test_statistics_are_of_the_sessions_kept_and_of_the_span(home):
    mondays = look(home, scenario("weekdays days=mon", statistic="weekday", first=DAYS[5], last=DAYS[30]))
    table = mondays.told.tables["weekday"]
    assert table["label"].to_list() == ["Mon"]
    assert table["n"].to_list() == [sum(day.weekday() == 0 for day in DAYS[5:31])]
    with pytest.raises(BadInput, match="whole weeks or months"):
        look(home, scenario("weekdays days=mon", statistic="month"))


def test_a_look_refuses_what_a_trading_study_cannot_know(home):
    with pytest.raises(Refused, match="bull session of the day itself"):
        kept_of(home, scenario("direction", trades_at="cut-off"))


def test_a_study_that_trades_says_what_its_figures_hold_of_before(capsys, path):
    """Sessions chosen by their morning rose by then: mutant: a return from the open shown as what a trade earns."""
    words = ("stats", "ES", "-s", "distribution", "-f", "times a=10:15 b=09:45", "--home", str(path))
    assert "nobody earns it" not in asked(capsys, *words)[1]
    rest = " ".join(asked(capsys, *words, "--trades-at", "cut-off")[1].split())
    assert "rest_return_pct: first open after the cut-off" in rest
    assert "nobody earns it" not in rest
    trading = ("--trades-at", "cut-off", "--metric", "day_return_pct")
    told = " ".join(asked(capsys, *words, *trading)[1].split())
    assert "This study trades at 10:15." in told
    assert "nobody earns it" in told


def test_the_zip_holds_everything(capsys, path, tmp_path):
    place = tmp_path / "all.zip"
    asked(capsys, "stats", "ES", "-s", "heatmap", "--zip", str(place), "--home", str(path))
    with zipfile.ZipFile(place) as archive:
        names = archive.namelist()
        told = json.loads(archive.read("findings.json"))
    assert {"scenario.json", "sessions.csv", "filters.csv", "high_by_weekday.csv", "low_by_month.csv"} <= set(names)
    assert told["n"] == told["of"]


def test_an_almanac_is_read_again_when_there_are_new_bars(tmp_path):
    home = Home.open(tmp_path)
    home.tables.append("minutes", bars(NOVEMBER[:5], minutes=15, symbol="ES"))
    before = product_almanac(home, "ES")
    assert product_almanac(home, "ES") is before
    home.tables.append("minutes", bars(NOVEMBER[5:8], minutes=15, symbol="ES"))
    assert product_almanac(home, "ES").days.height == before.days.height + 3


@pytest.mark.parametrize(("code", "regular"), [("ES", False), ("SPY", True)])
def test_highs_of_a_product_that_trades_by_night_are_of_its_whole_session(monkeypatch, code, regular):
    """Check 65. Mutant: regular hours for everything, or a method that is never called."""
    from types import SimpleNamespace

    from openbell.app import almanac_tables
    from openbell.research import almanac_extremes

    asked = SimpleNamespace(span=SimpleNamespace(product=code), found=SimpleNamespace(sessions=None))
    monkeypatch.setattr(almanac_extremes, "extremes", lambda span, *, regular, sessions: regular)
    assert almanac_tables._extremes(asked) is regular
