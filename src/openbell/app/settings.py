"""Settings: code defaults <- openbell.toml <- environment <- --set; read once, frozen, each with its origin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, SkipValidation, ValidationError, create_model

from openbell.app.sections import (
    PLACES,
    Data,
    Gate,
    Lab,
    Live,
    Notifications,
    Ops,
    Options,
    Run,
    Section,
    Serve,
    Session,
    Signals,
    Store,
    Tournament,
    Trade,
    Train,
)
from openbell.app.settings_layers import PREFIX, Key, from_environment, from_table, from_words, read_toml
from openbell.core.declare import Catalogue, Declaration, Desk
from openbell.core.errors import BadInput
from openbell.core.hashing import digest

FILE = "openbell.toml"
STATIC: Mapping[str, type[Section]] = {
    "store": Store,
    "data": Data,
    "run": Run,
    "trade": Trade,
    "train": Train,
    "tournament": Tournament,
    "options": Options,
    "gate": Gate,
    "signals": Signals,
    "session": Session,
    "lab": Lab,
    "serve": Serve,
    "live": Live,
    "ops": Ops,
}
#: Sections whose keys are the keyword defaults of plug-ins, with the room they come from.
DYNAMIC: Mapping[str, str] = {"desks": "desks", "selection": "desks", "safety": "checks", "models": "models"}
HOME = "home"


#: The keywords of each plug-in of a room, by its name; read-only, and validated before it gets here.
Plugged = Annotated[Mapping[str, Mapping[str, Any]], SkipValidation]


class Settings(BaseModel):
    """Every value the house runs by.

    `desks`, `safety` and `models` hold the keywords of each plug-in by its name, `selection` the criteria and
    thresholds by which a desk's tournament is judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    home: str
    store: Store
    data: Data
    run: Run
    trade: Trade
    train: Train
    live: Live
    ops: Ops
    tournament: Tournament
    options: Options
    gate: Gate
    signals: Signals
    session: Session
    lab: Lab
    serve: Serve
    desks: Plugged
    selection: Plugged
    safety: Plugged
    models: Plugged
    origins: Annotated[Mapping[str, str], SkipValidation] = Field(repr=False, exclude=True)

    def values(self) -> dict[str, Any]:
        """Each key with its value; a secret is only said to be set."""
        found = dict(_leaves(self))
        return {key: _shown(found[key]) for key in self.origins}

    def rows(self) -> list[dict[str, Any]]:
        """Each key with its value and where that came from."""
        return [{"key": key, "value": value, "origin": self.origins[key]} for key, value in self.values().items()]

    @property
    def hash(self) -> str:
        """Digest of every value that can change a decision: neither secrets nor the places where bytes lie."""
        return digest(
            {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in self.values().items()
                if not key.startswith(PLACES)
            }
        )


