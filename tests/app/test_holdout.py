"""The hold-out: set once, growing, and opened once per champion, on record before anybody looks."""

from __future__ import annotations

import datetime as dt

import pytest
import trained_homes as tiny

from openbell.app.holdout import holdout, holdout_first, open_holdout, span
from openbell.app.home import Home
from openbell.app.promotion import promote
from openbell.core.errors import BadInput, DataMissing, Refused


@pytest.fixture
def home(edge_home, open_home) -> Home:
    return open_home(edge_home)


@pytest.fixture
def day(home, trained_with_edge):
    return lambda number: tiny.later(home, trained_with_edge, number)


def found(value: float = 1.0):
    return lambda: {"active_return": value}


def test_nothing_is_held_out_before_the_first_tournament(home, day) -> None:
    records = home.journal.records()
    assert holdout_first(home, "stocks", day(0)) is None
    assert holdout(home) is None
    with pytest.raises(Refused, match="its first tournament sets one"):
        open_holdout(home, "To see", found())
    assert home.journal.records() == records


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_it_is_the_last_share_of_the_decision_sessions(share, edge_home, trained_with_edge, open_home) -> None:
    """Counted by hand: sessions after the warm-up, up to the tournament's own, the last part rounded up."""
    home = open_home(edge_home, f"tournament.holdout_share={share}")
    session = trained_with_edge.trained_on
    first = holdout_first(home, "stocks", session, make=True)
    dates = [each for each in home.sessions.dates if home.stored[0] <= each <= session][1 + 60 :]
    held = [each for each in dates if each >= first]
    assert len(held) - 1 < share * len(dates) <= len(held)
    (record,) = home.journal.records(kind="holdout")
    assert record.payload == {"desk": "stocks", "first": first.isoformat(), "share": share}
    assert record.at == home.as_of(session)


def test_the_years_that_are_looked_back_on_are_cut_and_not_the_data(edge_home, trained_with_edge, open_home) -> None:
    """Kills: 15 % of all the data there are, where a tournament looks back on a year of them."""
    home = open_home(edge_home, "tournament.history_years=1.0")
    first = holdout_first(home, "stocks", trained_with_edge.trained_on, make=True)
    assert len(home.sessions.between(first, trained_with_edge.trained_on)) == 38  # of 252, rounded up


def test_it_is_set_once_and_grows(home, day, open_home, edge_home) -> None:
    """Later tournaments, other shares and other moments: the same first session, and no second record."""
    first = holdout_first(home, "stocks", day(0), make=True)
    assert holdout_first(home, "stocks", day(9), make=True) == first
    assert holdout_first(home, "stocks", day(9)) == first
    other = open_home(edge_home, "tournament.holdout_share=0.5")
    assert holdout_first(other, "stocks", day(9), make=True) == first
    assert len(home.journal.records(kind="holdout")) == 1
    there = holdout(home)
    assert there is not None
    assert (there.first, there.last, there.openings) == (first, home.stored[1], ())
    assert there.sessions == len(home.sessions.between(first, home.stored[1]))


def test_a_tournament_of_an_earlier_moment_reads_nothing_of_its_own_future(home, day) -> None:
    """Kills: a view up to the hold-out, which for an earlier tournament lies after its own moment."""
    first = holdout_first(home, "stocks", day(0), make=True)
    earlier = home.sessions.shift(first, -20)
    assert holdout_first(home, "stocks", earlier, make=True) == earlier


def test_desks_hold_out_their_own(home, day) -> None:
    holdout_first(home, "stocks", day(0), make=True)
    assert holdout_first(home, "signals", day(0)) is None


def test_too_short_a_history_is_refused(home) -> None:
    with pytest.raises(DataMissing, match="within the 60 sessions of warm-up"):
        holdout_first(home, "stocks", home.sessions.shift(home.stored[0], 61), make=True)
    assert home.journal.records(kind="holdout") == []


