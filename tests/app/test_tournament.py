"""A tournament from the command to the office: what it leaves, what it refuses, and that it is held once."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import held_tournaments as arenas
import polars as pl
import pytest
from held_tournaments import Arena
from killed import killed
from polars.testing import assert_frame_equal

from openbell.app import cli
from openbell.app import home as home_module
from openbell.app.daily import decide_stocks, run_stocks
from openbell.app.holdout import holdout
from openbell.app.production import promotions
from openbell.app.promotion import promote, rollback
from openbell.app.tournament import Asked, hold_stocks
from openbell.core.declare import discover, model
from openbell.core.errors import Refused
from openbell.research.fitting import load_fitted
from openbell.store.artifacts import manifest_digest

#: One worker holds the tournaments that all tests share.
pytestmark = pytest.mark.xdist_group("tournaments")

OUTPUTS = {
    "training_comparison.csv", "backtest_comparison_matrix.csv", "backtest_detailed_results.json",
    "regime_performance_breakdown.csv", "model_selection_report.html", "model_selection_report.md",
    "equity_curves.png", "champion_vs_benchmark.png",
}  # fmt: skip
ROOMS = ("models", "production")
METADATA = {"model_name", "optimizer", "weighted_score", "metrics", "selection_date", "selection_reason"}


@dataclass(frozen=True)
class Said:
    """What a command left on the terminal, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def nobody(tmp_path_factory) -> Arena:
    """A tournament on a market without any edge. Never change its home: copy it."""
    path = tmp_path_factory.mktemp("nobody") / "home"
    return arenas.held(path, arenas.without_edge(path))


@pytest.fixture(scope="session")
def champion(tmp_path_factory) -> Arena:
    """A tournament on a market with a planted edge. Never change its home: copy it."""
    path = tmp_path_factory.mktemp("champion") / "home"
    return arenas.held(path, arenas.with_edge(path))


@pytest.fixture
def home(champion, tmp_path, open_home):
    """A home whose tournament made a champion, to be changed."""
    return open_home(arenas.copied(champion, tmp_path / "home"))