def _shown(value: Any) -> Any:
    return ("set" if value.get_secret_value() else "not set") if isinstance(value, SecretStr) else value


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs: Iterable[tuple[str, Any]] = node.items() if isinstance(node, Mapping) else node
    for name, value in pairs:
        if not path and name == "origins":
            continue
        if isinstance(value, (BaseModel, Mapping)):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _declared(section: type[Section], path: str) -> Iterator[tuple[str, Key]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _declared(kind, f"{path}{name}.")
        else:
            yield f"{path}{name}", Key(field.default, field.description or "", secret="SecretStr" in str(kind))


def _limits(catalogue: Catalogue) -> dict[str, str]:
    """Each limit of a check with the check it belongs to: a desk that reads it too gets it from there."""
    return {name: check.name for check in catalogue.checks.values() for name in check.settings}


def _own(thing: Declaration, section: str, limits: Mapping[str, str]) -> dict[str, Any]:
    if section == "selection":
        return thing.judgement if isinstance(thing, Desk) else {}
    return {name: value for name, value in thing.settings.items() if section != "desks" or name not in limits}


def _plugged(catalogue: Catalogue) -> Iterator[tuple[str, Key]]:
    limits = _limits(catalogue)
    for section, room in DYNAMIC.items():
        things: Mapping[str, Declaration] = getattr(catalogue, room)
        for thing in things.values():
            for name, default in _leaves(_own(thing, section, limits)):
                yield f"{section}.{thing.name}.{name}", Key(default, "")


def sections(catalogue: Catalogue) -> dict[str, str]:
    """What each section is about, in one line."""
    own = {name: (section.__doc__ or "").strip() for name, section in STATIC.items()}
    plugged = {
        f"{section}.{thing.name}": thing.summary
        for section, room in DYNAMIC.items()
        for thing in getattr(catalogue, room).values()
    }
    judged = {f"selection.{name}": f"How a tournament of the desk {name} is judged." for name in catalogue.desks}
    return own | {"live.notifications": (Notifications.__doc__ or "").strip()} | plugged | judged


def keys(catalogue: Catalogue) -> dict[str, Key]:
    """Every settings key there is, in the order in which they are shown."""
    own = {HOME: Key(HOME, "Folder in which tables, journal and models live.")}
    for name, section in STATIC.items():
        own |= dict(_declared(section, f"{name}."))
    return own | dict(_plugged(catalogue))


def settings_file(home: Path, cwd: Path) -> Path | None:
    """The home's own file, else the one in the working folder, else none."""
    return next((each for each in (home / FILE, cwd / FILE) if each.is_file()), None)


def _home(home: Path | None, environ: Mapping[str, str], cwd: Path, file: Path | None) -> tuple[str, str]:
    if home is not None:
        return str(home), "--home"
    if f"{PREFIX}HOME" in environ:
        return environ[f"{PREFIX}HOME"], f"environment {PREFIX}HOME"
    here = file or (cwd / FILE if (cwd / FILE).is_file() else None)
    stated = read_toml(here).get(HOME) if here else None
    if here and isinstance(stated, str):
        return stated, str(here)
    return HOME, "default"


def load(
    catalogue: Catalogue,
    *,
    home: Path | None = None,
    file: Path | None = None,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """The settings in force.

    `home`, `file` and `overrides` are what --home, --settings and each --set say; `environ` and `cwd` are the
    process's own where they are not given.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    known = keys(catalogue)
    place, origin = _home(home, environ, cwd, file)
    chosen: dict[str, tuple[Any, str]] = {name: (key.default, "default") for name, key in known.items()}
    path = file or settings_file(cwd / place, cwd)
    if path is not None:
        chosen |= {name: (value, str(path)) for name, value in from_table(read_toml(path), known, str(path)).items()}
    chosen |= from_environment(environ, known)
    chosen |= from_words(overrides, known)
    if chosen[HOME][1] != "--set":
        chosen[HOME] = (place, origin)
    _keep_secrets_out(chosen, known)
    return _validated(_placed(chosen, cwd), catalogue)


def _keep_secrets_out(chosen: Mapping[str, tuple[Any, str]], known: Mapping[str, Key]) -> None:
    for name, (_, origin) in chosen.items():
        if known[name].secret and origin != "default" and not origin.startswith("environment"):
            variable = PREFIX + name.upper().replace(".", "__")
            raise BadInput(f"`{name}` is a secret and cannot come from {origin}. Set {variable} in the environment.")


def _placed(chosen: dict[str, tuple[Any, str]], cwd: Path) -> dict[str, tuple[Any, str]]:
    """`chosen` with the empty store URLs set to places inside the home."""
    if not isinstance(chosen[HOME][0], str):
        return chosen
    home = (cwd / chosen[HOME][0]).resolve()
    inside = {
        "store.tables": f"file://{home}/tables",
        "store.journal": f"sqlite:///{home}/journal.db",
        "store.tracking": f"sqlite:///{home}/tracking.db",
        "store.predictions": f"sqlite:///{home}/predictions.db",
        "store.signals": f"sqlite:///{home}/signals.db",
        "store.lab": f"sqlite:///{home}/lab.db",
    }
    derived = {name: (url, "inside home") for name, url in inside.items() if chosen[name][0] == ""}
    return chosen | {HOME: (str(home), chosen[HOME][1])} | derived


def _plugin_model(name: str, defaults: Mapping[str, Any]) -> type[BaseModel]:
    strict = ConfigDict(strict=True, frozen=True, extra="forbid")

    def field(key: str, default: Any) -> Any:
        if isinstance(default, Mapping):
            inner = _plugin_model(key, default)
            return (inner, inner(**default))
        return (Any if default is None else type(default), default)

    return create_model(name, __config__=strict, **{key: field(key, each) for key, each in defaults.items()})


def _nest(chosen: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, (value, _) in chosen.items():
        *path, last = name.split(".")
        table = nested
        for part in path:
            table = table.setdefault(part, {})
        table[last] = value
    return nested


def _frozen(value: Any) -> Any:
    return MappingProxyType({key: _frozen(each) for key, each in value.items()}) if isinstance(value, dict) else value


def _validated(chosen: dict[str, tuple[Any, str]], catalogue: Catalogue) -> Settings:
    nested = _nest(chosen)
    parts: dict[str, Any] = {HOME: nested[HOME]}
    for name, section in STATIC.items():
        parts[name] = _checked(section, nested[name], name, chosen)
    limits = _limits(catalogue)
    for section, room in DYNAMIC.items():
        things: Mapping[str, Declaration] = getattr(catalogue, room)
        given = nested.get(section, {})
        parts[section] = {
            name: _checked(
                _plugin_model(name, _own(thing, section, limits)), given.get(name, {}), f"{section}.{name}", chosen
            ).model_dump()
            for name, thing in things.items()
        }
    for name, desk in catalogue.desks.items():
        shared = limits.keys() & desk.settings.keys()
        parts["desks"][name] |= {limit: parts["safety"][limits[limit]][limit] for limit in sorted(shared)}
    for section in DYNAMIC:
        parts[section] = _frozen(parts[section])
    return Settings(**parts, origins=MappingProxyType({name: origin for name, (_, origin) in chosen.items()}))


def _checked(
    model: type[BaseModel], values: Mapping[str, Any], path: str, chosen: Mapping[str, tuple[Any, str]]
) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as failure:
        first = failure.errors(include_url=False)[0]
        name = ".".join([path, *(str(part) for part in first["loc"] if isinstance(part, str))])
        origin = chosen[name][1] if name in chosen else "together"
        said = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
        if first["type"] == "value_error":
            raise BadInput(f"`{name}` ({origin}) {said}.") from None
        raise BadInput(f"`{name}` ({origin}) {said}; was {first['input']!r}.") from None
