"""How one file adds one thing: a decorator declares it, discovery finds it, a clash stops the start."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Literal

import polars as pl

from openbell.core.errors import DeclarationError, unknown
from openbell.core.session import CLASSES, OUTCOMES
from openbell.core.trade_rows import OUTCOME


@dataclass(frozen=True, eq=False)
class Declaration:
    """One declared thing. `settings` are its keyword defaults, which become its settings keys.

    Two declarations are the same only if they are one: there is one for each name in a catalogue.
    """

    name: str
    module: str
    doc: str
    settings: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The file it stands in."""
        return self.module.rpartition(".")[2]

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return self.doc.strip().splitlines()[0] if self.doc.strip() else ""


@dataclass(frozen=True, eq=False)
class Feature(Declaration):
    """A causal Polars expression over the ordered rows of one symbol on the session grid, or over one chain.

    `reads` says of what: ``bars``, ``fundamentals``, ``days`` (bars with the features of chains, the benchmark and the
    volatility index beside them), a table of one chain: ``contracts``, ``expiries``, ``strikes``, ``trades``, one row
    of a proposed trade as it was known then, ``early``, the bars of one session up to its cut-off, or ``session``, the
    sessions of one product (`core.session`). `lookback` counts the rows it needs, itself included; None derives it from
    the expression.
    """

    expression: pl.Expr
    reads: str
    unit: str
    lookback: int | None = None


@dataclass(frozen=True, eq=False)
class Label(Declaration):
    """A Polars expression that may look forward. `cross_section` "rank" ranks it within its date afterwards."""

    expression: pl.Expr
    reads: str
    unit: str
    horizon_sessions: int
    cross_section: str | None = None


@dataclass(frozen=True, eq=False)
class Model(Declaration):
    """An estimator on the scikit-learn contract.

    Attributes
    ----------
    build : makes the estimator from its parameters; a model with `members` is handed ``members=`` too, a list of
        ``(name, estimator)`` that the engine built.
    search : parameter to its space, ``{"low": , "high": , "log": }`` or ``{"choices": [...]}``.
    handles_missing : whether NaN may reach it. task : ``regression`` or ``classification``.
    members : registered names of the models it is made of.
    sequential : whether it reads the rows of a symbol in their order; ``fit`` and ``predict`` are then handed ``t`` and
        ``symbol`` of each row.
    """

    build: Callable[..., Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    handles_missing: bool = False
    task: str = "regression"
    members: tuple[str, ...] = ()
    sequential: bool = False


@dataclass(frozen=True, eq=False)
class Check(Declaration):
    """A safety check ``(decision, book, market, *, limits) -> Verdict``; its keyword defaults are its limits.

    `desks` are those whose decisions it looks at; what `market` holds is the desk's own snapshot.
    """

    run: Callable[..., Any]
    desks: tuple[str, ...] = ("stocks",)


@dataclass(frozen=True)
class Criterion:
    """A measure that a tournament's score is made of: 0 at `worst`, 1 at `best`, straight between, clipped."""

    measure: str
    weight: float
    worst: float
    best: float


@dataclass(frozen=True)
class Threshold:
    """A limit that a champion must hold: `at_least` or `at_most`, the limit itself included."""

    measure: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, eq=False)
class Desk(Declaration):
    """A desk: ``decide(forecast, book, market, *, settings) -> Decision`` and what the engine must prepare for it.

    `candidates` are the models that `train` tries; `entrants` and `allocators` are what a tournament pairs, judged by
    `criteria` and `thresholds`.
    """

    decide: Callable[..., Any]
    label: str
    candidates: tuple[str, ...]
    families: tuple[str, ...]
    rebalance_sessions: int
    entrants: tuple[str, ...] = ()
    allocators: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    thresholds: tuple[Threshold, ...] = ()

    @property
    def judgement(self) -> dict[str, float]:
        """Criteria and thresholds as flat settings, for example ``sharpe_weight`` and ``sharpe_at_least``."""
        flat = {
            f"{each.measure}_{part}": float(getattr(each, part))
            for each in self.criteria
            for part in ("weight", "worst", "best")
        }
        for limit in self.thresholds:
            for side in ("at_least", "at_most"):
                value = getattr(limit, side)
                if value is not None:
                    flat[f"{limit.measure}_{side}"] = float(value)
        return flat

    def judged_by(self, values: Mapping[str, float]) -> tuple[tuple[Criterion, ...], tuple[Threshold, ...]]:
        """The desk's criteria and thresholds with the numbers of `values`, keyed as `judgement`."""
        criteria = tuple(
            Criterion(each.measure, *(values[f"{each.measure}_{part}"] for part in ("weight", "worst", "best")))
            for each in self.criteria
        )
        sides = ("at_least", "at_most")
        thresholds = tuple(
            Threshold(each.measure, *(values.get(f"{each.measure}_{side}") for side in sides))
            for each in self.thresholds
        )
        return criteria, thresholds


@dataclass(frozen=True, eq=False)
class Provider(Declaration):
    """A source of rows: `read(**arguments)` gives a batch. `delay_minutes` is added to the close of a bar."""

    read: Callable[..., Any]
    delay_minutes: int = 0
    fields: tuple[str, ...] = ()


