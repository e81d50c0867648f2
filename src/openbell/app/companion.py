"""The companion's files: ``recommendations.json`` and the predictions of each five minutes, read and written whole.

A score is 0 to 100, the odds of a win in per cent: HIGH from 75, MEDIUM from 60, else LOW. Checkpoints are every five
minutes of the session, from five minutes after the open to five minutes before the close, early closes included.
"""

from __future__ import annotations

import bisect
import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from openbell.app.files import write_whole
from openbell.app.outputs import json_text
from openbell.core.assessment import Answer, Assessment
from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import Sessions, utc
from openbell.store.prediction_rows import Prediction

RECOMMENDATIONS = "recommendations.json"
#: The predictions of one checkpoint: the day and the exchange's time stand in the name.
PREDICTIONS = "ml_predictions_{:%Y-%m-%d_%H%M}.json"
HIGH, MEDIUM = 75.0, 60.0
STEP = dt.timedelta(minutes=5)
_EXCHANGE = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One strategy on one symbol: a score from 0 to 100, what is recommended, and the fields that came beside them."""

    symbol: str
    strategy: str
    score: float
    recommendation: str
    beside: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.score) and 0.0 <= self.score <= 100.0):
            raise BadInput(f"The score of {self.strategy} on {self.symbol} must lie in 0 to 100; was {self.score}.")

    @property
    def level(self) -> str:
        """HIGH, MEDIUM or LOW."""
        return level_of(self.score)


@dataclass(frozen=True, slots=True)
class Recommendations:
    """What a file holds: when it was written (UTC), the checkpoint it is of, None where it names none."""

    timestamp: dt.datetime
    checkpoint_time: dt.datetime | None
    recommendations: tuple[Recommendation, ...]


def level_of(score: float) -> str:
    """HIGH at 75 and above, MEDIUM at 60 and above, else LOW."""
    return "HIGH" if score >= HIGH else "MEDIUM" if score >= MEDIUM else "LOW"


def checkpoints(sessions: Sessions, day: dt.date) -> tuple[dt.datetime, ...]:
    """The checkpoints of the session `day`, UTC: open + 5 minutes to close - 5 minutes."""
    first, last = sessions.open(day) + STEP, sessions.close(day) - STEP
    return tuple(first + number * STEP for number in range((last - first) // STEP + 1))


def checkpoint(sessions: Sessions, at: dt.datetime) -> dt.datetime:
    """The latest checkpoint at or before `at`.

    Raises
    ------
    BadInput
        Where the session of `at` has had none yet, or there is no session.
    """
    moment = utc(at)
    day = moment.astimezone(_EXCHANGE).date()
    found = checkpoints(sessions, day)
    place = bisect.bisect_right(found, moment) - 1
    if place < 0:
        raise BadInput(f"The session {day} has its first checkpoint at {found[0].isoformat()}.")
    return found[place]


def recommendation_of(said: Assessment | Prediction) -> Recommendation:
    """The gate's word, or a row of its log, as the companion's files have it.

    Without a model the odds are those of the price; without either there is no score, which is refused.
    """
    own = said.win_probability if isinstance(said, Assessment) else said.probability
    odds = own if own is not None else said.price_probability
    if odds is None:
        raise BadInput(f"The {said.strategy} on {said.symbol} has neither a model's odds nor its price's; no score.")
    return Recommendation(
        said.symbol,
        said.strategy,
        round(100.0 * odds, 4),
        "SKIP" if said.answer == Answer.REFUSE else "TRADE",
        {
            "win_probability": own,
            "price_probability": said.price_probability,
            "threshold": said.threshold,
            "expected_value": said.expected_value_usd,
            "quantity": said.quantity,
            "model_version": said.model_version,
        },
    )


def write_recommendations(folder: Path, said: Sequence[Assessment | Prediction], *, at: dt.datetime) -> Path:
    """Write ``recommendations.json``: a reader finds the old file whole, or the new one."""
    path = folder / RECOMMENDATIONS
    write_whole(path, _text([recommendation_of(each) for each in said], at, None))
    return path


def write_predictions(
    folder: Path, said: Sequence[Assessment | Prediction], *, at: dt.datetime, sessions: Sessions
) -> Path:
    """Write the predictions file of the checkpoint of `at`: {timestamp, checkpoint_time, recommendations}."""
    moment = checkpoint(sessions, at)
    path = folder / PREDICTIONS.format(moment.astimezone(_EXCHANGE))
    write_whole(path, _text([recommendation_of(each) for each in said], at, moment))
    return path


def read_file(path: Path) -> Recommendations:
    """What a recommendations or predictions file says.

    Raises
    ------
    DataMissing
        Where there is no such file. BadInput : where it is not what such a file holds; the sentence says which part.
    """
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataMissing(f"There is no {path.name} in {path.parent}.") from None
    except OSError as failure:
        raise DataMissing(f"{path} cannot be read: {failure.strerror}.") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path.name} is no JSON; it may have been written half. Have it written anew.") from None
    if not isinstance(told, dict):
        raise BadInput(f"{path.name} must hold an object with timestamp and recommendations.")
    stamp = _moment(told.get("timestamp"), "timestamp", path)
    at = told.get("checkpoint_time")
    return Recommendations(stamp, None if at is None else _moment(at, "checkpoint_time", path), _listed(told, path))


def latest_predictions(folder: Path) -> Recommendations:
    """The newest predictions file of `folder`."""
    found = sorted(folder.glob("ml_predictions_*.json"))
    if not found:
        raise DataMissing(f"There is no predictions file in {folder}. Set `serve.companion_folder` to where they are.")
    return read_file(found[-1])


def _text(found: Sequence[Recommendation], at: dt.datetime, moment: dt.datetime | None) -> str:
    rows: dict[str, dict[str, Any]] = {}
    for each in sorted(found, key=lambda each: (each.symbol, each.strategy, -each.score)):
        strategies = rows.setdefault(each.symbol, {})
        if each.strategy in strategies:
            # The file has one place for a strategy on a symbol: the best score speaks, the others are counted.
            strategies[each.strategy]["others"] = strategies[each.strategy].get("others", 0) + 1
            continue
        strategies[each.strategy] = {
            **each.beside,
            "score": each.score,
            "level": each.level,
            "recommendation": each.recommendation,
        }
    told: dict[str, Any] = {"timestamp": utc(at).isoformat(), "recommendations": rows}
    if moment is not None:
        told["checkpoint_time"] = moment.isoformat()
    return json_text(told)


def _moment(stamp: Any, name: str, path: Path) -> dt.datetime:
    """A moment; one without a zone is the exchange's time, which is what the companion writes."""
    try:
        moment = dt.datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        raise BadInput(f"`{name}` of {path.name} is no moment: {stamp!r:.60}.") from None
    return utc(moment if moment.tzinfo is not None else moment.replace(tzinfo=_EXCHANGE))


def _listed(told: Mapping[str, Any], path: Path) -> tuple[Recommendation, ...]:
    rows = told.get("recommendations")
    if not isinstance(rows, dict):
        raise BadInput(f"`recommendations` of {path.name} must be an object of symbols; was {type(rows).__name__}.")
    found: list[Recommendation] = []
    for symbol, strategies in rows.items():
        if not isinstance(strategies, dict):
            raise BadInput(f"`recommendations.{symbol}` of {path.name} must be an object of strategies.")
        found += [_one(symbol, strategy, each, path) for strategy, each in strategies.items()]
    return tuple(found)


def _one(symbol: str, strategy: str, told: Any, path: Path) -> Recommendation:
    where = f"`recommendations.{symbol}.{strategy}` of {path.name}"
    if not isinstance(told, dict):
        raise BadInput(f"{where} must be an object with a score.")
    score, word = told.get("score"), told.get("recommendation")
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        raise BadInput(f"{where} has no score from 0 to 100; was {score!r:.40}.")
    if not isinstance(word, str):
        raise BadInput(f"{where} has no recommendation.")
    beside = {name: value for name, value in told.items() if name not in ("score", "recommendation", "level")}
    return Recommendation(symbol, strategy, float(score), word, beside)
