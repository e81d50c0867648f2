"""One row of the prediction log: checked where it is made, so that writing it never fails for what it holds."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from openbell.core.assessment import Answer, Assessment
from openbell.core.errors import BadInput, unknown
from openbell.core.experiment import ARMS, ArmWord
from openbell.core.hashing import canonical_json
from openbell.core.time import utc
from openbell.store.assignments import Assignment
from openbell.store.database import json_text
from openbell.store.gate_schema import predictions
from openbell.store.redaction import refuse_secrets
from openbell.store.upserts import microseconds, moment

_EXCHANGE = ZoneInfo("America/New_York")
#: Longest text of one column: PostgreSQL refuses longer ones in an index.
LONGEST = 200
_NULL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # of JSON; a backslash of the text itself stands there twice
_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Kept(StrEnum):
    """What became of a prediction that was handed in.

    NEW : it was added. KNOWN : the same question of the same id is there already, and stands. CLASH : the id is there
    with another question, so this one was not added. OTHER_ARM : the trade is stored with another arm of the A/B test
    than the one that answered, so this one was not added; ask again, and the stored arm answers.
    """

    NEW = "NEW"
    KNOWN = "KNOWN"
    CLASH = "CLASH"
    OTHER_ARM = "OTHER_ARM"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the gate was asked and what it said.

    Attributes
    ----------
    id : of the request, at most 200 characters; the same id is one row, however often it is sent.
    inputs : everything that was asked, as JSON holds it; `inputs_hash` and `features_hash` are their digests where none
        are given. probability : of a win, by the model, None where none speaks. answer : ACCEPT, REDUCE or REFUSE.
    experiment, experiment_version, arm : all three, and a `trade_id`, where an A/B test chose who answers.
    The rest as in `core.assessment.Assessment`; money is in USD of the whole order.

    Raises
    ------
    BadInput
        Where a text is empty, too long or holds a null character, a number is not finite, a probability lies outside
        [0, 1], a moment has no time zone, or the inputs seem to hold a secret.
    """

    id: str
    at: dt.datetime
    symbol: str
    strategy: str
    answer: str
    quantity: int
    inputs: Mapping[str, Any]
    trade_id: str | None = None
    inputs_hash: str | None = None
    features: Mapping[str, float | None] = field(default_factory=lambda: _EMPTY)
    features_hash: str | None = None
    model_key: str | None = None
    model_version: str | None = None
    model_level: str | None = None
    experiment: str | None = None
    experiment_version: int | None = None
    arm: ArmWord | None = None
    probability: float | None = None
    price_probability: float | None = None
    threshold: float | None = None
    risk_usd: float | None = None
    reward_usd: float | None = None
    expected_value_usd: float | None = None
    latency_ms: float | None = None
    data_source: str | None = None
    data_age_seconds: float | None = None
    key_id: str | None = None

    def __post_init__(self) -> None:
        for name in _TEXTS:
            _check_text(name, getattr(self, name))
        for name in _NUMBERS:
            _check_number(name, getattr(self, name))
        if self.answer not in list(Answer):
            raise unknown("answer", str(self.answer), list(Answer))
        if not 0 <= self.quantity < 2**63:
            raise BadInput(f"The quantity of a prediction must be 0 or more; was {self.quantity}.")
        self._check_arm()
        refuse_secrets(self.inputs, "inputs")
        object.__setattr__(self, "at", utc(self.at))
        inputs = _text("inputs", lambda: canonical_json(self.inputs))
        # The minus of a zero would not come back from every database, and the digest with it.
        values = {name: None if value is None else float(value) + 0.0 for name, value in self.features.items()}
        features = _text("features", lambda: json_text(values))
        # What is written must equal what is read back, so the row holds the inputs as JSON has them.
        object.__setattr__(self, "inputs", json.loads(inputs))
        object.__setattr__(self, "features", values)
        object.__setattr__(self, "inputs_hash", self.inputs_hash or hashlib.sha256(inputs.encode()).hexdigest())
        object.__setattr__(self, "features_hash", self.features_hash or hashlib.sha256(features.encode()).hexdigest())

    def _check_arm(self) -> None:
        parts = (self.experiment, self.experiment_version, self.arm)
        if all(part is None for part in parts):
            return
        if any(part is None for part in (*parts, self.trade_id)):
            raise BadInput(
                "An arm needs its experiment, its version and a trade id; they were "
                f"arm {self.arm!r}, experiment {self.experiment!r}, version {self.experiment_version!r}, "
                f"trade id {self.trade_id!r}."
            )
        if self.arm not in ARMS:
            raise unknown("arm", str(self.arm), ARMS)

    @classmethod
    def of(
        cls,
        said: Assessment,
        *,
        id: str,
        inputs: Mapping[str, Any],
        latency_ms: float | None = None,
        key_id: str | None = None,
        model_key: str | None = None,
        assignment: Assignment | None = None,
    ) -> Prediction:
        """The row of an assessment; its arm is the one of `assignment`."""
        same = ("at", "symbol", "strategy", "quantity", "trade_id", "features", "features_hash", "model_version",
                "model_level", "price_probability", "threshold", "risk_usd", "reward_usd", "expected_value_usd",
                "data_source", "data_age_seconds")  # fmt: skip
        arm: dict[str, Any] = {}
        if assignment is not None:
            arm = {
                "experiment": assignment.experiment,
                "experiment_version": assignment.version,
                "arm": assignment.arm,
                "trade_id": assignment.trade_id,
            }
        return cls(
            id=id, inputs=inputs, answer=said.answer.value, probability=said.win_probability, latency_ms=latency_ms,
            key_id=key_id, model_key=model_key, **{name: getattr(said, name) for name in same} | arm,
        )  # fmt: skip

    @property
    def assignment(self) -> Assignment | None:
        """The arm that answered; None where no A/B test chose it."""
        if self.experiment is None or self.experiment_version is None or self.trade_id is None or self.arm is None:
            return None
        return Assignment(self.experiment, self.experiment_version, self.trade_id, self.arm)

    @property
    def day(self) -> dt.date:
        """The exchange's date of `at`, whatever the zone of this machine."""
        return self.at.astimezone(_EXCHANGE).date()

    @property
    def row(self) -> dict[str, Any]:
        """As the table has it."""
        found = {name: getattr(self, name) for name in _FIELDS if name != "at"}
        return found | {"at_us": microseconds(self.at), "day": self.day}