Declared = tuple[Declaration, ...]

#: What simulating a chosen structure gives. As a feature it would tell the model what it is asked for.
STAGE_TWO_OUTPUTS = frozenset(
    {
        "risk_adjusted_score", "avg_days_held", "n_similar_days", "n_tests", "short_put", "long_put", "short_call",
        "long_call", "center_strike", "near_dte", "far_dte", "put_strike", "call_strike", "strike",
    }
)  # fmt: skip


#: What only the outcome of a proposed trade tells, beside the columns of `core.trade_rows.OUTCOME`.
_OUTCOME_NAMES = frozenset({"profit_usd", "predicted_vs_closing"})


def _keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def _about(function: Callable[..., Any], name: str | None) -> dict[str, Any]:
    if not inspect.getdoc(function):
        raise DeclarationError(
            f"`{function.__module__}.{function.__name__}` has no docstring; a declared thing needs one."
        )
    return {
        "name": name or function.__name__,
        "module": function.__module__,
        "doc": inspect.getdoc(function) or "",
        "settings": _keyword_defaults(function),
    }


def _grid(name: str | None, over: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for values in itertools.product(*over.values()):
        chosen = dict(zip(over, values, strict=True))
        yield (name.format(**chosen) if name else None), chosen


def feature(
    *,
    reads: str = "bars",
    unit: str,
    lookback: int | None = None,
    name: str | None = None,
    over: Mapping[str, Sequence[Any]] | None = None,
) -> Callable[[Callable[..., pl.Expr]], tuple[Feature, ...]]:
    """Declare a feature, or one for each combination of `over` with a `name` such as ``"sma_{window}"``."""

    def declare(function: Callable[..., pl.Expr]) -> tuple[Feature, ...]:
        return tuple(
            Feature(
                **{**_about(function, each), "settings": {} if over else _keyword_defaults(function)},
                expression=function(**chosen),
                reads=reads,
                unit=unit,
                lookback=lookback,
            )
            for each, chosen in _grid(name, over or {})
        )

    return declare


def label(
    *,
    reads: str = "bars",
    unit: str,
    name: str | None = None,
    over: Mapping[str, Sequence[int]] | None = None,
    cross_section: str | None = None,
) -> Callable[[Callable[..., pl.Expr]], tuple[Label, ...]]:
    """Declare a label; `over` must give ``horizon`` (sessions). Its ``known_at`` is derived by the engine."""

    def declare(function: Callable[..., pl.Expr]) -> tuple[Label, ...]:
        return tuple(
            Label(
                **{**_about(function, each), "settings": {}},
                expression=function(**chosen),
                reads=reads,
                unit=unit,
                horizon_sessions=int(chosen["horizon"]),
                cross_section=cross_section,
            )
            for each, chosen in _grid(name, over or {})
        )

    return declare


def model(
    *,
    name: str | None = None,
    search: Mapping[str, Any] | None = None,
    handles_missing: bool = False,
    task: Literal["regression", "classification"] = "regression",
    members: Sequence[str] = (),
    sequential: bool = False,
) -> Callable[[Callable[..., Any]], tuple[Model, ...]]:
    """Declare a model: the function builds the estimator, its keyword defaults are the default parameters."""

    def declare(function: Callable[..., Any]) -> tuple[Model, ...]:
        made = Model(
            **_about(function, name),
            build=function,
            search=dict(search or {}),
            handles_missing=handles_missing,
            task=task,
            members=tuple(members),
            sequential=sequential,
        )
        return (made,)

    return declare


def check(*, desks: Sequence[str] = ("stocks",)) -> Callable[[Callable[..., Any]], tuple[Check, ...]]:
    """Declare a safety check of the decisions of `desks`; its keyword-only defaults are its limits."""

    def declare(function: Callable[..., Any]) -> tuple[Check, ...]:
        return (Check(**_about(function, None), run=function, desks=tuple(desks)),)

    return declare


def desk(
    *,
    name: str,
    label: str,
    candidates: Sequence[str],
    families: Sequence[str],
    rebalance_sessions: int,
    entrants: Sequence[str] = (),
    allocators: Sequence[str] = (),
    criteria: Sequence[Criterion] = (),
    thresholds: Sequence[Threshold] = (),
) -> Callable[[Callable[..., Any]], tuple[Desk, ...]]:
    """Declare a desk; the function is its ``decide``."""

    def declare(function: Callable[..., Any]) -> tuple[Desk, ...]:
        return (
            Desk(
                **_about(function, name),
                decide=function,
                label=label,
                candidates=tuple(candidates),
                families=tuple(families),
                rebalance_sessions=rebalance_sessions,
                entrants=tuple(entrants),
                allocators=tuple(allocators),
                criteria=tuple(criteria),
                thresholds=tuple(thresholds),
            ),
        )

    return declare


def provider(
    *, name: str, delay_minutes: int = 0, fields: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], tuple[Provider, ...]]:
    """Declare a provider; the function reads the source."""

    def declare(function: Callable[..., Any]) -> tuple[Provider, ...]:
        return (Provider(**_about(function, name), read=function, delay_minutes=delay_minutes, fields=tuple(fields)),)

    return declare


