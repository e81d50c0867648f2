"""Who is in office when: promotions and rollbacks in time, broken files, kills, and what the outside is told."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import trained_homes as tiny

from openbell.app import production
from openbell.app.daily import decide_stocks, record, run_stocks
from openbell.app.home import Home
from openbell.app.production import appoint, champion_told, in_office, latest, promotions
from openbell.app.promotion import next_open_session, promote, rollback
from openbell.app.training import bound_desk
from openbell.core.errors import BadInput, DataMissing, IntegrityBroken, Refused
from openbell.store.artifacts import manifest_digest

WHY = "Somebody wants it"


def labels(home: Home) -> dict[str, str]:
    """Registered versions by candidate."""
    return {each.candidate: each.label for each in home.tracker.versions("stocks")}


def aliases(home: Home) -> tuple[str | None, str | None]:
    found = [home.tracker.alias("stocks", name) for name in ("champion", "previous")]
    return tuple(each.label if each else None for each in found)  # type: ignore[return-value]


def office(home: Home, session) -> str | None:
    found = in_office(home, home.as_of(session))
    return found.version if found else None


def spoil(home: Home, version: str) -> None:
    """Change one byte of every file of the model, as bad memory or a bad neighbour would."""
    folder = home.models / home.tracker.version("stocks", version).folder
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0xFF
            path.write_bytes(content)


@pytest.fixture
def home(edge_home, open_home) -> Home:
    """`lightgbm` is in office since the training's own session; nothing was executed."""
    return open_home(edge_home)


@pytest.fixture
def day(home, trained_with_edge):
    return lambda number: tiny.later(home, trained_with_edge, number)


@pytest.fixture
def both(home, day) -> Home:
    """`ridge` is in office since the fifth session after the training, and `lightgbm` was before it."""
    promote(home, labels(home)["ridge"], reason=WHY, session=day(5))
    return home


def test_each_decision_meets_the_champion_of_its_own_past(both, day) -> None:
    """Kills: the last champion there is, whenever it began; and a change of today that turns back to yesterday."""
    first, second = labels(both)["lightgbm"], labels(both)["ridge"]
    assert [office(both, day(number)) for number in (-1, 0, 4, 5, 11)] == [None, first, first, second, second]
    decided = [decide_stocks(both, day(number), 1e5, both.journal) for number in (4, 5)]
    assert [each.forecast.model for each in decided] == [first, second]
    assert all(WHY not in " ".join(each.decision.why) for each in decided[:1])
    assert f"{second} was promoted by hand and is in office since {day(5)}: {WHY}." in decided[1].decision.why
    assert decided[1].decision.made_of["model"] == manifest_digest(
        both.models / both.tracker.version("stocks", second).folder
    )


def test_the_same_promotion_twice_is_one(both, day) -> None:
    records, published = both.journal.records(), (both.production / "champion_metadata.json").read_bytes()
    found = promote(both, labels(both)["ridge"], reason="Another reason", session=day(7))
    assert found.record == records[-1]
    assert both.journal.records() == records
    assert (both.production / "champion_metadata.json").read_bytes() == published


def test_a_version_that_comes_back_is_a_new_promotion(both, day) -> None:
    """Kills: a key without what went before it, by which the third change would be the first one and be lost."""
    promote(both, labels(both)["lightgbm"], reason=WHY, session=day(8))
    assert [each.payload["candidate"] for each in promotions(both)] == ["lightgbm", "ridge", "lightgbm"]
    assert office(both, day(8)) == labels(both)["lightgbm"]
    assert aliases(both) == (labels(both)["lightgbm"], labels(both)["ridge"])


def test_rollbacks_undo_one_change_after_the_other(both, day) -> None:
    """Also where a version came back in between: undoing never goes round in a circle."""
    first, second = labels(both)["lightgbm"], labels(both)["ridge"]
    promote(both, first, reason=WHY, session=day(6))
    back = rollback(both, reason="It lost", session=day(7))
    assert (back.version, aliases(both)) == (second, (second, first))
    assert back.payload["by"] == "rollback"
    assert "was put back in office by a rollback" in back.sentence
    assert rollback(both, reason="Still", session=day(8)).version == first
    assert aliases(both) == (first, None)
    with pytest.raises(Refused, match="the first champion"):
        rollback(both, reason="Again", session=day(9))
    assert [office(both, day(number)) for number in (4, 5, 6, 7, 8)] == [first, second, first, second, first]


