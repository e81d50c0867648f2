"""Which arm answers a trade: the same for ever, the wanted share, and independent by salt."""

import hashlib
import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from openbell.core.errors import BadInput
from openbell.core.experiment import Arm, Definition, arm_of


def test_the_arm_is_that_of_the_documented_hash():
    """An oracle of another form: the first 16 hexadecimal digits as a number."""
    for number in range(200):
        text = f"4:salttrade-{number}"
        drawn = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) / 2**64
        assert arm_of(f"trade-{number}", "salt", 0.3) == ("test" if drawn < 0.3 else "control")


def test_the_arm_is_the_same_in_another_process(root):
    """Kills: Python's own hash, which every process salts anew; a draw per call."""
    script = "from openbell.core.experiment import arm_of; print(*(arm_of(f't{n}', 's', 0.5) for n in range(50)))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root / "src", check=True)
    assert said.stdout.split() == [arm_of(f"t{n}", "s", 0.5) for n in range(50)]
    assert set(said.stdout.split()) == {"control", "test"}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_kept(share):
    n = 20_000
    drawn = np.array([arm_of(f"{each}", "salt", share) == "test" for each in range(n)])
    assert abs(drawn.mean() - share) <= 5 * np.sqrt(share * (1 - share) / n)


def test_another_salt_is_an_independent_draw():
    """Kills: a salt that only rotates the arms."""
    first, second = (np.array([arm_of(f"{n}", salt, 0.5) == "test" for n in range(20_000)]) for salt in ("a", "b"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(20_000)


@given(st.text(min_size=1), st.text(min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_moves_no_trade_back(trade, salt, low, high):
    low, high = sorted((low, high))
    assert (arm_of(trade, salt, low), arm_of(trade, salt, high)) != ("test", "control")


def test_the_border_between_salt_and_trade_cannot_move():
    draws = {arm_of("b" * n, "a" * (60 - n), 0.5) for n in range(1, 60)}
    assert draws == {"control", "test"}
    assert any(arm_of("bc", f"{n}a", 0.5) != arm_of("c", f"{n}ab", 0.5) for n in range(50))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(BadInput, match="A trade without an id has no arm"):
        arm_of("", "salt", 0.5)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="must lie between 0 and 1; was"):
            arm_of("t", "salt", share)
        with pytest.raises(BadInput, match="must lie between 0 and 1; was"):
            Definition("gate", "salt", share, Arm("a", "1"), Arm("b", "1"))
    for word in ("", "x" * 201, "a\0"):
        with pytest.raises(BadInput, match="text of 1 to 200 characters"):
            Definition(word, "salt", 0.5, Arm("a", "1"), Arm("b", "1"))