@pytest.fixture
def say(monkeypatch, capsys) -> Callable[..., Said]:
    """Runs the command line in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["openbell", *(str(each) for each in words)])
        capsys.readouterr()
        with arenas.few_replications(), pytest.raises(SystemExit) as ended:
            cli.main()
        spoken = capsys.readouterr()
        assert "Traceback" not in spoken.err + spoken.out
        return Said(ended.value.code or 0, spoken.out, spoken.err)

    return run


def names(home) -> dict[str, str]:
    """Registered versions by entrant."""
    return {each.candidate: each.label for each in home.tracker.versions("stocks")}


def later(arena: Arena, home, sessions: int) -> dt.date:
    return home.sessions.shift(arena.session, sessions)


def folder_of(arena: Arena, path: Path) -> Path:
    return path / "reports" / "model_selection" / arena.session.isoformat()


# Nobody


def test_without_an_edge_nobody_is_promoted_and_the_report_says_who_stopped_whom(nobody, open_home) -> None:
    """Kills: a champion by its score alone; production or an alias that moves without one."""
    home, held = open_home(nobody.path), nobody.held
    assert (held.exit_code, held.promoted, held.office) == (1, None, None)
    assert promotions(home) == []
    assert home.tracker.alias("stocks", "champion") is None
    assert not home.production.exists()
    assert set(names(home)) == {"ridge+equal", "naive+equal"}
    stopped = "The gate `beats_baseline` stopped 2 of 2: "
    assert any(line.startswith(stopped) for line in held.lines())
    assert "In office: nobody; the desk has no view." in held.lines()
    report = (held.folder / "model_selection_report.md").read_text()
    assert "beats_baseline" in report
    assert "There is no champion: 0 of 2 entrants passed every gate." in report
    gates = pl.read_csv(held.folder / "gates.csv")
    assert gates.filter(pl.col("gate") == "beats_baseline")["passed"].to_list() == [False, False]


def test_every_promised_file_is_there(nobody) -> None:
    """The outputs of the request: no hole in the matrix, pictures that are pictures, `latest` that leads there."""
    folder = folder_of(nobody, nobody.path)
    assert {each.name for each in folder.iterdir()} >= OUTPUTS
    assert (folder.parent / "latest").resolve() == folder.resolve()
    rows = list(csv.reader(io.StringIO((folder / "backtest_comparison_matrix.csv").read_text())))
    assert [row[0] for row in rows[1:]] == ["ridge", "naive"] or [row[0] for row in rows[1:]] == ["naive", "ridge"]
    assert all(cell.strip() and cell != "NaN" for row in rows for cell in row)
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    json.loads((folder / "backtest_detailed_results.json").read_text())
    plan = nobody.held.contest.plan
    listed = json.loads((nobody.path / "models" / "candidates" / plan / "candidates.json").read_text())
    assert "ridge" in json.dumps(listed)


def test_it_is_on_record_once_with_what_it_spent(nobody, open_home) -> None:
    home = open_home(nobody.path)
    kinds = [each.kind for each in home.journal.records()]
    assert kinds == ["data", "holdout", "tournament"]
    (record,) = home.journal.records(kind="tournament")
    assert (record.at, record.payload["champion"]) == (home.as_of(nobody.session), None)
    assert record.payload["holdout_first"] == holdout(home).first.isoformat()
    assert home.trials.plans("stocks", nobody.session.year) == {nobody.held.contest.plan: 0.01}
    assert home.trials.count("stocks") == record.payload["tries"] == 4, "two models, each with one allocator"


def test_the_same_tournament_again_is_the_same(nobody, say, tmp_path, open_home) -> None:
    """Same bytes, no record, nothing spent, exit code 1; also where the year has nothing left to spend."""
    path = arenas.copied(nobody, tmp_path / "home")
    before, records = arenas.left(path), arenas.told(open_home(path))
    spent = ("--set", "tournament.alpha_per_year=0.01")
    said = say("tournament", "stocks", "--home", path, "--as-of", nobody.session, *spent)
    assert said.code == 1
    assert "There is no champion" in said.out
    assert "tournament stocks" in said.err, "progress"
    assert arenas.left(path) == before
    home = open_home(path)
    assert arenas.told(home) == records
    assert home.trials.count("stocks") == 4
    assert home.trials.spent("stocks", nobody.session.year) == 0.01


# A champion


def test_a_champion_is_put_in_office_at_the_moment_of_its_tournament(champion, open_home) -> None:
    """Kills: a promotion in hindsight or by another word, an alias or a copy that is of another version."""
    home, held = open_home(champion.path), champion.held
    assert held.exit_code == 0
    (record,) = promotions(home)
    entrant = held.contest.champion
    told = record.payload
    assert (record.at, told["by"]) == (home.as_of(champion.session), "tournament")
    assert (told["candidate"], told["weighting"]) == (entrant, entrant.partition("+")[2])
    alias = home.tracker.alias("stocks", "champion")
    assert (alias.label, alias.manifest_hash) == (told["version"], told["manifest"])
    assert manifest_digest(home.production / "champion_model") == alias.manifest_hash
    metadata = json.loads((home.production / "champion_metadata.json").read_text())
    assert set(metadata) >= METADATA
    assert (metadata["model_name"], metadata["optimizer"]) == tuple(entrant.split("+"))
    row = held.contest.matrix.row(by_predicate=pl.col("entrant") == entrant, named=True)
    assert metadata["weighted_score"] == row["weighted_score"] == held.contest.matrix["weighted_score"].max()
    assert metadata["metrics"]["sharpe"] == row["sharpe"]
    assert metadata["selection_date"] == champion.session.isoformat()
    assert entrant in metadata["selection_reason"]


def test_selection_ends_before_the_hold_out_and_production_knows_it(champion, open_home) -> None:
    """Kills: a selection that reads the hold-out; a champion that goes live with what the selection knew."""
    home, contest = open_home(champion.path), champion.held.contest
    first = contest.holdout_first
    assert first == holdout(home).first < champion.session
    assert contest.last < first
    assert contest.active["session"].max() < first
    (record,) = promotions(home)
    chosen = load_fitted(home.models / contest.plan / "ridge").meta
    live = load_fitted(home.production / "champion_model", manifest_hash=record.payload["manifest"]).meta
    assert dt.date.fromisoformat(chosen["train_last"]) < first < dt.date.fromisoformat(live["train_last"])
    assert live["as_of"] == home.as_of(champion.session).isoformat()
    assert dt.date.fromisoformat(live["train_last"]) < champion.session
    tries = home.trials.table("stocks").group_by("kind").len().sort("kind")
    assert tries.rows() == [("backtest", 2), ("candidate", 1)], "the refit is no other try"


def test_the_daily_run_decides_by_its_scores_and_its_allocator(champion, open_home, tmp_path) -> None:
    """Dry, on a later session. Kills: the desk's own setting (`hrp`) where another allocator was promoted."""
    home = open_home(champion.path)
    done = run_stocks(home, later(champion, home, 5), out=tmp_path / "live")
    (record,) = promotions(home)
    decision = done.decided.decision
    assert (done.exit_code, done.executed) == (0, False)
    assert done.decided.forecast.model == record.payload["version"]
    assert decision.made_of["model"] == record.payload["manifest"]
    assert decision.details["weighting"] == record.payload["weighting"] != "hrp"
    assert done.decided.forecast.scores["score"].n_unique() > 10
    assert "was promoted by the tournament" in " ".join(decision.why)
    assert record.payload["candidate"] in (done.folder / "report.html").read_text()
    early = decide_stocks(home, later(champion, home, -1), 1e5, home.journal)
    assert not early.forecast.has_view, "nobody was in office before it"