def test_nobody_to_roll_back(plain_home, open_home) -> None:
    with pytest.raises(Refused, match="nothing to roll back"):
        rollback(open_home(plain_home), reason=WHY)


def test_a_tampered_model_is_stood_in_for_by_the_previous_one(both, day, tmp_path, caplog) -> None:
    """check 57: the run goes on with the model before, says so everywhere, and never with a wrong one."""
    first, second = labels(both)["lightgbm"], labels(both)["ridge"]
    spoil(both, second)
    with caplog.at_level(logging.WARNING, logger="openbell.notify"):
        done = run_stocks(both, day(5), execute=True, out=tmp_path)
    assert done.exit_code == 0
    assert done.executed
    assert done.decided.forecast.model == first
    said = f"The champion {second} cannot be loaded."
    assert any(said in line and "was changed" in line for line in done.decided.decision.why)
    assert f"The previous champion {first} stands in for it." in done.decided.decision.why
    assert "The champion cannot be loaded" in caplog.text
    assert said in (tmp_path / day(5).isoformat() / "report.html").read_text()
    (alert,) = both.journal.records(kind="alert")
    assert alert.payload["why"] == list(done.decided.alerts)
    assert str(both.path) not in json.dumps(done.decided.decision.why), "the home's own place is in no output"
    record(both, done.decided, True)
    assert len(both.journal.records(kind="alert")) == 1, "the same decision again alerts no second time"


def test_a_model_that_is_gone_and_nobody_to_stand_in_is_no_view(both, day, tmp_path) -> None:
    """Both broken: the portfolio without a view, said with both reasons; no crash."""
    shutil.rmtree(both.models / both.tracker.version("stocks", labels(both)["ridge"]).folder)
    spoil(both, labels(both)["lightgbm"])
    done = run_stocks(both, day(5), out=tmp_path)
    assert not done.decided.forecast.has_view
    why = " ".join(done.decided.decision.why)
    assert f"No view: The champion {labels(both)['ridge']} cannot be loaded." in why
    assert f"The previous champion {labels(both)['lightgbm']} cannot be loaded." in why
    assert "Nobody can stand in for it" in why
    assert done.decided.decision.made_of["model"] == "no view"
    assert "cannot be loaded, so its evidence is not shown" in (tmp_path / str(day(5)) / "report.html").read_text()
    assert decide_stocks(both, day(4), 1e5, both.journal).alerts, "a decision of the first one's time meets it too"


def test_all_models_gone_is_no_view(home, day) -> None:
    home.models.rename(home.path / "elsewhere")
    decided = decide_stocks(home, day(0), 1e5, home.journal)
    assert not decided.forecast.has_view
    assert "no manifest.json" in decided.alerts[0]


def test_another_model_in_its_place_is_not_used(both, day) -> None:
    """A whole, loadable model with its own manifest in the champion's folder: the registered hash decides."""
    places = [both.models / both.tracker.version("stocks", labels(both)[name]).folder for name in ("ridge", "lightgbm")]
    shutil.rmtree(places[0])
    shutil.copytree(places[1], places[0])
    decided = decide_stocks(both, day(5), 1e5, both.journal)
    assert decided.forecast.model == labels(both)["lightgbm"]
    assert "is not the registered one" in decided.alerts[0]


def test_an_alias_that_was_moved_by_hand_stops_the_run(both, day, tmp_path) -> None:
    """The registry and the journal must name the same version; exit code 4, and no order."""
    both.tracker.promote("stocks", both.tracker.version("stocks", labels(both)["lightgbm"]).version)
    with pytest.raises(IntegrityBroken, match=r"alias `champion` names lightgbm.*promote stocks ridge") as broken:
        run_stocks(both, day(6), execute=True, out=tmp_path / "live")
    assert broken.value.exit_code == 4
    assert both.journal.records(kind=("order", "decision")) == []
    assert not (tmp_path / "live").exists()
    assert office(both, day(4)) == labels(both)["lightgbm"], "the past does not rest on today's alias"
    promote(both, labels(both)["ridge"], reason=WHY)
    assert aliases(both) == (labels(both)["ridge"], labels(both)["lightgbm"])


