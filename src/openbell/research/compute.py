"""Feature rows and label rows of a view: the one function behind training, serving and the audit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from openbell.core.bars import BAR_COLUMNS as FRAME_COLUMNS
from openbell.core.declare import Declaration, Feature, Label
from openbell.core.errors import BadInput, DeclarationError, nearest
from openbell.core.time import MOMENT
from openbell.core.view import View
from openbell.quant.chain_expressions import CHAIN_READS, DAYS
from openbell.quant.expressions import SHARED
from openbell.quant.reach import feature_reach, label_reach, lookback
from openbell.quant.session_expressions import EARLY_READS, SESSION_READS
from openbell.quant.statements import FILED
from openbell.research import filings
from openbell.research.grid import BAR_COLUMNS, lacking_fields, session_grid

#: Most features need at most so many rows; the others are computed apart where only a few days are wanted.
FEW_ROWS = 300
#: Symbols computed at once: 64 names over ten years of 160 columns take about 200 MB.
SYMBOLS_AT_ONCE = 64

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """Features of bars, one row per symbol and session that has a bar.

    Attributes
    ----------
    frame : ``session`` (of the bar), ``symbol``, ``known_at`` (when all rows the features stand on were known), then
        one column per feature that could be computed; null where a look-back is not full, never NaN or infinite.
        Sorted by symbol and session.
    switched_off : feature or family (``"ranges/*"``) -> why it could not be computed; it has no column.
    notes : what was left out or was not finite, in sentences.
    """

    frame: pl.DataFrame
    switched_off: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The features that have a column."""
        return tuple(self.frame.columns[3:])


def roots(expression: pl.Expr, defined: Mapping[str, pl.Expr]) -> tuple[str, ...]:
    """Columns that `expression` stands on, those that its shared columns stand on included."""
    found: dict[str, None] = {}
    waiting = list(expression.meta.root_names())
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting.extend(defined[name].meta.root_names() if name in defined else ())
    return tuple(found)


def stages(expressions: Iterable[pl.Expr], defined: Mapping[str, pl.Expr]) -> list[list[pl.Expr]]:
    """The shared columns that `expressions` need, in stages that each need only the ones before."""
    needed = {name for each in expressions for name in roots(each, defined) if name in defined}
    depth: dict[str, int] = {}
    for name in defined:
        if name in needed:
            depth[name] = 1 + max((depth.get(root, -1) for root in defined[name].meta.root_names()), default=-1)
    return [
        [defined[name].alias(name) for name in depth if depth[name] == level]
        for level in range(max(depth.values(), default=-1) + 1)
    ]


