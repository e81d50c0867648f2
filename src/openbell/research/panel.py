"""Rows of features known at each decision and labels known later, joined without a look ahead."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.declare import Feature, Label
from openbell.core.errors import BadInput
from openbell.core.hashing import canonical_json, digest, frame_digest
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.quant.reach import tree
from openbell.research.compute import feature_rows, label_rows
from openbell.research.grid import lacking_fields
from openbell.research.universe import decisions, is_survivorship_biased, members

KEYS = ("session", "as_of", "symbol")
#: Symbols whose rows are joined at once: 128 names over ten years of 100 features hold about 130 MB.
SYMBOLS_AT_ONCE = 128
_COLUMNS_AT_ONCE = 16

Progress = Callable[[int, int, str], None]


def build_panel(
    view: View,
    features: Sequence[Feature],
    labels: Sequence[Label],
    *,
    universe: str | None,
    first: dt.date,
    last: dt.date,
    stride: int = 1,
    phase: int = 0,
    every_session_from: dt.date | None = None,
    lead_minutes: int = 30,
    benchmark: str | None = None,
    progress: Progress | None = None,
) -> Panel:
    """Features known at each decision of the members of `universe`, and their labels with when each became known.

    Parameters
    ----------
    first, last : decision sessions, both included; those after ``view.as_of`` are left out.
    stride : keeps one decision session in `stride`, counted on the calendar, so the choice does not depend on `first`.
    phase : which one: those whose number on the calendar leaves `phase` when it is divided by `stride`.
    every_session_from : from this decision session on, none is left out.
    lead_minutes : a decision is made this long before the open of its session.
    benchmark : a symbol that is never a member.

    Returns
    -------
    Panel
        ``frame`` sorted by (session, symbol): features Float32, null where a look-back is not full; each label as its
        rank within the date where it is declared so, null where its outcome is not known at ``view.as_of``.

        A row that was not known at its decision (a late or restated bar) is left out and counted in the notes.

    Raises
    ------
    BadInput
        Where no decision, no member or no row is left.
    """
    dated = _chosen(view, first, last, (stride, phase), every_session_from, lead_minutes)
    who = members(view, universe, dated["session"].to_list(), lead_minutes=lead_minutes, benchmark=benchmark)
    keyed = who.join(dated, on="session").with_columns((pl.col("number") - 1).alias("bar"))
    symbols = keyed["symbol"].unique().sort().to_list()
    lacking = lacking_fields(view)
    parts: list[_Part] = []
    for group in _groups(symbols):
        parts.append(_part(view, features, labels, keyed, group, lacking, lead_minutes))
        if progress is not None:
            progress(min(len(parts) * SYMBOLS_AT_ONCE, len(symbols)), len(symbols), "features")
    late, off = sum(part.late for part in parts), parts[0].switched_off
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    frames = [part.frame for part in parts]
    del parts
    frame = _sorted(frames)
    notes += _left_out(frame, keyed, late)
    frame, unlabelled = _labelled(view, frame, labels)
    notes += unlabelled
    if is_survivorship_biased(universe):
        notes = ["The universe is every stock in the tables: it is survivorship-biased.", *notes]
    used = tuple(each for each in features if each.name in frame.columns)
    notes += [f"`{name}` is switched off: {reason}" for name, reason in off.items()]
    made_of = {
        "features": [_made_of(each) for each in used],
        "labels": [_made_of(each) for each in labels],
        "universe": universe,
        "stride": stride,
        **({"phase": phase} if phase else {}),
        "every_session_from": every_session_from,
        "lead_minutes": lead_minutes,
        "data": frame_digest(frame),
    }
    names = tuple(each.name for each in used)
    return Panel(frame, names, tuple(each.name for each in labels), digest(made_of), tuple(notes))


def _made_of(declared: Feature | Label) -> list[str]:
    return [declared.name, declared.module, canonical_json(tree(declared.expression))]


def _chosen(
    view: View,
    first: dt.date,
    last: dt.date,
    grid: tuple[int, int],
    every_from: dt.date | None,
    lead_minutes: int,
) -> pl.DataFrame:
    """The decision sessions that are kept; `grid` is the stride and its phase."""
    stride, phase = grid
    if stride < 1:
        raise BadInput(f"`stride` must be at least 1; was {stride}.")
    if not 0 <= phase < stride:
        raise BadInput(f"`phase` must lie from 0 to {stride - 1} at a stride of {stride}; was {phase}.")
    dated = decisions(view.sessions, view.sessions.between(first, last), lead_minutes)
    kept = pl.col("number") % stride == phase
    if every_from is not None:
        kept = kept | (pl.col("session") >= every_from)
    dated = dated.filter((pl.col("as_of") <= view.as_of) & (pl.col("number") > 0) & kept)
    if dated.is_empty():
        raise BadInput(
            f"No decision from {first} to {last} was made by {view.as_of:%Y-%m-%d %H:%M} UTC. Choose an earlier range."
        )
    return dated


def _groups(symbols: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(symbols), SYMBOLS_AT_ONCE):
        yield symbols[start : start + SYMBOLS_AT_ONCE]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The rows of some symbols; `late` counts rows that were not known at their decision, and are left out."""

    frame: pl.DataFrame
    late: int
    switched_off: Mapping[str, str]
    notes: tuple[str, ...]