STEPS = ["tracker.point", "publish"]


@pytest.mark.parametrize("step", STEPS)
def test_a_promotion_killed_after_its_record_is_ended_by_the_same_command(home, day, step, monkeypatch) -> None:
    """The journal is the truth; the registry and the folder follow, and nothing is recorded twice."""
    with monkeypatch.context() as patch:
        _kill(patch, step)
        with pytest.raises(KeyboardInterrupt):
            promote(home, labels(home)["ridge"], reason=WHY, session=day(5))
    records = home.journal.records()
    if step == "tracker.point":
        with pytest.raises(IntegrityBroken, match="ends it"):
            in_office(home, home.as_of(day(6)))
    promote(home, labels(home)["ridge"], reason=WHY, session=day(5))
    assert home.journal.records() == records
    assert office(home, day(6)) == labels(home)["ridge"]
    assert aliases(home) == (labels(home)["ridge"], labels(home)["lightgbm"])
    assert json.loads((home.production / "champion_metadata.json").read_text())["version"] == labels(home)["ridge"]


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_rollback_is_ended_and_not_made_twice(both, day, step, monkeypatch) -> None:
    """Kills: the repeat of a killed rollback that goes one champion further back."""
    promote(both, labels(both)["lightgbm"], reason=WHY, session=day(6))
    with monkeypatch.context() as patch:
        _kill(patch, step)
        with pytest.raises(KeyboardInterrupt):
            rollback(both, reason="It lost", session=day(7))
    records = both.journal.records()
    if step == "tracker.point":
        assert rollback(both, reason="It lost", session=day(7)).version == labels(both)["ridge"]
        assert both.journal.records() == records
    else:
        promote(both, labels(both)["ridge"], reason=WHY, session=day(7))
    assert aliases(both) == (labels(both)["ridge"], labels(both)["lightgbm"])
    assert json.loads((both.production / "champion_metadata.json").read_text())["version"] == labels(both)["ridge"]


def _kill(patch, step: str) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    if step == "publish":
        patch.setattr(production, "publish", dies)
    else:
        patch.setattr("openbell.store.tracker.Tracker.point", dies)


def test_what_the_outside_reads_is_the_champion(both, day) -> None:
    """`production/`: the model with its manifest, byte for byte, and the promised words; nothing half-made beside."""
    version = both.tracker.version("stocks", labels(both)["ridge"])
    copy, own = both.production / "champion_model", both.models / version.folder
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {p.name: p.read_bytes() for p in own.iterdir()}
    told = json.loads((both.production / "champion_metadata.json").read_text())
    assert {"model_name", "optimizer", "weighted_score", "metrics", "selection_date", "selection_reason"} <= set(told)
    assert (told["model_name"], told["version"], told["manifest"]) == ("ridge", version.label, version.manifest_hash)
    assert told["selection_date"] == day(5).isoformat()
    assert told["selection_reason"].startswith(f"{WHY}.")
    assert told["metrics"]["dates"] > 0
    assert sorted(each.name for each in both.production.iterdir()) == ["champion_metadata.json", "champion_model"]


def test_a_copy_that_was_changed_or_left_half_made_is_made_anew(both, day) -> None:
    (both.production / "champion_model" / "manifest.json").write_text("{}")
    left = both.production / ".champion_model.killed"
    left.mkdir()
    promote(both, labels(both)["ridge"], reason=WHY)
    version = both.tracker.version("stocks", labels(both)["ridge"])
    assert manifest_digest(both.production / "champion_model") == version.manifest_hash
    assert not left.exists()


