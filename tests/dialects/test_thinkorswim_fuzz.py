"""Spoiled orders: never an exception, and never a ticket that its own text contradicts."""

from __future__ import annotations

import datetime as dt
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.thinkorswim_mutants import PIECES, SEEDS, contradiction, mutant

from openbell.core.ticket import Reading, Ticket
from openbell.dialects.thinkorswim import read, written

MOMENT = dt.datetime(2024, 11, 13, 15, 15, tzinfo=dt.UTC)
_VERB = re.compile(r"\b(BUY|SELL|BOT|SOLD)\b", re.IGNORECASE | re.ASCII)


def faults(chance: random.Random, number: int) -> tuple[int, list[tuple[str, str]]]:
    """How many of `number` mutants were read as one order, and what is wrong with those."""
    accepted, wrong = 0, []
    for _ in range(number):
        text = mutant(chance)
        found = read(text, at=MOMENT if chance.random() < 0.2 else None)
        assert found.tickets or found.refusals
        assert all(0 <= each.position <= len(text) and each.why for each in found.refusals), text
        if len(found.tickets) == 1 and not found.refusals and len(_VERB.findall(text)) == 1:
            accepted += 1
            fault = contradiction(text, found.tickets[0])
            if fault is not None:
                wrong.append((fault, text))
    return accepted, wrong


def test_spoiled_orders_are_refused_or_right() -> None:
    """A sample of the million below; every seventh mutant is still one order, so the eye has much to look at."""
    accepted, wrong = faults(random.Random(5), 1_500)
    assert wrong == []
    assert accepted > 100


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(10))
def test_a_million_spoiled_orders_are_refused_or_right(seed: int) -> None:
    """Ten times a hundred thousand: no exception, no wrong acceptance of a contradictory order."""
    accepted, wrong = faults(random.Random(1_000 + seed), 100_000)
    assert wrong == []
    assert accepted > 8_000


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join)))
def test_any_text_is_answered(text: str) -> None:
    """Any text in, a Reading out, that says something."""
    found = read(text)
    assert isinstance(found, Reading)
    assert found.tickets or found.refusals
    for ticket in found.tickets:
        assert isinstance(ticket, Ticket)


FLIPS = [
    (r"(BUY|BOT) \+", r"\1 -"),
    (r"(SELL|SOLD) -", r"\1 +"),
    (r"(?<=[0-9])cr\b", "db"),
    (r"(?<=[0-9])db\b", "cr"),
    (r"credit", "debit"),
    (r"debit", "credit"),
    (r"IRON CONDOR(.*)CALL/PUT", r"IRON CONDOR\1CALL"),
    (r"(Butterfly|BUTTERFLY|CONDOR)(.*) (CALL|PUT) ", r"\1\2 CALL/PUT "),
    (r"(Butterfly|BUTTERFLY|(?<!IRON) CONDOR)(.*) ([0-9,]+)/([0-9,]+)/([0-9,]+)(?=[ /])", r"\1\2 \4/\3/\5"),
    (r"(?<=[0-9])/[0-9.,]+ (CALL|PUT)", r" \1"),
    (r"WORKING SELL", "WORKING SOLD"),
    (r" [0-9]+ (JAN|FEB|MAY|SEP|NOV) ", r" 32 \1 "),
]


@pytest.mark.parametrize("text", SEEDS)
def test_one_word_turned_against_the_rest_is_refused(text: str) -> None:
    """Each flip makes a sound order contradict itself; none is read."""
    assert read(text).tickets
    turned = [re.sub(pattern, other, text, count=1) for pattern, other in FLIPS]
    for each in turned:
        if each != text:
            assert len(read(each).tickets) < len(read(text).tickets), each


def test_what_is_read_is_written_and_read_again() -> None:
    """Also mutants: a ticket that was read can be written, and reads as itself, whatever stood around it."""
    chance, seen = random.Random(6), 0
    for _ in range(300):
        for ticket in read(mutant(chance)).tickets:
            (again,) = read(written(ticket)).tickets
            assert (again.legs, again.premium, again.comment) == (ticket.legs, ticket.premium, ticket.comment)
            seen += 1
    assert seen > 40
