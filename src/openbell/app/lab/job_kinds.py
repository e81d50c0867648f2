"""The kinds of long work that the lab starts: what each needs to be told, and the function of `app/` that does it."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openbell.core.errors import BadInput, unknown

if TYPE_CHECKING:
    from openbell.app.home import Home

Progress = Callable[[int, int, str], None]
#: What comes of a job: sentences to read, and where to look.
Result = dict[str, Any]

#: At how many moments the future is removed where the lab asks for the proofs.
_CUTS = 5
_SYMBOL = re.compile(r"[A-Za-z0-9.^/_-]{1,20}")
_MODEL = re.compile(r"[a-z][a-z0-9_]{0,59}")
#: Most settings that one job changes, and the longest value of one.
_MOST_SETTINGS, _LONGEST_SETTING = 40, 300


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    Attributes
    ----------
    desk, title : what a person reads. of : name of the argument that says what it is trained on, such as a product.
    needs_session : whether the session cannot be left to the newest. settings : prefixes of the settings it may change.
    run : ``(home, arguments, progress)``. models : the setting that names its models, where `run` is not told them.
    """

    name: str
    desk: str
    title: str
    run: Callable[[Home, Mapping[str, Any], Progress], Result]
    settings: tuple[str, ...]
    of: str | None = None
    needs_session: bool = False
    models: str | None = None


def _day(arguments: Mapping[str, Any]) -> dt.date | None:
    return dt.date.fromisoformat(arguments["session"]) if arguments.get("session") else None


