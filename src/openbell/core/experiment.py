"""An A/B test: two arms with a versioned definition, and which of them answers a trade."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal, get_args

from openbell.core.errors import BadInput

ArmWord = Literal["control", "test"]
ARMS: tuple[ArmWord, ...] = get_args(ArmWord)


@dataclass(frozen=True, slots=True)
class Arm:
    """Who answers: a model by name, and the version of it."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Definition:
    """What makes one A/B test different from another. `share` of the trades is answered by the test arm."""

    name: str
    salt: str
    share: float
    control: Arm
    test: Arm

    def __post_init__(self) -> None:
        words = (self.name, self.salt, self.control.model, self.control.version, self.test.model, self.test.version)
        for word in words:
            if not isinstance(word, str) or not word or "\0" in word or len(word) > 200:
                raise BadInput(
                    f"Name, salt, models and versions of an A/B test are text of 1 to 200 characters; was {word!r}."
                )
        checked_share(self.share)

    def arm(self, word: ArmWord) -> Arm:
        """The arm of that word."""
        return self.test if word == "test" else self.control

    def arm_of(self, trade_id: str) -> ArmWord:
        """Which arm answers the trade `trade_id`."""
        return arm_of(trade_id, self.salt, self.share)


def checked_share(share: float) -> float:
    """`share`, refused where it is no fraction."""
    if not math.isfinite(share) or not 0.0 <= share <= 1.0:
        raise BadInput(f"The share of the test arm must lie between 0 and 1; was {share}. Half of the trades is 0.5.")
    return share


def arm_of(trade_id: str, salt: str, share: float) -> ArmWord:
    """Which arm answers a trade: the same on every machine and for every call, whatever was answered before.

    Parameters
    ----------
    trade_id : the caller's own name of the trade, not empty. salt : another salt is another, independent draw.
    share : of the trades that the test arm answers, in [0, 1]. Raising it moves trades to the test arm and none back.

    Returns
    -------
    str
        ``"test"`` where the first 64 bits of SHA-256 over salt and trade id, as a fraction of 2**64, lie below
        `share`; else ``"control"``.

    Raises
    ------
    BadInput
        Where `trade_id` is empty or `share` lies outside [0, 1].
    """
    if not trade_id:
        raise BadInput("A trade without an id has no arm: asked twice, it would be split. Give it an id.")
    # The length stands before the salt, so that the border between both cannot move.
    hashed = hashlib.sha256(f"{len(salt)}:{salt}{trade_id}".encode(errors="surrogatepass")).digest()
    return "test" if int.from_bytes(hashed[:8], "big") < checked_share(share) * 2.0**64 else "control"