def test_a_broken_version_is_not_put_in_office(both, day) -> None:
    """Neither by a promotion nor by a rollback; the record, the alias and the copy stay as they were."""
    spoil(both, labels(both)["lightgbm"])
    records, named = both.journal.records(), aliases(both)
    for change in (
        lambda: promote(both, labels(both)["lightgbm"], reason=WHY, session=day(6)),
        lambda: rollback(both, reason=WHY, session=day(6)),
    ):
        with pytest.raises(IntegrityBroken, match="was changed"):
            change()
    assert (both.journal.records(), aliases(both)) == (records, named)


def test_the_weighting_that_was_tested_is_the_one_that_is_used(home, day, tmp_path) -> None:
    """Kills: a live allocation by the desk's setting where another one was back-tested and promoted."""
    version = home.tracker.version("stocks", labels(home)["ridge"])
    by = {"by": "tournament", "why": ["It survived."], "weighting": "inverse_volatility"}
    appoint(home, version, at=home.as_of(day(2)), metrics={"sharpe": 1.2}, weighted_score=0.7, plan="p" * 64, **by)
    decided = decide_stocks(home, day(2), 1e5, home.journal)
    assert decided.decision.details["weighting"] == "inverse_volatility"
    assert decide_stocks(home, day(1), 1e5, home.journal).decision.details["weighting"] == "equal"
    assert bound_desk(home).keywords["weighting"] == "equal"
    told = json.loads((home.production / "champion_metadata.json").read_text())
    assert (told["optimizer"], told["weighted_score"], told["metrics"], told["plan"]) == (
        "inverse_volatility", 0.7, {"sharpe": 1.2}, "p" * 64,
    )  # fmt: skip
    assert "was promoted by the tournament" in " ".join(decided.decision.why)
    assert decided.evidence is None
    promote(home, labels(home)["lightgbm"], reason=WHY, session=day(3))
    back = promote(home, labels(home)["ridge"], reason=WHY, session=day(4))
    assert back.weighting == "inverse_volatility", "by hand it comes back as it was tested"
    other = promote(home, labels(home)["ridge"], reason=WHY, session=day(5), weighting="inverse_vol")
    assert other.record == back.record, "the same allocator by its alias"
    changed = promote(home, labels(home)["ridge"], reason=WHY, session=day(5), weighting="hrp")
    assert (changed.weighting, changed.payload["previous"]) == ("hrp", labels(home)["lightgbm"])


@pytest.mark.parametrize(
    ("wanted", "error", "sentence"),
    [
        ("lightgbm@2012-02-27#00000000", BadInput, "Did you mean `lightgbm@2012-02-27#"),
        ("99", BadInput, "There is no version"),
    ],
)
def test_an_unknown_version_is_refused_with_the_nearest(home, wanted, error, sentence) -> None:
    records = home.journal.records()
    with pytest.raises(error, match=sentence):
        promote(home, wanted, reason=WHY)
    assert home.journal.records() == records


def test_a_promotion_needs_a_reason_a_known_allocator_and_a_session(home, day) -> None:
    records = home.journal.records()
    for more, sentence in (
        ({"reason": "  "}, "needs a reason"),
        ({"reason": WHY, "weighting": "hpr"}, "Did you mean `hrp`"),
        ({"reason": WHY, "session": day(12).replace(year=2030)}, "is not a session|outside|end on"),
    ):
        with pytest.raises(BadInput, match=sentence):
            promote(home, labels(home)["ridge"], **more)
    assert home.journal.records() == records


def test_without_a_version_it_is_what_survived_the_latest_training(
    home, trained_without_edge, open_home, tmp_path
) -> None:
    plain_home = tiny.copied(trained_without_edge, tmp_path / "plain")
    assert promote(home, reason=WHY).version == labels(home)["lightgbm"]
    with pytest.raises(Refused, match=r"No candidate survived .* name it: `ridge@"):
        promote(open_home(plain_home), reason=WHY)
    with pytest.raises(DataMissing, match="There is no journal"):
        promote(open_home(tmp_path / "nowhere"), reason=WHY)
    assert not (tmp_path / "nowhere").exists()


