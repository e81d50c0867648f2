"""The full-information table: what every structure with every parameter set would have made on every past day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openbell.core.declare import Label
from openbell.core.errors import BadInput, DeclarationError, nearest
from openbell.core.time import MOMENT, Sessions
from openbell.quant.listing import Expiries, Programme, expiries
from openbell.quant.option_paths import NAMES, OPEN, UNPRICED, Costs, Exits, Outcomes, positions, simulate
from openbell.quant.option_positions import Positions
from openbell.quant.parameter_grids import Grid, grid
from openbell.quant.snapping import snapped
from openbell.quant.structures import STRUCTURES
from openbell.quant.surfaces import Surfaces

STRUCTURE = pl.Enum(list(STRUCTURES))
REASON = pl.Enum(list(NAMES.values()))


@dataclass(frozen=True, slots=True)
class CounterfactualSettings:
    """How the table is made.

    Attributes
    ----------
    structures : which. sets : parameter sets of each, 15 to 20; None: the usual. risk_fraction : of the account, that
        one unit of largest loss stands for in the utility. programme : what is listed, a name of `listing.PROGRAMMES`.
    american : whether an option is never worth less than its intrinsic value. jobs : threads.
    """

    structures: Sequence[str] = tuple(STRUCTURES)
    sets: int | None = None
    risk_fraction: float = 0.02
    programme: str | Programme = "SPX"
    american: bool = False
    exits: Exits = field(default_factory=Exits)
    costs: Costs = field(default_factory=Costs)
    jobs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.risk_fraction < 1:
            raise BadInput(f"`risk_fraction` must lie between 0 and 1; was {self.risk_fraction}.")
        strange = [each for each in self.structures if each not in STRUCTURES]
        if strange or not self.structures:
            raise BadInput(
                f"There is no structure `{strange[0]}`. {nearest(strange[0], STRUCTURES)}"
                if strange
                else "The table needs at least one structure; there was none."
            )


def utility(returns: np.ndarray, risk_fraction: float) -> np.ndarray:
    """Growth of the account per unit of risk, ``log(1 + f r) / f`` (Kelly 1956, Breiman 1961); about r for a small f.

    A return that would take the whole account counts as its limit, ``r = 1e-9 - 1/f``.
    """
    worst = 1e-9 - 1.0 / risk_fraction
    return np.asarray(np.log1p(risk_fraction * np.maximum(returns, worst)) / risk_fraction)


def counterfactuals(
    surfaces: Surfaces, calendar: Sessions, settings: CounterfactualSettings | None = None
) -> pl.DataFrame:
    """What every parameter set of every structure would have made, decided on each session but the last.

    Parameters
    ----------
    surfaces : one row per session of the underlying. calendar : of its exchange; it holds the sessions of the surfaces
        without a gap, and what comes after them, so that an expiry beyond the last price is known to be there.

    Returns
    -------
    polars.DataFrame
        Sorted by ``session``, ``structure``, ``parameter_set``. ``chain_session``: whose close set strikes and
        expiries; ``session``: the next one, the decision's, at whose close it is filled. ``premium`` (points),
        ``max_loss_usd``, ``pnl_usd`` of one unit after spread and commissions, ``return_on_risk`` (null where it has
        none), ``utility``, ``held_sessions``, ``exit_session``, ``reason``, ``modelled`` (whether any surface it was
        priced on is), and ``known_at``: the close of the exit session; of the fill where it could not be had; of the
        near expiry where a missing surface left it without a price; null while it is open.

    Raises
    ------
    BadInput
        Where the calendar does not hold the sessions of the surfaces in a row.
    """
    terms = settings or CounterfactualSettings()
    dates, closes = _calendar(surfaces, calendar)
    listed = expiries(dates, terms.programme)
    parts = [_structure(surfaces, listed, closes, grid(each, terms.sets), terms) for each in terms.structures]
    return pl.concat(parts).sort("session", "structure", "parameter_set", maintain_order=True)


def _calendar(surfaces: Surfaces, calendar: Sessions) -> tuple[np.ndarray, np.ndarray]:
    """Sessions and closing moments from the first session of the surfaces on."""
    frame = calendar.frame.filter(pl.col("session") >= surfaces.sessions[0].astype("datetime64[D]").item())
    dates = frame["session"].to_numpy().astype("datetime64[D]")
    n = len(surfaces.sessions)
    if len(dates) <= n or np.any(dates[:n] != surfaces.sessions.astype("datetime64[D]")):
        raise BadInput(
            f"The calendar of {calendar.exchange} must hold the {n} sessions of the surfaces in a row and go on after "
            "them. A day without a price needs a row too, with NaN in its surface."
        )
    return dates, frame["close_at"].to_numpy().astype("datetime64[us]")


def _structure(
    surfaces: Surfaces, listed: Expiries, closes: np.ndarray, asked: Grid, terms: CounterfactualSettings
) -> pl.DataFrame:
    """The rows of one structure."""
    sessions = surfaces.sessions.astype("datetime64[D]")
    chain = np.arange(len(sessions) - 1)
    placed = snapped(
        asked, listed, sessions[chain], surfaces.spot[chain], surfaces.increment[chain], sessions[chain + 1]
    )
    held = positions(asked, placed, chain + 1)
    result = simulate(surfaces, held, terms.exits, terms.costs, american=terms.american, jobs=terms.jobs)
    returns = result.return_on_risk
    closed = result.exit >= 0
    frame = pl.DataFrame(
        {
            "chain_session": sessions[held.entry - 1],
            "session": sessions[held.entry],
            "parameter_set": np.tile(np.arange(len(asked), dtype=np.int16), len(chain)),
            "premium": result.premium,
            "max_loss_usd": result.max_loss_usd,
            "pnl_usd": result.pnl_usd,
            "return_on_risk": returns,
            "utility": utility(returns, terms.risk_fraction),
            "held_sessions": result.held_sessions.astype(np.int16),
            "exit_session": np.where(closed, sessions[np.maximum(result.exit, 0)], np.datetime64("NaT", "D")),
            "reason": _names(result.reason),
            "modelled": _modelled(surfaces, held, result),
            "known_at": _known(held, result, closes, len(sessions)),
        },
        schema_overrides={"reason": REASON},
    )
    numbers = ("premium", "max_loss_usd", "pnl_usd", "return_on_risk", "utility")
    return frame.select(
        "session",
        "chain_session",
        pl.lit(asked.structure, dtype=STRUCTURE).alias("structure"),
        "parameter_set",
        *(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in numbers),
        pl.when(pl.col("held_sessions") >= 0).then(pl.col("held_sessions")),
        "exit_session",
        "reason",
        "modelled",
        pl.col("known_at").dt.replace_time_zone("UTC").cast(MOMENT),
    )


def _names(codes: np.ndarray) -> pl.Series:
    return pl.Series(codes).replace_strict(NAMES, return_dtype=REASON)


def _modelled(surfaces: Surfaces, held: Positions, result: Outcomes) -> np.ndarray:
    """Whether a surface between fill and exit is modelled, (p,)."""
    total = np.concatenate([[0], np.cumsum(surfaces.modelled)])
    last = np.where(result.exit >= 0, result.exit, np.minimum(held.entry, len(surfaces.sessions) - 1))
    return np.asarray(total[last + 1] > total[np.minimum(held.entry, last) - 1])


def _known(held: Positions, result: Outcomes, closes: np.ndarray, n: int) -> np.ndarray:
    """When each outcome was known, (p,) datetime64[us], NaT where it is not."""
    row = np.where(result.exit >= 0, result.exit, held.entry)
    near = np.where(held.ratio != 0, held.expiry, 2**62).min(axis=1)
    row = np.where(result.reason == UNPRICED, np.maximum(near, held.entry), row)
    unknown = (result.reason == OPEN) | (row >= n)
    return np.where(unknown, np.datetime64("NaT", "us"), closes[np.minimum(row, n - 1)])


def label_rows(table: pl.DataFrame, labels: Sequence[Label]) -> pl.DataFrame:
    """`labels` that read ``counterfactuals``, one row per session and structure, or ``hindsight``, one per session.

    Those of the second kind are taken over the rows that those of the first kind made. Each comes with
    ``<label>_known_at``, the latest moment at which a row that it touched was known: null, as is the label, while one
    of them is not.

    Raises
    ------
    DeclarationError
        On a label that reads something else, or on labels of both kinds of which the first are missing.
    """
    strange = [each for each in labels if each.reads not in _KEYS]
    if strange:
        raise DeclarationError(f"The label `{strange[0].name}` reads `{strange[0].reads}`; not a table of outcomes.")
    first = [each for each in labels if each.reads == "counterfactuals"]
    second = [each for each in labels if each.reads == "hindsight"]
    rows = _evaluated(table, first, _KEYS["counterfactuals"])
    if not second:
        return rows
    latest = pl.max_horizontal(*(f"{each.name}_known_at" for each in first)) if first else pl.col("known_at")
    some = pl.any_horizontal(pl.col(f"{each.name}_known_at").is_null() for each in first) if first else pl.lit(False)
    return _evaluated(rows.with_columns(pl.when(~some).then(latest).alias("known_at")), second, _KEYS["hindsight"])


_KEYS: Mapping[str, tuple[str, ...]] = {"counterfactuals": ("session", "structure"), "hindsight": ("session",)}


def _evaluated(table: pl.DataFrame, labels: Sequence[Label], keys: tuple[str, ...]) -> pl.DataFrame:
    """Each label as an aggregate over the rows of each key, with the latest `known_at` of those rows."""
    known = pl.when(~pl.col("known_at").is_null().any()).then(pl.col("known_at").max()).alias("_known_at")
    rows = table.group_by(*keys, maintain_order=True).agg(known, *(each.expression.alias(each.name) for each in labels))
    found = pl.col("_known_at").is_not_null()
    return rows.select(
        *keys,
        *(pl.when(found).then(pl.col(each.name)).alias(each.name) for each in labels),
        *(pl.col("_known_at").alias(f"{each.name}_known_at") for each in labels),
    )


def hindsight(table: pl.DataFrame, labels: Sequence[Label]) -> pl.DataFrame:
    """The best structure of each session, known when the last of its parameter sets was closed.

    Parameters
    ----------
    table : of `counterfactuals`. labels : those of the room that read it.

    Returns
    -------
    polars.DataFrame
        One row per session: ``utility_<structure>`` (null where no set of it could be had, or while one is open),
        the labels that read ``hindsight`` (the best structure, its margin to the second) and ``known_at``.
    """
    first = [each for each in labels if each.reads == "counterfactuals"]
    rows = label_rows(table, first)
    best = label_rows(table, labels)
    known = [name for name in best.columns if name.endswith("_known_at")]
    wide = rows.pivot(on="structure", index="session", values=first[0].name, maintain_order=True)
    wide = wide.rename({name: f"utility_{name}" for name in wide.columns if name != "session"})
    return wide.join(best.rename({known[0]: "known_at"}).drop(known[1:]), on="session", how="left")