@dataclass(frozen=True, slots=True)
class Logged:
    """A row of the log: the prediction, and its outcome where it is known.

    `features` and `inputs` of `prediction` are empty where the row was thinned; their hashes stay.
    """

    prediction: Prediction
    win: bool | None
    profit_usd: float | None
    outcome_known_at: dt.datetime | None


def logged(row: sa.Row[Any]) -> Logged:
    """`row` of the table `predictions` as it was written."""
    cells = dict(row._mapping)
    known = cells["outcome_known_at_us"]
    cells["at"] = moment(cells["at_us"])
    cells["inputs"] = cells["inputs"] or {}
    cells["features"] = cells["features"] or {}
    made = Prediction(**{name: cells[name] for name in _FIELDS})
    return Logged(made, cells["win"], cells["profit_usd"], None if known is None else moment(known))


_FIELDS = tuple(each.name for each in dataclasses.fields(Prediction))
_NEEDED = {"id", "symbol", "strategy", "answer"}
_TEXTS = tuple(name for name in _FIELDS if name in predictions.c and isinstance(predictions.c[name].type, sa.Text))
_NUMBERS = tuple(name for name in _FIELDS if name in predictions.c and isinstance(predictions.c[name].type, sa.Float))
_SHARES = {"probability", "price_probability", "threshold"}


def _check_text(name: str, value: object) -> None:
    if value is None and name not in _NEEDED:
        return
    # A lone surrogate is text to Python and to no database.
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or "\0" in value or not _encodes(value):
        raise BadInput(
            f"The {name} of a prediction must be text of 1 to {LONGEST} characters without a null character; "
            f"it was {str(value)[:60]!r} ({len(value) if isinstance(value, str) else type(value).__name__})."
        )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_number(name: str, value: float | None) -> None:
    if value is None:
        return
    if not math.isfinite(value):
        raise BadInput(f"The {name} of a prediction must be a finite number, or None where it is missing; was {value}.")
    if name in _SHARES and not 0.0 <= value <= 1.0:
        raise BadInput(f"The {name} of a prediction must lie between 0 and 1; was {value}.")


def _text(name: str, write: Callable[[], str]) -> str:
    """What `write` gives as canonical JSON, which every database must be able to keep."""
    try:
        text = write()
        text.encode()
    except (ValueError, TypeError) as failure:
        raise BadInput(
            f"The {name} of a prediction cannot be recorded: {failure}. Numbers are finite, or null where missing."
        ) from None
    if "\\u0000" in text and _NULL.search(text):
        raise BadInput(f"The {name} of a prediction hold a null character, which no database keeps. Leave it out.")
    return text