def test_what_did_not_survive_is_promoted_with_that_said(plain_home, trained_without_edge, open_home, tmp_path) -> None:
    """By hand, past the gate: the decision names it, and says whose back-test is shown."""
    home = open_home(plain_home)
    session = trained_without_edge.trained_on
    found = promote(home, labels(home)["ridge"], reason="I insist", session=session)
    assert found.payload["why"][0] == "I insist."
    assert "`ridge` did not survive the test of its training" in found.payload["why"][1]
    assert "without a view, not of this model" in found.payload["why"][2]
    done = run_stocks(home, session, out=tmp_path)
    assert done.decided.forecast.model == labels(home)["ridge"]
    assert "promoted by hand" in (tmp_path / session.isoformat() / "report.html").read_text()


def test_the_past_is_not_changed_in_hindsight(fortnight, open_home, tmp_path) -> None:
    """Executed sessions, earlier changes and the model's own training bound the moment; the default is after them."""
    home = open_home(tiny.copied(fortnight.tiny, tmp_path / "home"))
    last = fortnight.days[-1].session
    with pytest.raises(Refused, match=f"decision for {last} was executed already"):
        promote(home, labels(home)["ridge"], reason=WHY, session=last)
    after = home.sessions.shift(last, 1)
    promote(home, labels(home)["ridge"], reason=WHY, session=after)
    later = home.sessions.shift(after, 2)
    promote(home, labels(home)["lightgbm"], reason=WHY, session=later)
    with pytest.raises(Refused, match="would rewrite what was before it"):
        promote(home, labels(home)["ridge"], reason=WHY, session=after)
    assert next_open_session(home) == home.sessions.shift(home.stored[1], 1)
    version = home.tracker.version("stocks", labels(home)["ridge"])
    with pytest.raises(Refused, match="Let it begin later"):
        appoint(home, version, at=home.as_of(home.sessions.shift(fortnight.tiny.trained_on, -1)), by="hand", why=[WHY])


def test_the_next_open_session_is_after_the_last_execution(home) -> None:
    """The decision of the session after the latest bars was executed: a change begins with the one after that."""
    last = home.stored[1]
    home.journal.append(
        "execution", {"desk": "stocks", "session": str(home.sessions.shift(last, 1)), "decision": "x"},
        at=home.as_of(home.sessions.shift(last, 1)),
    )  # fmt: skip
    assert next_open_session(home) == home.sessions.shift(last, 2)


def test_who_is_in_office_is_told(both, day, trained_without_edge, open_home) -> None:
    told = champion_told(both)
    assert (told["champion"], told["since"], told["by"], told["previous"]) == (
        labels(both)["ridge"], both.as_of(day(5)).isoformat(), "hand", labels(both)["lightgbm"],
    )  # fmt: skip
    assert champion_told(both, day(4))["champion"] == labels(both)["lightgbm"]
    before = champion_told(both, day(-1))
    assert before["champion"] is None
    assert f"The first champion begins on {day(0)}" in before["says"]
    plain = open_home(trained_without_edge.path)
    assert "nobody ever was" in champion_told(plain)["says"]
    assert latest(plain) is None


def test_training_puts_nobody_in_office(plain_home, trained_without_edge, open_home) -> None:
    home = open_home(plain_home)
    assert promotions(home) == []
    assert aliases(home) == (None, None)
    why = " ".join(decide_stocks(home, trained_without_edge.trained_on, 1e5, home.journal).decision.why)
    assert "nobody is in office" in why
    assert "`openbell tournament stocks`" in why


def test_what_survived_a_training_gives_no_view_before_it_is_promoted(edge_home, tmp_path, open_home) -> None:
    """The same home whose champion was never promoted: kills a daily run that takes the training's word for it."""
    home = open_home(edge_home)
    as_before = [each for each in home.journal.records() if each.kind != "promotion"]
    other = Path(tmp_path / "journal.db")
    tiny.close(home)
    again = open_home(edge_home, f"store.journal=sqlite:///{other}")
    for each in as_before:
        again.journal.append(each.kind, each.payload, at=each.at, key=each.key)
    session = again.sessions.shift(again.stored[1], 1)
    decided = decide_stocks(again, session, 1e5, again.journal)
    assert not decided.forecast.has_view
    assert "survived it), and training promotes nobody" in " ".join(decided.decision.why)
