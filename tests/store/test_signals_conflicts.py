"""Contrary signals and too many of one direction: by hand, in every order, and against a model in plain Python."""

import itertools
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import Refused
from openbell.core.signal import Call, Status
from openbell.store.signal_conflicts import Side, meetings
from openbell.store.signals import Signals

sys.path.insert(0, str(Path(__file__).parent))
from signal_cases import AT, DAY, HOUR, made

S = Status


@pytest.fixture
def store(journal_url):
    with Signals.open(journal_url) as opened:
        yield opened


PAIRS = [
    (0.70, 0.65, "SUPERSEDED", "SUPERSEDED"),
    (0.75, 0.65, "ACTIVE", "SUPERSEDED"),  # 0.75 - 0.65 is below 0.1 in binary
    (0.749, 0.65, "SUPERSEDED", "SUPERSEDED"),  # both are 0.10 apart once rounded to the request's DECIMAL
    (0.60, 0.90, "SUPERSEDED", "ACTIVE"),
    (0.80, 0.80, "SUPERSEDED", "SUPERSEDED"),
]


@pytest.mark.parametrize("gap", [0 * HOUR, HOUR])
def test_two_contrary_signals_by_hand_in_any_order(store, gap):
    """Check S3.24. Kills: the rounded confidence, the later one winning, a loser left active, one that never hears."""
    for turn, (buy, sell, one, other) in enumerate(PAIRS):
        for way in ("buy first", "sell first", "together", "together turned"):
            symbol = f"{turn}{way.replace(' ', '')}"[:10]
            signals = [made(symbol, "BUY", buy), made(symbol, "SELL", sell, model="m2", at=AT + gap)]
            if way in ("sell first", "together turned"):
                signals.reverse()
            parts = [signals] if way.startswith("together") else [[each] for each in signals]
            told = [each for part in parts for each in store.write(part, at=AT + gap)]
            found = {store.get(each.id).signal.call: store.get(each.id) for each in told}
            assert (found[Call.BUY].status, found[Call.SELL].status) == (one, other), (turn, way)
            for each in found.values():
                (meeting,) = [step for step in store.events(each.id) if step.what == "conflict"]
                against = found[Call.SELL if each.signal.call is Call.BUY else Call.BUY]
                assert (meeting.other_id, meeting.to_status) == (against.id, each.status)
                assert (meeting.confidence, meeting.other_confidence) == (
                    each.signal.confidence, against.signal.confidence,
                )  # fmt: skip
            assert len(store.active(symbol, AT + gap)) == [one, other].count("ACTIVE")


def test_what_was_written_says_what_it_ended(store):
    first, second = store.write([made(), made("MSFT")], at=AT)
    held, won = store.write([made(call="SELL", model="m2"), made("MSFT", "SELL", 0.85, model="m2")], at=AT)
    assert (first.status, first.why) == (S.ACTIVE, f"It is valid until {(AT + DAY).isoformat()}.")
    assert held.why == "SELL at 0.7 met BUY at 0.7: less than 0.1 apart, so neither stands and the desk holds."
    assert won.why == "SELL at 0.85 met BUY at 0.7 and is surer by 0.1 or more: it stands."
    assert (held.superseded, won.superseded) == ((first.id,), (second.id,))
    assert store.get(second.id).why == "BUY at 0.7 met SELL at 0.85, which is surer by 0.1 or more."
    assert store.get(second.id).acted_at == AT


def test_only_valid_contrary_ones_of_the_symbol_are_met(store):
    """Kills: another symbol, one that is over, one acted on, a HOLD."""
    over, acted, gone, hold, other = store.write(
        [made("A", life=HOUR), made("B"), made("C"), made("D", "HOLD"), made("E")], at=AT
    )
    store.execute(acted.id, at=AT, by="bot")
    store.cancel(gone.id, at=AT, by="me", why="No.")
    later = [made(symbol, "SELL", model="m2", at=AT + HOUR) for symbol in "ABCDF"]
    assert {each.status for each in store.write(later, at=AT + HOUR)} == {S.ACTIVE}
    assert store.get(over.id).status is S.ACTIVE, "its own time ends it, not this"
    assert {store.get(each.id).status for each in (hold, other)} == {S.ACTIVE}
    assert len(store.active("D", AT + HOUR)) == 2