def rows_needed(features: Sequence[Feature]) -> int:
    """Rows to load so that the newest row of every feature is what the whole history would give.

    Half as much again where there is a recursion: the weight of what lies before is then about 1e-13.
    """
    bars = [each for each in features if each.reads == "bars"]
    return max(
        (lookback(each) * 3 // 2 if feature_reach(each).recursive else lookback(each) for each in bars), default=1
    )


def feature_rows(
    view: View,
    features: Sequence[Feature],
    *,
    symbols: Sequence[str] | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    dtype: type[pl.Float32] | type[pl.Float64] = pl.Float32,
    lead_minutes: int = 30,
    blackout_days: int = filings.BLACKOUT_DAYS,
    lacking: Mapping[str, str] | None = None,
    symbols_at_once: int = SYMBOLS_AT_ONCE,
    progress: Progress | None = None,
) -> FeatureRows:
    """Compute `features` at the bars of `symbols` from `first` to `last`, from what `view` knows.

    Parameters
    ----------
    symbols : None computes every symbol that has bars.
    first, last : sessions of bars, both included; None leaves the side open. With `first` only the rows that the
        look-backs need are read, so one day costs a few hundred sessions.
    dtype : Float32 for training and serving, Float64 for the audit.
    lead_minutes : the decision after a bar is made this long before the next open; filings known by then count.
    blackout_days : fundamentals are null for this many days after the day of a filing.
    lacking : what `lacking_fields` said of the data set, to ask it once for many calls.

    Returns
    -------
    FeatureRows
        Rows are those of the bars; a session without one has none. A row's ``known_at`` is that of its own bar, or of
        a later restatement within the look-back.

    Raises
    ------
    LeakFound : for a feature that looks forward. DeclarationError : for one that cannot be read or names no column.
    """
    asked = lacking if lacking is not None else lacking_fields(view)
    possible, switched_off = possible_features(features, asked, filings.filing_columns(view))
    needed = rows_needed(possible)
    grid = session_grid(view, symbols=symbols, first=_earlier(view, first, needed - 1), last=last)
    start = None if first is None else len(view.sessions.between(view.sessions.dates[0], first)) - 1
    modest = frozenset(each.name for each in possible if rows_needed([each]) <= FEW_ROWS)
    plan = Plan(view, possible, needed, dtype, lead_minutes, blackout_days, start, modest)
    parts, counted = [], 0
    names = grid.frame["symbol"].unique(maintain_order=True).to_list()
    for group in _groups(names, symbols_at_once):
        rows = plan.computed(grid.frame.filter(pl.col("symbol").is_in(pl.Series(group).implode())))
        parts.append(_between(rows, first, last).drop("is_bar"))
        counted += len(group)
        if progress is not None:
            progress(counted, len(names), "features")
    frame = pl.concat(parts, rechunk=False) if parts else _empty(possible, dtype)
    frame, notes = _finite(frame, [each.name for each in possible])
    return FeatureRows(frame, switched_off, (*grid.notes, *notes))


def _earlier(view: View, session: dt.date | None, rows: int) -> dt.date | None:
    if session is None:
        return None
    calendar = view.sessions
    at = len(calendar.between(calendar.dates[0], session)) - 1 - rows
    return calendar.dates[max(at, 0)]


def _between(rows: pl.DataFrame, first: dt.date | None, last: dt.date | None) -> pl.DataFrame:
    kept = pl.col("is_bar")
    if first is not None:
        kept = kept & (pl.col("session") >= first)
    if last is not None:
        kept = kept & (pl.col("session") <= last)
    return rows.filter(kept)


def _groups(names: Sequence[str], size: int) -> Iterator[list[str]]:
    if size < 1:
        raise BadInput(f"`symbols_at_once` must be at least 1; was {size}.")
    for start in range(0, len(names), size):
        yield list(names[start : start + size])


def _empty(features: Sequence[Feature], dtype: type[pl.DataType]) -> pl.DataFrame:
    keys: dict[str, Any] = {"session": pl.Date, "symbol": pl.String, "known_at": MOMENT}
    return pl.DataFrame(schema={**keys, **{each.name: dtype for each in features}})


def _finite(frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The frame with null for what is not finite, and a sentence for each feature that was not."""
    odd = frame.select((~pl.col(name).is_finite()).sum().alias(name) for name in names)
    bad = {name: count for name, count in odd.row(0, named=True).items() if count} if names else {}
    if not bad:
        return frame, ()
    frame = frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in bad)
    return frame, tuple(f"{count:,} values of `{name}` were not finite and are null." for name, count in bad.items())


def possible_features(
    features: Sequence[Feature], lacking: Mapping[str, str], columns: Sequence[str]
) -> tuple[list[Feature], dict[str, str]]:
    """The features whose columns the data have, and why the others are switched off."""
    possible, off = [], {}
    for each in features:
        if each.reads not in _READS:
            raise DeclarationError(f"The feature `{each.name}` reads `{each.reads}`. {nearest(each.reads, _READS)}")
        feature_reach(each)
        reason = _ELSEWHERE.get(each.reads)
        reason = reason or _reason(each, lacking, columns)
        if reason is None:
            possible.append(each)
        else:
            off[each.name] = reason
    return possible, off


_OF_CHAINS = (*CHAIN_READS, DAYS)
#: What the frames of the signals desk have and a table of daily bars lacks; labels alone read the price of a fill.
_OF_THE_SESSION = frozenset(FRAME_COLUMNS) - {*BAR_COLUMNS, "fill_price"}
#: Why a feature of options is not among those of bars.
OF_CHAINS = "it reads option chains or what stands beside an underlying: `openbell options features` computes it."
OF_TRADES = "it reads proposed option trades, not bars: the gate computes it (`openbell train gate`, `openbell odds`)."
OF_SESSIONS = "it reads a session up to its cut-off: `openbell train session` and `openbell run session` compute it."
_ELSEWHERE: Mapping[str, str] = {
    "trades": OF_TRADES,
    **dict.fromkeys(_OF_CHAINS, OF_CHAINS),
    **dict.fromkeys((EARLY_READS, SESSION_READS), OF_SESSIONS),
}
_READS = ("bars", "fundamentals", *_ELSEWHERE)


def _reason(feature: Feature, lacking: Mapping[str, str], columns: Sequence[str]) -> str | None:
    """Why `feature` cannot be computed from these data; None where it can."""
    fundamental = feature.reads == "fundamentals"
    named = roots(feature.expression, FILED if fundamental else SHARED)
    short = [name for name in named if name in lacking]
    if short:
        return "; ".join(dict.fromkeys(lacking[name] for name in short)) + "."
    if fundamental and not columns:
        return "there are no filings: the table `fundamentals` is not there."
    within = [name for name in named if name in _OF_THE_SESSION]
    if within and not fundamental:
        return f"bars of a day have no {', '.join(f'`{name}`' for name in within)}: only bars within the session do."
    known = (*BAR_COLUMNS, *columns, *FILED) if fundamental else (*BAR_COLUMNS, *SHARED)
    unknown = sorted(name for name in named if name not in known)
    if unknown and fundamental:
        return f"the filings have no column {', '.join(f'`{name}`' for name in unknown)}."
    if unknown:
        raise DeclarationError(
            f"The feature `{feature.name}` reads `{unknown[0]}`, which the bars do not have. "
            f"{nearest(unknown[0], BAR_COLUMNS)}"
        )
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a group of symbols is computed."""

    view: View
    features: Sequence[Feature]
    rows_back: int = 1
    dtype: type[pl.DataType] = pl.Float64
    lead_minutes: int = 30
    blackout_days: int = filings.BLACKOUT_DAYS
    first: int | None = None
    #: Features that need at most `FEW_ROWS` rows.
    modest: frozenset[str] = frozenset()

    def computed(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Keys, ``is_bar`` and the features of one group of symbols, from the session number `first` on."""
        on_filings = [each for each in self.features if each.reads == "fundamentals"]
        bars = restated(bars, self.rows_back)
        wanted = bars if self.first is None else bars.filter(pl.col("number") >= self.first)
        parts = [wanted.select("session", "symbol", "known_at", "is_bar")]
        parts += [self._on_bars(bars, rows, group) for rows, group in self._by_need()]
        values = pl.concat(parts, how="horizontal")
        if on_filings:
            values = self._with_fundamentals(values, wanted, on_filings)
        return values.select("session", "symbol", "known_at", *(each.name for each in self.features), "is_bar")

    def _by_need(self) -> list[tuple[int | None, list[Feature]]]:
        """The features of bars by the rows they need: for a few days most need far fewer than the hungriest."""
        on_bars = [each for each in self.features if each.reads == "bars"]
        if self.first is None:
            return [(None, on_bars)]
        few = [each for each in on_bars if each.name in self.modest]
        return [(FEW_ROWS, few), (None, [each for each in on_bars if each.name not in self.modest])]

    def _on_bars(self, bars: pl.DataFrame, rows: int | None, features: Sequence[Feature]) -> pl.DataFrame:
        if rows is not None and self.first is not None:
            bars = bars.filter(pl.col("number") > self.first - rows)
        values = evaluated(bars, [each.expression.cast(self.dtype).alias(each.name) for each in features], ["number"])
        return (values if self.first is None else values.filter(pl.col("number") >= self.first)).drop("number")

    def _with_fundamentals(self, values: pl.DataFrame, bars: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
        columns = filings.filing_columns(self.view)
        filed = [each for each in features if filings.reads_filings_only(each, columns)]
        daily = [each for each in features if each not in filed]
        for each in daily:
            filings.check_daily(each)
        rows = filings.filings(self.view, bars["symbol"].unique().to_list())
        needed = stages([each.expression for each in features], FILED)
        rows = filings.with_filing_features(rows, filed, needed)
        times = filings.decision_times(self.view, self.lead_minutes)
        days = bars.join(times, on="number", how="left").with_columns(pl.col("as_of").fill_null(self.view.as_of))
        days = filings.joined(days, rows, self.blackout_days)
        return values.with_columns(
            days.select(
                pl.max_horizontal("known_at", "filing_known_at").alias("known_at"),
                *(pl.col(each.name).cast(self.dtype) for each in filed),
                *(each.expression.cast(self.dtype).alias(each.name) for each in daily),
            )
        )


def restated(bars: pl.DataFrame, rows_back: int) -> pl.DataFrame:
    """The bars with ``known_at`` no earlier than that of any bar in the `rows_back` rows up to theirs.

    A bar restated later is known later; so is every feature that stands on it. Without restatements nothing changes.
    """
    latest = pl.col("known_at").cum_max().over("symbol")
    if bars.select((pl.col("known_at") < latest).any()).item() is not True:
        return bars
    moment = pl.col("known_at").to_physical().rolling_max(rows_back, min_samples=1).over("symbol")
    return bars.with_columns(pl.when(pl.col("is_bar")).then(moment.cast(MOMENT)).alias("known_at"))


def evaluated(bars: pl.DataFrame, expressions: Sequence[pl.Expr], keys: Sequence[str]) -> pl.DataFrame:
    """`keys` and `expressions` over the rows of each symbol; `bars` sorted by symbol and session.

    What the expressions share is computed once, in stages.
    """
    for stage in stages(expressions, SHARED):
        bars = bars.with_columns(_by_symbol(each) for each in stage)
    return bars.select(*keys, *(_by_symbol(each) for each in expressions))


def _by_symbol(expression: pl.Expr) -> pl.Expr:
    # The rows of a symbol stand together, so laying its values end to end keeps them at their rows.
    return expression.over("symbol", mapping_strategy="explode")


def label_rows(
    view: View,
    labels: Sequence[Label],
    *,
    symbols: Sequence[str] | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    lacking: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Labels at the bars of `symbols` from `first` to `last`, keyed like the features by the bar before the decision.

    Returns
    -------
    polars.DataFrame
        Columns ``session``, ``symbol`` and for each label ``<label>`` (Float64, null where it is not resolved) and
        ``<label>_known_at``: the latest moment at which a row it touched became known, derived from its expression.
        Ranks within a day are taken by the panel, which knows the members.
    """
    reaches = [label_reach(each) for each in labels]
    ahead = max((found.forward for found in reaches), default=0)
    back = max((found.back for found in reaches), default=1)
    grid = session_grid(view, symbols=symbols, first=_earlier(view, first, back - 1), last=_later(view, last, ahead))
    lacks = lacking if lacking is not None else lacking_fields(view)
    bars = grid.frame.with_columns(pl.col("close" if "open" in lacks else "open").alias("fill_price"))
    values = evaluated(
        bars, [each.expression.cast(pl.Float64).alias(each.name) for each in labels], ["session", "symbol", "is_bar"]
    )
    known = bars.select(
        pl.col("known_at").to_physical()
        .rolling_max(found.back + found.forward, min_samples=1).shift(-found.forward)
        .over("symbol", mapping_strategy="explode").cast(MOMENT).alias(f"{each.name}_known_at")
        for each, found in zip(labels, reaches, strict=True)
    )  # fmt: skip
    rows = _between(pl.concat([values, known], how="horizontal"), first, last)
    return rows.select("session", "symbol", *(part for each in labels for part in _resolved(each)))


def _resolved(label: Declaration) -> tuple[pl.Expr, pl.Expr]:
    value, known = pl.col(label.name), pl.col(f"{label.name}_known_at")
    return pl.when(value.is_finite()).then(value).alias(label.name), pl.when(value.is_finite()).then(known)


def _later(view: View, session: dt.date | None, rows: int) -> dt.date | None:
    if session is None:
        return None
    calendar = view.sessions
    at = len(calendar.between(calendar.dates[0], session)) - 1 + rows
    return calendar.dates[min(at, len(calendar.dates) - 1)]