def _models(arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    return tuple(arguments["models"]) if arguments.get("models") else None


def _told(done: Any) -> Result:
    """What a training on record says of itself."""
    payload = done.payload
    return {
        "desk": payload["desk"],
        "session": payload["session"],
        "training": payload["training"],
        "champion": payload["champion"],
        "leader": payload.get("leader"),
        "why": list(payload["why"]),
        "notes": list(payload["notes"]),
    }


def _train_stocks(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.training import make_home, train_stocks

    make_home(home)
    return _told(train_stocks(home, home.decision_session(_day(arguments)), progress))


def _train_options(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.options_training import train_options

    day = _day(arguments)
    assert day is not None  # `checked` refuses a job without
    return _told(train_options(home, arguments["underlying"], day, _models(arguments), progress=progress))


def _train_gate(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.gate_training import train_gate

    return _told(train_gate(home, _day(arguments), _models(arguments), progress=progress))


def _train_signals(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.signals_training import train_signals

    return _told(train_signals(home, _day(arguments), _models(arguments), progress=progress))


def _train_session(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.session_training import train_session

    product = arguments.get("product")
    return _told(train_session(home, _day(arguments), _models(arguments), product=product, progress=progress))


def _replay(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.replay import replayed
    from openbell.store.journal_pages import record

    text = str(arguments.get("record", ""))
    if not text.isdigit():
        raise BadInput(f"`{text}` is no number of a record of the journal.")
    return replayed(home, record(home.kept_journal, int(text))).as_json()


def _audit_features(home: Home, arguments: Mapping[str, Any], progress: Progress) -> Result:
    from openbell.app.audit import prove_on_record

    results = prove_on_record(home, _CUTS)
    failed = sorted({each["feature"] for each in results if not each["passed"]})
    told = f"{len({each['feature'] for each in results}) - len(failed)} features hold at {_CUTS} moments."
    return {"why": [told, *(f"{name} FAILS." for name in failed)], "notes": []}


KINDS: Mapping[str, Kind] = {
    each.name: each
    for each in (
        Kind("train_stocks", "stocks", "Train the stocks desk", _train_stocks, ("train.",), models="train.candidates"),
        Kind("train_options", "options", "Train the options desk", _train_options, ("options.",), "underlying", True),
        Kind("train_gate", "gate", "Train the gate", _train_gate, ("gate.",)),
        Kind("train_signals", "signals", "Train the signals desk", _train_signals, ("signals.",)),
        Kind("train_session", "session", "Train the session desk", _train_session, ("session.",), "product"),
        Kind("audit_features", "features", "Prove every feature causal", _audit_features, ()),
        Kind("replay", "journal", "Derive again the decision of record", _replay, (), "record"),
    )
}


def kind_of(name: str) -> Kind:
    """The kind `name`, else a sentence with the nearest one."""
    if name not in KINDS:
        raise unknown("kind of job", str(name)[:60], KINDS)
    return KINDS[name]


def checked(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` of a job of the kind `name` in one form, without what was left empty.

    Raises
    ------
    BadInput
        An argument that the kind does not take, or that is not what it should be.
    """
    kind = kind_of(name)
    takes = {"session", "models", "settings", *([kind.of] if kind.of else [])}
    for each in arguments:
        if each not in takes:
            raise unknown(f"argument of `{name}`", str(each)[:60], takes)
    found: dict[str, Any] = {
        "session": _checked_session(arguments.get("session"), kind),
        "models": _checked_models(arguments.get("models")),
        "settings": _checked_settings(arguments.get("settings"), kind),
    }
    if kind.of:
        found[kind.of] = _checked_symbol(arguments.get(kind.of), kind)
    return {key: value for key, value in found.items() if value}


def sets_of(name: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that a job of the kind `name` changes, as --set writes them."""
    told = dict(arguments.get("settings", {}))
    setting = kind_of(name).models
    if setting and arguments.get("models"):
        told[setting] = json.dumps(arguments["models"])
    return tuple(f"{key}={value}" for key, value in sorted(told.items()))


def _checked_session(text: Any, kind: Kind) -> str | None:
    if text in (None, ""):
        if kind.needs_session:
            raise BadInput(f"Say as of which session {kind.desk} is to be trained, for example 2020-03-16.")
        return None
    try:
        return dt.date.fromisoformat(text).isoformat()
    except (TypeError, ValueError):
        raise BadInput(f"`{str(text)[:40]}` is not a date. Write it like 2020-03-16.") from None


def _checked_models(names: Any) -> list[str]:
    if names in (None, ""):
        return []
    if not isinstance(names, Sequence) or isinstance(names, str) or len(names) > 50:
        raise BadInput("`models` is a list of the names of models.")
    for each in names:
        if not isinstance(each, str) or not _MODEL.fullmatch(each):
            raise BadInput(f"`{str(each)[:60]}` cannot name a model: lower-case letters, digits and `_` do.")
    return sorted(set(names))


def _checked_symbol(text: Any, kind: Kind) -> str | None:
    if text in (None, ""):
        if kind.needs_session:
            raise BadInput(f"Say which {kind.of} the desk is to be trained on, such as SPX.")
        return None
    if not isinstance(text, str) or not _SYMBOL.fullmatch(text):
        raise BadInput(f"`{str(text)[:40]}` is no {kind.of}: 1 to 20 letters, digits and . ^ / _ - name one.")
    return text.upper()


def _checked_settings(told: Any, kind: Kind) -> dict[str, str]:
    if told in (None, ""):
        return {}
    if not isinstance(told, Mapping) or len(told) > _MOST_SETTINGS:
        raise BadInput(f"`settings` maps at most {_MOST_SETTINGS} keys to values.")
    for key, value in told.items():
        if not str(key).startswith(kind.settings):
            allowed = " and ".join(f"`{each}*`" for each in kind.settings)
            raise BadInput(f"A job of the kind `{kind.name}` may change the settings {allowed}; not `{str(key)[:60]}`.")
        if not isinstance(value, str) or len(value) > _LONGEST_SETTING or any(letter in value for letter in "\n\r\0"):
            raise BadInput(f"The value of `{key}` must be one line of at most {_LONGEST_SETTING} characters.")
    return {str(key): value.strip() for key, value in told.items() if value.strip()}