def test_at_most_so_many_of_one_direction_are_active(store):
    ids = [store.write([made(at=AT + turn * HOUR)], at=AT + turn * HOUR)[0].id for turn in range(5)]
    assert [each.id for each in store.active("AAPL", AT + 4 * HOUR)] == ids[:1:-1]
    assert {store.get(id).status for id in ids[:2]} == {S.SUPERSEDED}
    assert "3 newer BUY of this symbol are enough" in store.get(ids[0]).why
    assert store.events(ids[0])[-1].other_id == ids[3]
    (late,) = store.write([made(at=AT + HOUR / 2)], at=AT + 5 * HOUR)
    assert late.status is S.SUPERSEDED, "older than what is active"
    store.write([made(call="HOLD", model="m2", at=AT + turn * HOUR) for turn in range(5)], at=AT + 5 * HOUR)
    assert len(store.active("AAPL", AT + 5 * HOUR)) == 8, "HOLD neither counts nor is counted"
    batch = [made("MSFT", at=AT + turn * HOUR) for turn in range(5)]
    one = store.write(batch, at=AT + 4 * HOUR, max_active=1)
    assert [each.status for each in one] == [S.SUPERSEDED] * 4 + [S.ACTIVE]


def judged(parts, max_active, margin):
    """Statuses after the parts arrived one after another."""
    known = []
    for part in parts:
        fresh = [Side(key, call, sure, at, until) for key, call, sure, at, until in part]
        meetings(known, fresh, max_active=max_active, margin=margin)
        known += fresh
    return {side.key: side.superseded_at is None for side in known}