def _part(
    view: View,
    features: Sequence[Feature],
    labels: Sequence[Label],
    keyed: pl.DataFrame,
    symbols: list[str],
    lacking: Mapping[str, str],
    lead_minutes: int,
) -> _Part:
    """Rows of `symbols` at their decisions: the bar session's features move to the next decision session."""
    wanted = keyed.filter(pl.col("symbol").is_in(pl.Series(symbols).implode()))
    calendar = view.sessions
    bars = wanted["bar"].to_numpy()
    span = {"symbols": symbols, "first": calendar.dates[bars.min()], "last": calendar.dates[bars.max()]}
    numbers = calendar.frame.select("session", pl.col("number").cast(pl.Int64).alias("bar"))
    computed = feature_rows(view, features, lacking=lacking, lead_minutes=lead_minutes, **span)
    placed = computed.frame.join(numbers, on="session").drop("session").rename({"known_at": "row_known_at"})
    rows = wanted.join(placed, on=["symbol", "bar"])
    known = rows.filter(pl.col("row_known_at") <= pl.col("as_of"))
    late = rows.height - known.height
    if labels:
        ahead = label_rows(view, labels, lacking=lacking, **span).join(numbers, on="session").drop("session")
        known = known.join(ahead, on=["symbol", "bar"], how="left")
    return _Part(known.drop("bar", "number", "row_known_at"), late, computed.switched_off, computed.notes)


def _sorted(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """All rows of `frames`, which is emptied, by session and symbol; never are two whole panels in memory."""
    frame = pl.concat(frames, rechunk=False)
    frames.clear()
    order = frame.select(pl.arg_sort_by("session", "symbol")).to_series()
    names = frame.columns
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        frame = frame.with_columns(frame.select(names[start : start + _COLUMNS_AT_ONCE])[order])
    return frame


def _left_out(frame: pl.DataFrame, keyed: pl.DataFrame, late: int) -> list[str]:
    """What did not become a row, counted; refuses a panel that is empty."""
    absent = keyed.height - frame.height - late
    if frame.is_empty():
        raise BadInput(
            f"Of {keyed.height} members at their decisions {absent} had no bar the session before, and the bars of "
            f"{late} were known only after the decision. Import the missing bars, or a source with a shorter delay."
        )
    notes = []
    if absent:
        notes.append(f"{absent} of {keyed.height} members at their decisions had no bar the session before.")
    if late:
        notes.append(f"{late} of {keyed.height} rows stand on bars that became known after the decision: left out.")
    return notes


def _labelled(view: View, frame: pl.DataFrame, labels: Sequence[Label]) -> tuple[pl.DataFrame, list[str]]:
    """Labels by rank where declared so, and what could not be labelled although its time had come."""
    notes = []
    for each in labels:
        known_at = f"{each.name}_known_at"
        due = _due_sessions(view, each.horizon_sessions)
        lost = frame.filter(pl.col(each.name).is_null() & pl.col("session").is_in(due.implode()))
        if lost.height:
            notes.append(
                f"{lost.height} of {frame.height} rows have no `{each.name}`, because {lost['symbol'].n_unique()} "
                "names had no price when it was due: not trained on, which is a survivorship within the training."
            )
        if each.cross_section == "rank":
            frame = frame.with_columns(
                centred_rank(pl.col(each.name)).over("session").alias(each.name),
                pl.when(pl.col(each.name).is_not_null()).then(pl.col(known_at).max().over("session")).alias(known_at),
            )
        elif each.cross_section is not None:
            raise BadInput(f"The label `{each.name}` has the cross-section `{each.cross_section}`; valid is `rank`.")
    return frame, notes


def _due_sessions(view: View, horizon: int) -> pl.Series:
    """Decision sessions whose outcome `horizon` sessions later had closed by ``view.as_of``."""
    closed = view.sessions.index(view.sessions.last_closed(view.as_of))
    return pl.Series(view.sessions.dates[: max(closed + 1 - horizon, 0)], dtype=pl.Date)


def centred_rank(values: pl.Expr) -> pl.Expr:
    """Average rank of each value among the non-null ones, scaled to lie within (-0.5, 0.5); null stays null.

    ``(rank - (n + 1) / 2) / n``: the middle value gets 0, and so does every value of a constant column.
    """
    count = values.count()
    return (values.rank("average") - (count + 1) / 2) / count


def ranked(panel: Panel) -> Panel:
    """The panel with every feature replaced by its centred rank within its date (Float32, null stays null).

    Only rows of the same decision are compared, so it is causal by construction; training and serving both use it.
    """
    frame, features, labels, notes = panel.frame, panel.features, panel.labels, panel.notes
    recipe = digest([panel.recipe, "centred rank within the date"])
    del panel  # So that a caller who keeps no other reference has each column replaced, not copied.
    for start in range(0, len(features), _COLUMNS_AT_ONCE):
        names = features[start : start + _COLUMNS_AT_ONCE]
        frame = frame.with_columns(
            centred_rank(pl.col(name)).over("session").cast(pl.Float32).alias(name) for name in names
        )
    return Panel(frame, features, labels, recipe, notes)
