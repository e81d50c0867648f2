"""`openbell parse`: orders out of text, in words and in JSON, with the place of what is refused."""

import io
import json
import sys

import pytest

from openbell.app import cli
from openbell.app.parsing import moment, parsed

TOS = "BUY +1 Butterfly SPX 5905/5855/5805 CALL @24.82 LMT"
MESSAGE = f"""SPX 0DTE Analysis
Price: 5,855.5
{TOS}
BTO SPX Call Calendar @ 11.50 Debit
  SELL -1 Vertical SPX 6855/6860 CALL @5.3 LMT
BUY +1 SPX 100 21 AUG 26 6300 CALL MKT
BUY +1 CALENDAR SPX 100 30 NOV 26/20 NOV 26 7550 PUT @5.80 LMT
"""


@pytest.fixture
def say(monkeypatch, capsys):
    """Runs `openbell parse` in this process: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["openbell", "parse", *(str(each) for each in words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return run


@pytest.fixture
def message(tmp_path):
    path = tmp_path / "message.txt"
    path.write_text(MESSAGE)
    return path


def test_a_message_in_words(say, message):
    """Legs, risk, reward, flags and refusals with their places; exit 3, as a part was refused."""
    code, out, _ = say(message, "--as-of", "2025-05-22")
    assert code == 3
    for told in (
        "3 orders", "2,482.00", "2,518.00", "1.0145", "5,829.82, 5,880.18", "2025-05-22", "+1 C5905, -2 C5855",
        "Foreseen of SPX: price 5,855.50", "1. The order names no expiry", "2. This single on SPX has no limit price",
        "3. The legs expire on 2026-11-20 and 2026-11-30",
        "Refused at line 4, column 5: The call calendar on SPX names no strikes",
        "Refused at line 5, column 3: This vertical can cost at most 5 points",
    ):  # fmt: skip
        assert told in out, told


def test_a_message_for_a_program(say, message):
    code, out, _ = say(message, "--json")
    found = json.loads(out)
    assert code == 3
    assert [each["risk"] for each in found["trades"]] == [2482.0, None, None]
    assert found["trades"][0]["expiry"] is None
    assert [(each["line"], each["column"]) for each in found["refusals"]] == [(4, 5), (5, 3)]
    assert found["said"]["price"] == 5855.5


def test_what_is_piped_in_and_the_exit_codes(say):
    """Check 19's exit codes: 0 all, 3 a part, 2 nothing. Kills: the encoding of the terminal used for a pipe."""
    assert say("-", stdin=f"\ufeff{TOS} café".encode())[0] == 0
    code, out, _ = say("-", stdin=b"good morning")
    assert code == 2
    assert "There is no order in this text" in out
    assert say("-", "--dialect", "discord", stdin=b"BTO 40 COIN @ 57")[0] == 2
    assert say("-", "--json", stdin=b"SELL -1 Vertical SPX 6855/6860 CALL @5.3 LMT")[0] == 2


def test_what_cannot_be_read_is_told(say, tmp_path):
    for words, because in (
        ((tmp_path / "none.txt",), "cannot be read: No such file"),
        ((tmp_path,), "cannot be read: Is a directory"),
        (("-", "--dialect", "discrod"), "Did you mean `discord`"),
        (("-", "--as-of", "yesterday"), "is no moment"),
    ):
        code, _, err = say(*words)
        assert code == 2
        assert because in err
    code, _, err = say("-", stdin=b"BTO \xff")
    assert code == 2
    assert "is no text in UTF-8: its byte 5" in err


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2025-05-22", "2025-05-22T13:30:00+00:00"),
        ("2025-01-22", "2025-01-22T14:30:00+00:00"),
        ("2025-05-22T10:35", "2025-05-22T14:35:00+00:00"),
        ("2025-05-22T10:35+02:00", "2025-05-22T08:35:00+00:00"),
    ],
)
def test_a_moment_without_a_zone_is_new_york_s(text, wanted):
    """Check 40. Kills: the machine's zone."""
    assert moment(text).isoformat() == wanted


def test_the_place_of_an_order_that_cannot_be():
    """Kills: the first line that has the symbol, whichever order it is."""
    good, bad = "BUY +1 VERTICAL SPX 6855/6860 CALL @4.3 LMT\n", "BUY +1 VERTICAL SPX 6855/6860 CALL @5.3 LMT\n"
    for number in range(5):
        text = "hello\n" + good * number + "\n" + bad + good
        (refusal,) = parsed(text).refusals
        assert parsed(text).place(refusal) == (number + 3, 1)