_sides = st.lists(
    st.tuples(st.sampled_from([Call.BUY, Call.SELL]), st.integers(0, 8).map(lambda n: 0.5 + n / 20)),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(_sides, _sides, st.integers(1, 3), st.sampled_from([0.0, 0.05, 0.1]))
def test_signals_of_one_moment_may_come_in_any_order(before, now, max_active, margin):
    """What stood before, and every order and every split of what comes at one moment: one answer."""
    old = [(f"o{turn}", *side, AT + turn * HOUR, AT + 2 * DAY) for turn, side in enumerate(before)]
    new = [(f"n{turn}", *side, AT + DAY, AT + 3 * DAY) for turn, side in enumerate(now)]
    first = [[each] for each in old]
    wanted = judged([*first, new], max_active, margin)
    for order in itertools.islice(itertools.permutations(new), 12):
        assert judged([*first, *([each] for each in order)], max_active, margin) == wanted
        assert judged([*first, list(order[:2]), list(order[2:])], max_active, margin) == wanted
    standing = [key for key, stands in wanted.items() if stands]
    calls = {call for key, call, *_ in old + new if key in standing}
    assert len(calls) < 2 or margin == 0.0, "never both directions"
    assert len(standing) <= max_active


# Against a model in plain Python --------------------------------------------------------------------------------------


class Model:
    """The store in plain words: rows, and each rule on its own."""

    def __init__(self):
        self.rows = {}

    def write(self, signals, at, max_active, margin):
        first = {each.key: each for each in reversed(signals) if each.key not in self.rows}
        for moment in sorted({each.created_at for each in first.values()}):
            group = [each for each in first.values() if each.created_at == moment]
            for each in group:
                status = S.EXPIRED if each.expires_at <= at else S.ACTIVE
                self.rows[each.key] = {"signal": each, "status": status, "dead_from": None}
            for symbol in {each.symbol for each in group}:
                self.judge(symbol, [each for each in group if each.symbol == symbol], at, max_active, margin)

    def judge(self, symbol, group, at, max_active, margin):
        group = [each for each in group if each.call is not Call.HOLD and each.expires_at > at]
        field = [row for row in self.rows.values() if self.takes_part(row, symbol, group, at)]
        ended = []
        for row in field:
            mine = row["signal"]
            for other in (each["signal"] for each in field):
                valid = mine.created_at < other.expires_at and other.created_at < mine.expires_at
                if (mine in group or other in group) and valid and other.call is not mine.call:
                    ahead = round(mine.confidence - other.confidence, 9)
                    if ahead <= 0 or ahead < round(margin, 9):
                        ended.append((row, other))
        for call in {each.call for each in group}:
            same = [row for row in field if row["signal"].call is call]
            same.sort(key=lambda row: row["signal"].key)
            same.sort(key=lambda row: (row["signal"].created_at, row["signal"].confidence), reverse=True)
            ended += [(row, same[0]["signal"]) for row in same[max_active:]]
        for row, other in ended:
            if row["status"] is S.ACTIVE:
                row["status"] = S.SUPERSEDED
                row["dead_from"] = max(row["signal"].created_at, other.created_at)

    def takes_part(self, row, symbol, group, at):
        signal, status = row["signal"], row["status"]
        if not group or signal.symbol != symbol or signal.call is Call.HOLD or signal.expires_at <= at:
            return False
        return status is S.ACTIVE or (status is S.SUPERSEDED and row["dead_from"] >= group[0].created_at)

    def act(self, key, to, at):
        """Whether it was done."""
        row = self.rows[key]
        if row["status"] is not S.ACTIVE or at < row["signal"].created_at:
            return False
        row["status"] = S.EXPIRED if at >= row["signal"].expires_at else to
        return row["status"] is to

    def expire(self, at):
        for row in self.rows.values():
            if row["status"] is S.ACTIVE and row["signal"].expires_at <= at:
                row["status"] = S.EXPIRED


def any_signal(pick, now):
    return made(
        pick.choice(["A", "B"]), pick.choice(["BUY", "BUY", "SELL", "SELL", "HOLD"]), pick.randint(10, 20) / 20,
        at=now - pick.randint(0, 3) * HOUR, model=pick.choice(["m1", "m2", "m3"]), life=pick.randint(1, 12) * HOUR,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_random_lives_follow_the_model(store, seed):
    """Writes, late ones and doubles among them, acts, expiry and archive in any order: every status at every step."""
    pick, model, now = random.Random(seed), Model(), AT
    ids = {}
    for _ in range(40):
        now += pick.choice([0, 1, 1, 2]) * HOUR
        what = pick.choice(["write", "write", "write", "act", "expire", "archive"])
        if what == "write":
            signals = [any_signal(pick, now) for _ in range(pick.randint(1, 4))]
            told = store.write(signals, at=now, max_active=2, margin=0.1)
            model.write(signals, now, 2, 0.1)
            ids |= {signal.key: each.id for signal, each in zip(signals, told, strict=True)}
            assert [each.status for each in told] == [model.rows[each.key]["status"] for each in signals]
        elif what == "act" and ids:
            key, to = pick.choice(sorted(ids)), pick.choice([S.EXECUTED, S.CANCELLED])
            done = model.act(key, to, now)
            act = {S.EXECUTED: store.execute, S.CANCELLED: lambda id, **how: store.cancel(id, why="No.", **how)}[to]
            try:
                act(ids[key], at=now, by="bot")
                assert done
            except Refused:
                assert not done
        elif what == "expire":
            model.expire(now)
            store.expire(now)
        else:
            store.archive(now - HOUR)
        found = store.table()
        assert dict(zip(found["id"], found["status"], strict=True)) == {
            ids[key]: row["status"].value for key, row in model.rows.items()
        }
    assert set(found["status"]) >= {"SUPERSEDED", "EXPIRED"}
    assert found["archived"].any()
    for id, last in zip(found["id"], found["status"], strict=True):
        steps = store.events(id)
        assert steps[0].what == "made"
        assert steps[-1].to_status == last
        assert all(one.to_status is two.from_status is S.ACTIVE for one, two in itertools.pairwise(steps))