#: Each plug-in room with the kind of declaration it holds.
ROOMS: Mapping[str, tuple[str, type[Declaration]]] = {
    "features": ("openbell.features", Feature),
    "labels": ("openbell.labels", Label),
    "models": ("openbell.models", Model),
    "desks": ("openbell.desks", Desk),
    "checks": ("openbell.safety", Check),
    "providers": ("openbell.market.providers", Provider),
}


@dataclass(frozen=True)
class Catalogue:
    """Everything declared, by room and name."""

    features: Mapping[str, Feature]
    labels: Mapping[str, Label]
    models: Mapping[str, Model]
    desks: Mapping[str, Desk]
    checks: Mapping[str, Check]
    providers: Mapping[str, Provider]

    def checks_of(self, desk: str) -> tuple[Check, ...]:
        """The checks that look at the decisions of `desk`."""
        return tuple(each for each in self.checks.values() if desk in each.desks)

    def find(self, room: str, name: str) -> Declaration:
        """The thing `name` of `room`; an unknown name is refused with the nearest valid one."""
        things: Mapping[str, Declaration] = getattr(self, room)
        if name not in things:
            raise unknown(room.removesuffix("s"), name, things)
        return things[name]


def _modules(package: str) -> Iterator[Any]:
    try:
        room = importlib.import_module(package)
        yield room
        for found in sorted(pkgutil.iter_modules(room.__path__), key=lambda each: each.name):
            yield importlib.import_module(f"{package}.{found.name}")
    except DeclarationError:
        raise
    except Exception as failure:
        raise DeclarationError(
            f"The plug-in room `{package}` does not import: {type(failure).__name__}: {failure}. "
            "Mend or remove the file; Openbell does not start with a part missing."
        ) from failure


def _outside(group: str) -> Iterator[Any]:
    for point in sorted(entry_points(group=group), key=lambda each: each.name):
        try:
            yield point.load()
        except Exception as failure:
            raise DeclarationError(
                f"The plug-in `{point.name}` ({point.value}) does not import: {type(failure).__name__}: {failure}."
            ) from failure


def declared_in(module: Any, kind: type[Declaration]) -> list[Declaration]:
    """The declarations of `kind` that stand in `module` itself, in the order they are written."""
    return [
        thing
        for value in vars(module).values()
        if isinstance(value, tuple)
        for thing in value
        if isinstance(thing, kind) and thing.module == module.__name__
    ]


#: What only the end of a session tells, beside the columns of `core.session.OUTCOMES` and its labels.
_SESSION_END = frozenset({*OUTCOMES, *CLASSES, "entry_at", "exit", "exit_at", "label", "label_known_at"})


def _check_outcome(thing: Feature) -> None:
    """Refuse a feature of trades or sessions that looks at how they ended, by what it reads or by its name."""
    used = {thing.name, *thing.expression.meta.root_names()}
    if thing.reads == "trades" and (told := sorted((OUTCOME | _OUTCOME_NAMES) & used)):
        raise DeclarationError(
            f"The feature `{thing.name}` ({thing.module}) uses `{told[0]}`, which is known only when the trade has "
            "ended. A feature reads what was known when the trade was proposed: remove it."
        )
    if thing.reads in ("early", "session") and (told := sorted(_SESSION_END & used)):
        raise DeclarationError(
            f"The feature `{thing.name}` ({thing.module}) uses `{told[0]}`, which is known only after the cut-off of "
            "the session. A feature reads what was known at the cut-off: remove it."
        )


def collect(modules: Iterable[Any], kind: type[Declaration]) -> dict[str, Any]:
    """Declarations of `kind` in `modules` by name; a name used twice is refused with both places.

    A feature named as an output of the options desk's second stage is refused, and so is one of proposed trades that
    uses their outcome: it would be known only afterwards.
    """
    things: dict[str, Declaration] = {}
    for module in modules:
        for thing in declared_in(module, kind):
            if thing.name in things:
                raise DeclarationError(
                    f"The {kind.__name__.lower()} `{thing.name}` is declared twice: in `{things[thing.name].module}` "
                    f"and in `{thing.module}`. Rename one."
                )
            if kind is Feature and thing.name in STAGE_TWO_OUTPUTS:
                raise DeclarationError(
                    f"The feature `{thing.name}` ({thing.module}) is named as an output of stage 2, which is made "
                    "after the model has chosen. Stage 1 must not see it: remove or rename it."
                )
            if isinstance(thing, Feature):
                _check_outcome(thing)
            things[thing.name] = thing
    return things


def discover(rooms: Mapping[str, tuple[str, type[Declaration]]] = ROOMS) -> Catalogue:
    """Import every plug-in room and every entry point ``openbell.<room>``, and list what they declare."""
    return Catalogue(
        **{
            room: collect([*_modules(package), *_outside(f"openbell.{room}")], kind)
            for room, (package, kind) in rooms.items()
        }
    )