def test_it_is_opened_once_for_a_champion(home, day) -> None:
    first = holdout_first(home, "stocks", day(0), make=True)
    done = open_holdout(home, " The  year is over ", found(0.02))
    assert (done.first, done.last, done.looks) == (first, home.stored[1], 1)
    assert done.result == {"active_return": 0.02}
    assert done.reason == "The year is over"
    records = home.journal.records()
    with pytest.raises(Refused, match=f"opened for lightgbm@.* on {done.session} already \\(The year is over\\)") as no:
        open_holdout(home, "Once more", found(0.5))
    assert no.value.exit_code == 1
    assert home.journal.records() == records
    there = holdout(home)
    assert there is not None
    assert there.openings == (done,)
    assert there.as_json()["openings"][0]["result"] == {"active_return": 0.02}


def test_another_champion_is_a_second_look_and_counted_as_one(home, day) -> None:
    """Choosing between two by what the hold-out says of each is a selection on it: the number of looks is told."""
    holdout_first(home, "stocks", day(0), make=True)
    open_holdout(home, "First", found(), session=day(3))
    ridge = next(each.label for each in home.tracker.versions("stocks") if each.candidate == "ridge")
    promote(home, ridge, reason="Another", session=day(5))
    second = open_holdout(home, "Second", found(), session=day(7))
    assert (second.champion, second.looks) == (ridge, 2)
    assert second.last == day(6)


def test_the_look_is_on_record_before_it_is_done(home, day) -> None:
    """A look that is killed is a look: it is on record, and the repeat ends it on the same sessions."""
    holdout_first(home, "stocks", day(0), make=True)

    def looks_and_dies() -> dict[str, float]:
        assert len(home.journal.records(kind="holdout_opened")) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_holdout(home, "To see", looks_and_dies, session=day(4))
    there = holdout(home)
    assert there is not None
    assert [each.result for each in there.openings] == [None]
    assert span(home)[1] == day(3)
    done = open_holdout(home, "Again", found(), session=day(4))
    assert (done.reason, done.last, done.result) == ("To see", day(3), {"active_return": 1.0})
    assert len(home.journal.records(kind="holdout_opened")) == 1


def test_what_was_looked_at_holds_nothing_out_any_more(home, day) -> None:
    """The next tournament begins a new hold-out at the opening, which is empty at first; nobody opens an empty one."""
    first = holdout_first(home, "stocks", day(0), make=True)
    opened = open_holdout(home, "To see", found())
    assert holdout_first(home, "stocks", day(9)) == first, "a look without a tournament begins none"
    session = home.sessions.shift(home.stored[1], 1)
    assert holdout_first(home, "stocks", session, make=True) == opened.session == session
    assert holdout_first(home, "stocks", session, make=True) == session
    assert len(home.journal.records(kind="holdout")) == 2
    there = holdout(home)
    assert there is not None
    assert there.sessions == 0
    promote(home, next(e.label for e in home.tracker.versions("stocks") if e.candidate == "ridge"), reason="New")
    with pytest.raises(Refused, match="no session of it is stored yet"):
        open_holdout(home, "Too early", found())
    assert len(home.journal.records(kind="holdout_opened")) == 1


def test_without_a_champion_or_a_reason_nothing_is_opened(plain_home, open_home, trained_without_edge) -> None:
    home = open_home(plain_home)
    holdout_first(home, "stocks", trained_without_edge.trained_on, make=True)
    with pytest.raises(Refused, match="Nobody is in office"):
        open_holdout(home, "To see", found())
    with pytest.raises(BadInput, match="needs a reason"):
        open_holdout(home, " ", found())
    assert home.journal.records(kind="holdout_opened") == []


def test_a_result_that_is_no_number_is_refused_and_the_look_stays(home, day) -> None:
    holdout_first(home, "stocks", day(0), make=True)
    with pytest.raises(BadInput, match="cannot be recorded"):
        open_holdout(home, "To see", found(float("nan")))
    assert len(home.journal.records(kind="holdout_opened")) == 1
    assert open_holdout(home, "To see", found(0.1)).result == {"active_return": 0.1}


def test_the_dates_are_plain(home, day) -> None:
    holdout_first(home, "stocks", day(0), make=True)
    assert all(isinstance(each, dt.date) for each in span(home))