def test_the_same_champion_is_promoted_once(champion, say, tmp_path, open_home) -> None:
    """Again: exit 0, the same bytes. Kills: a champion that meets itself, tries that grow by being looked at again."""
    path = arenas.copied(champion, tmp_path / "home")
    before, records = arenas.left(path), arenas.told(open_home(path))
    said = say("tournament", "stocks", "--home", path, "--as-of", champion.session, "--json")
    assert said.code == 0
    told = json.loads(said.out)
    assert (told["version"], told["in_office"]) == (champion.held.promoted.version,) * 2
    assert (told["plan"], told["failures"]) == (champion.held.contest.plan, [])
    assert arenas.left(path) == before
    assert arenas.told(open_home(path)) == records


def test_one_that_was_rolled_back_does_not_come_back_by_repeating_its_tournament(home, champion) -> None:
    """Kills: a second promotion by the same tournament, after its owner has taken the first one back."""
    promote(home, names(home)["ridge+inverse_volatility"], reason="To see", session=champion.session)
    promote(home, champion.held.promoted.version, reason="Back", session=champion.session)
    rollback(home, reason="No", session=champion.session)
    records = arenas.told(home)
    with arenas.no_report():
        again = hold_stocks(home, champion.session)
    assert arenas.told(home) == records
    assert again.promoted.record == promotions(home)[0]
    assert again.office.payload["candidate"] == "ridge+inverse_volatility"


def test_the_next_week_it_meets_the_others_and_stays(home, champion, tmp_path) -> None:
    """Exit 0, no second promotion; and its evidence is as it was, so that the daily run goes on.

    Kills: two tournaments that share a plan, of which the second writes over what the first one's champion rests on.
    """
    session = later(champion, home, 5)
    with arenas.no_report():
        held = hold_stocks(home, session)
    assert (held.exit_code, held.promoted, held.stays) == (0, None, True)
    assert held.contest.incumbent == champion.held.contest.champion
    assert held.office.record == champion.held.promoted.record
    assert len(promotions(home)) == 1
    assert held.contest.plan != champion.held.contest.plan
    assert held.contest.significance["trials"]["seen"] == 2, "the same pairs again are no more tries"
    assert home.trials.spent("stocks", session.year) == pytest.approx(0.02)
    done = run_stocks(home, later(champion, home, 6), out=tmp_path / "live")
    assert done.decided.forecast.model == champion.held.promoted.version


# The future


def test_rows_after_the_moment_change_neither_plan_nor_champion(champion, tmp_path) -> None:
    """check 4: another future from the tournament's own session on; also the refit for production is the same.

    What is kept under the hash of what it was made of is met again: without it, see the test of the hold-out's rows.
    """
    path = tmp_path / "home"
    session = arenas.with_edge(path, arenas.another_future(arenas.market(edge=True), champion.session))
    shutil.copytree(champion.path / "cache", path / "cache")
    again = arenas.held(path, session, report=False).held
    assert again.contest.plan == champion.held.contest.plan
    assert again.promoted.payload["version"] == champion.held.promoted.payload["version"]
    assert arenas.left(path, ROOMS) == arenas.left(champion.path, ROOMS)


def test_rows_of_the_hold_out_change_no_selection(champion, tmp_path) -> None:
    """The hold-out and all after it out of another market: the same files but for the refit, which may read it."""
    path, first = tmp_path / "home", champion.held.contest.holdout_first
    session = arenas.with_edge(path, arenas.another_future(arenas.market(edge=True), first))
    again = arenas.held(path, session, report=False).held
    assert again.contest.plan == champion.held.contest.plan
    assert again.contest.champion == champion.held.contest.champion
    assert_frame_equal(again.contest.matrix, champion.held.contest.matrix, check_exact=True)
    for frame in ("equity", "active", "gates", "training", "costs", "importance", "shap", "intervals"):
        assert_frame_equal(getattr(again.contest, frame), getattr(champion.held.contest, frame), check_exact=True)
    mine, theirs = (arenas.left(each, ROOMS) for each in (path, champion.path))
    differ = {name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name)}
    assert differ, "the comparison can fail: the model for production has read the other rows"
    assert all("production/" in name for name in differ)


# Refusals


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--allocators", "hpr"), "Did you mean `hrp`"),
        (("--candidates", "rigde"), "Did you mean `ridge`"),
        (("--baseline", "naiv"), "Did you mean `naive`"),
        (("--candidates", "naive_tuned"), "no search space"),
        (("--candidates", ","), "at least one candidate"),
        (("--allocators", ""), "one allocator"),
        (("--time-budget", "30"), "Write it like 90s, 30m or 2h"),
        (("--time-budget", "-3m"), "`-3m` is no time"),
        (("--trials", "0"), "--trials"),
        (("--jobs", "0"), "--jobs"),
        (("--as-of", "soon"), "`soon` is not a date"),
        (("--as-of", "2012-12-25"), "is not a session"),
        (("--as-of", "2013-06-03"), "would rest on stale prices"),
        (("--set", "tournament.train_sessions=5000"), "train"),
        (("--set", "tournament.trian_sessions=500"), "tournament.train_sessions"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_cannot_be_held_is_refused_and_leaves_nothing(words, sentence, champion, say, tmp_path, open_home) -> None:
    """Exit code 2, the nearest valid name, no record: not even a hold-out, which is set once and for all."""
    path = arenas.unheld(champion, tmp_path / "home")
    before = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    as_of = () if "--as-of" in words else ("--as-of", champion.session)
    said = say("tournament", "stocks", "--home", path, *as_of, *words)
    assert said.code == 2
    assert sentence in " ".join(said.err.split())
    after = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    if "tournament.train_sessions=5000" not in words:
        assert after == before
    home = open_home(path)
    assert home.journal.records() == []
    assert home.trials.count("stocks") == 0


def test_a_year_that_has_erred_enough_is_refused_before_anything_is_fitted(champion, say, tmp_path, open_home) -> None:
    """Exit code 1 and no new try: looking is what costs. The hold-out and the office are as they were."""
    path = arenas.copied(champion, tmp_path / "home")
    before = arenas.told(open_home(path))
    words = ("--candidates", "naive", "--set", "tournament.alpha_per_year=0.015")
    said = say("tournament", "stocks", "--home", path, "--as-of", later(champion, open_home(path), 1), *words)
    assert said.code == 1
    assert "have spent 1.00% of the 1.50% that a year may err, and one more would spend 1.00%" in said.err
    home = open_home(path)
    assert arenas.told(home) == before
    assert home.trials.count("stocks") == 3


def test_a_moment_that_was_decided_on_is_refused_before_anything_is_fitted(home, champion) -> None:
    """Kills: hours of computing and a spent budget for a promotion that could only rewrite the past."""
    before, tries = arenas.told(home), home.trials.count("stocks")
    with pytest.raises(Refused, match="would rewrite what was before it"):
        hold_stocks(home, later(champion, home, -5))
    assert (arenas.told(home), home.trials.count("stocks")) == (before, tries)


def test_the_champion_in_office_meets_the_others_as_it_decides(home, champion) -> None:
    """With the allocator that it was put in office with, be it by hand; and without one, with the desk's."""
    from openbell.app.tournament_venue import entrant_in_office

    version = names(home)["ridge+equal"]
    by_hand = promote(home, version, reason="To see", weighting="risk_parity", session=later(champion, home, 1))
    assert entrant_in_office(home, by_hand) == "ridge+risk_parity"
    plain = replace(by_hand.record, payload={**by_hand.payload, "candidate": "ridge", "weighting": None})
    assert entrant_in_office(home, replace(by_hand, record=plain)) == "ridge+hrp"
    assert entrant_in_office(home, None) is None


# Failures


def fragile_catalogue():
    """Everything declared, and a model that raises the second time that it is fitted: in fold 2."""
    from sklearn.base import BaseEstimator, RegressorMixin

    fits: list[int] = []

    class Fragile(RegressorMixin, BaseEstimator):
        def fit(self, x, y, sample_weight=None):
            fits.append(len(y))
            if len(fits) > 1:
                raise RuntimeError("no convergence in fold 2")
            return self

        def predict(self, x):
            return x[:, 0]

    @model(handles_missing=True)
    def fragile() -> Fragile:
        """A model that breaks."""
        return Fragile()

    found = discover()
    return replace(found, models=MappingProxyType({**found.models, "fragile": fragile[0]}))


def test_a_candidate_that_raises_is_a_row_and_an_exit_code(champion, say, tmp_path, monkeypatch, open_home) -> None:
    """Exit code 3: the others were judged, with the champion in office among them, though nobody asked for it.

    A second tournament of the same session, which another one has made a champion for, meets that champion.
    """
    path = arenas.copied(champion, tmp_path / "home")
    monkeypatch.setattr(home_module, "discover", fragile_catalogue)
    words = ("--candidates", "fragile", "--allocators", "equal")
    said = say("tournament", "stocks", "--home", path, "--as-of", champion.session, *words)
    assert said.code == 3
    (line,) = [each for each in said.out.splitlines() if each.startswith("Failed: ")]
    assert line.startswith("Failed: fragile (training): Fold 2: ")
    assert "RuntimeError: no convergence in fold 2" in line
    folder = folder_of(champion, path)
    (row,) = csv.DictReader(io.StringIO((folder / "failures.csv").read_text()))
    assert (row["entrant"], row["where"]) == ("fragile", "training")
    for name in ("model_selection_report.html", "model_selection_report.md"):
        assert "no convergence in fold 2" in (folder / name).read_text()
    judged = pl.read_csv(folder / "backtest_comparison.csv")["entrant"].to_list()
    assert judged == ["ridge+equal"]
    home = open_home(path)
    record = home.journal.records(kind="tournament")[-1]
    assert record.payload["incumbent"] == champion.held.contest.champion
    assert [each["entrant"] for each in record.payload["failures"]] == ["fragile"]
    assert len(promotions(home)) == 1


def test_a_tampered_champion_speaks_no_more(home, champion, tmp_path) -> None:
    """check 57: no predecessor, so no view; the run goes on and says why."""
    (record,) = promotions(home)
    file = next((home.models / record.payload["model"]).glob("model*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    done = run_stocks(home, later(champion, home, 3), out=tmp_path / "live")
    assert done.exit_code == 0
    assert not done.decided.forecast.has_view
    assert f"The champion {record.payload['version']} cannot be loaded." in " ".join(done.decided.alerts)


# Killed


#: Of the entries: the hold-out, the tournament, the promotion. Of the files: evidence, report, list of candidates.
PLACES = [
    *(("append-before", number) for number in (0, 1, 2)),
    *(("append-after", number) for number in (0, 1, 2)),
    *(("write-after", number) for number in (0, 9, 20, 28, 29, 30)),
    *(("rename", number) for number in (0, 3, 12, 25)),
    *(("tick", number) for number in (0, 3, 8, 30, 60)),
]
#: Everything is done but the record: the error is spent, the versions are registered, nobody knows.
WORST = ("append-before", 1)


def check_killed(place: str, number: int, champion: Arena, tmp_path: Path, open_home) -> None:
    path = arenas.unheld(champion, tmp_path / "home")
    assert killed("tournament", path, tmp_path / "out", champion.session, place, number)
    again = arenas.held(path, champion.session).held
    assert again.exit_code == 0
    assert arenas.left(path) == arenas.left(champion.path), "the same files, byte for byte, and nothing else"
    home, undisturbed = open_home(path), open_home(champion.path)
    # Another test may have decided a day in the undisturbed home; a tournament is not made of that.
    assert arenas.told(home) == [each for each in arenas.told(undisturbed) if each[0] not in ("data", "decision")]
    assert home.trials.plans("stocks", champion.session.year) == {champion.held.contest.plan: 0.01}
    assert home.trials.table("stocks").equals(undisturbed.trials.table("stocks"))
    assert names(home) == names(undisturbed)
    assert home.tracker.alias("stocks", "champion").label == again.promoted.version
    home.journal.verify()


def test_a_killed_tournament_goes_on(champion, tmp_path, open_home) -> None:
    check_killed(*WORST, champion, tmp_path, open_home)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "number"), [each for each in PLACES if each != WORST])
def test_a_tournament_killed_anywhere_goes_on(place, number, champion, tmp_path, open_home) -> None:
    check_killed(place, number, champion, tmp_path, open_home)


# By words


def test_the_champion_is_told_replaced_and_brought_back_by_words(champion, say, tmp_path, open_home) -> None:
    path = arenas.copied(champion, tmp_path / "home")
    version, at = champion.held.promoted.version, ("--home", path)
    told = json.loads(say("champion", "stocks", *at, "--json").out)
    assert (told["champion"], told["by"], told["weighting"]) == (version, "tournament", "equal")
    assert told["plan"] == champion.held.contest.plan
    first = say("rollback", "stocks", *at, "--reason", "No")
    assert (first.code, "no previous one" in first.err) == (1, True)
    other = names(open_home(path))["ridge+inverse_volatility"]
    promoted = json.loads(say("promote", "stocks", other, *at, "--reason", "To see", "--json").out)
    assert (promoted["weighting"], promoted["previous"]) == ("inverse_volatility", version)
    assert promoted["training"]["plan"] == champion.held.contest.plan
    back = say("rollback", "stocks", *at, "--reason", "It lost")
    assert back.code == 0
    assert version in back.out
    spoken = say("champion", "stocks", *at).out
    assert "Weights: equal." in spoken
    assert "deflated_sharpe" in spoken


def test_the_hold_out_is_shown_and_opened_once(champion, say, tmp_path, open_home) -> None:
    """End to end with the real evaluation: the champion alone, over the held-out sessions alone, on record."""
    path = arenas.copied(champion, tmp_path / "home")
    at, first = ("--home", path), champion.held.contest.holdout_first
    shown = json.loads(say("holdout", "show", "stocks", *at, "--json").out)
    assert (shown["first"], shown["openings"]) == (first.isoformat(), [])
    opened = say("holdout", "open", "stocks", *at, "--reason", "Before real money", "--json")
    assert opened.code == 0
    told = json.loads(opened.out)
    assert told["champion"] == champion.held.promoted.version
    found = told["result"]
    home = open_home(path)
    assert first.isoformat() <= found["first"] <= home.sessions.shift(first, 5).isoformat()
    assert found["last"] == home.stored[1].isoformat()
    assert found["sessions"] == len(home.sessions.between(dt.date.fromisoformat(found["first"]), home.stored[1]))
    assert found["sharpe_lower"] < found["sharpe"] < found["sharpe_upper"]
    assert len(home.journal.records(kind="holdout_result")) == 1
    again = say("holdout", "open", "stocks", *at, "--reason", "Once more")
    assert again.code == 1
    assert "(Before real money)" in again.err
    assert "Before real money" in say("holdout", "show", "stocks", *at).out


@pytest.mark.parametrize(
    ("words", "taught"),
    [
        (("tournament",), ("stocks", "Let models and allocators meet")),
        (
            ("tournament", "stocks"),
            (
                "--as-of", "--candidates", "--allocators", "--baseline", "--trials", "--time-budget", "--jobs",
                "--home", "Exit codes", "hold-out", "run the same command again",
            ),
        ),
    ],
)  # fmt: skip
def test_help_teaches(words, taught, say) -> None:
    said = say(*words, "--help")
    assert said.code == 0
    missing = [each for each in taught if each not in " ".join(said.out.split())]
    assert missing == []


def test_what_is_asked_reaches_the_tournament(nobody, monkeypatch, say, tmp_path) -> None:
    """Each option of the command line, as it is typed. Kills: an option that is read and handed to nobody."""
    asked: list[Asked] = []

    def holds(home, session, given, progress):
        asked.append(given)
        raise Refused("enough")

    monkeypatch.setattr("openbell.app.tournament.hold_stocks", holds)
    words = ("--candidates", " ridge , xgboost_tuned", "--allocators", "equal,hrp", "--baseline", "naive")
    more = ("--trials", "7", "--time-budget", "1.5h", "--jobs", "3")
    for each in ((*words, *more), ()):
        assert say("tournament", "stocks", "--home", nobody.path, "--as-of", nobody.session, *each).code == 1
    assert asked == [Asked(("ridge", "xgboost_tuned"), ("equal", "hrp"), "naive", 7, 5400.0, 3), Asked()]
