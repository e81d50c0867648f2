"""A tournament that may be shown: measured before the hold-out, every figure with its n, interval and tries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from openbell.app.reports.figures import OUT_OF_SAMPLE, Figure, TooFew, figure, is_index
from openbell.core.errors import Refused
from openbell.quant.intervals import Estimate, estimate, mean_block
from openbell.quant.performance import Performance, marks_per_year, performance
from openbell.research.contest import BASELINE, BENCHMARK, JOINED_BY, Contest

#: Curves drawn beside the benchmark and equal weight.
TOP = 5
#: Decisions are weekly: what the intervals of the curves allow for.
HORIZON_SESSIONS = 5
#: Resamples of the stationary bootstrap behind the intervals of the curves.
REPLICATIONS = 1000
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "matrix": (
        *("entrant", "model", "allocator", "cagr", "sharpe", "sharpe_lower", "sharpe_upper", "sharpe_se"),
        *("max_drawdown", "max_drawdown_sessions", "calmar", "turnover", "win_rate", "total_return", "volatility"),
        *("sortino", "value_at_risk_95", "expected_shortfall_95", "beta", "alpha", "information_ratio"),
        *("active_return", "active_sharpe", "regime_consistency", "weighted_score", "deflated_sharpe", "fallbacks"),
        *("statistic", "p_value", "survives", "eligible"),
    ),
    "equity": ("session", BASELINE, BENCHMARK),
    "active": ("session",),
    "regimes": ("entrant", "regime", "regime_name", "sessions", "mean_return", "volatility", "sharpe"),
    "gates": ("entrant", "gate", "value", "limit", "passed", "why"),
    "training": (
        *("model", "rows", "dates", "rank_ic", "rank_ic_lower", "rank_ic_upper", "rank_ic_ir", "score_sharpe"),
        *("status", "why"),
    ),
    "costs": ("entrant", "cost_bp", "sharpe", "cagr", "active_return"),
    "calibration": ("model", "session", "nominal", "coverage", "adaptive_coverage", "n"),
    "importance": ("model", "fold", "feature", "drop", "spread"),
    "shap": ("model", "feature", "mean_abs"),
    "tuning": ("model", "trial", "value", "default_value", "state"),
    "failures": ("where", "why"),
}


#: Columns of the matrix that every entrant has, and those that a champion cannot be without.
WHOLE = ("entrant", "model", "allocator", "weighted_score", "survives", "eligible", "fallbacks")
PROVEN = ("sharpe", "sharpe_lower", "sharpe_upper", "active_return", "p_value", "deflated_sharpe", "max_drawdown")


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """A checked tournament with what every output of it shares.

    Attributes
    ----------
    contest : as it was handed in, NaN read as missing. ranking : its matrix, the highest weighted score first, with
        ``rank`` and ``n`` (daily returns). gates : names, in the order in which they are asked.
    tries : configurations the ledger counts. effective : independent ones among them; None where it is not known.
    added : what each entrant adds to equal weight a year, with its interval. curves : measures of equal weight and the
        benchmark on the same sessions.
    """

    contest: Contest
    ranking: pl.DataFrame
    gates: tuple[str, ...]
    tries: int
    effective: float | None
    added: Mapping[str, Figure | TooFew]
    curves: Mapping[str, Performance]

    @property
    def leader(self) -> str | None:
        """The champion, chosen now or staying; else the highest weighted score; None where nobody was back-tested."""
        if self.contest.champion is not None:
            return self.contest.champion
        ahead = self.ranking.filter("eligible") if self.stays else self.ranking
        return None if ahead.is_empty() else str(ahead["entrant"][0])

    @property
    def stays(self) -> bool:
        """Whether nobody is promoted because the champion in office passed every gate and was not beaten."""
        return self.contest.champion is None and bool(self.ranking["eligible"].any())

    @property
    def top(self) -> tuple[str, ...]:
        """The entrants that are drawn: the best by weighted score, and the leader where it is not among them."""
        best = self.ranking["entrant"].head(TOP).to_list()
        leader = self.leader
        return (*best, *([leader] if leader is not None and leader not in best else []))

    @property
    def benchmark_name(self) -> str:
        """The benchmark's symbol; the universe's own index, which has no caps and no regimes, is called that."""
        return "the universe's own index" if is_index(self.contest.benchmark) else self.contest.benchmark

    @property
    def sessions(self) -> int:
        """Daily returns of every curve."""
        return self.contest.equity.height - 1

    def row(self, name: str) -> dict[str, object]:
        """The measures of one entrant."""
        return self.ranking.row(by_predicate=pl.col("entrant") == name, named=True)


def board(contest: Contest, *, replications: int = REPLICATIONS) -> Board:
    """The tournament as it may be shown; one that was measured in sample, or lacks n or tries, is refused."""
    found = checked(contest)
    tries, effective = tries_of(found)
    counts = {name: found.active[name].count() for name in found.active.columns if name != "session"}
    ranking = found.matrix.sort("weighted_score", "entrant", descending=[True, False]).with_row_index("rank", 1)
    ranking = ranking.with_columns(pl.col("entrant").replace_strict(counts, return_dtype=pl.Int64).alias("n"))
    return Board(
        contest=found,
        ranking=ranking,
        gates=tuple(found.gates["gate"].unique(maintain_order=True)),
        tries=tries,
        effective=effective,
        added={name: _added(found, name, tries, replications) for name in ranking["entrant"]},
        curves={name: _measured(found, name, replications) for name in (BASELINE, BENCHMARK)},
    )


def checked(contest: Contest) -> Contest:
    """The tournament with NaN read as missing; refused where a figure of it cannot be judged (check 5)."""
    _refuse_missing_columns(contest)
    _refuse_read_holdout(contest)
    found = replace(contest, **{name: _nan_as_missing(name, getattr(contest, name)) for name in COLUMNS})
    _refuse_unfit_matrix(found)
    _refuse_uncounted(found)
    _refuse_unproven_champion(found)
    return found


def _refuse_missing_columns(contest: Contest) -> None:
    for name, wanted in COLUMNS.items():
        missing = [each for each in wanted if each not in getattr(contest, name).columns]
        if missing:
            raise Refused(f"The tournament's `{name}` lacks {', '.join(f'`{each}`' for each in missing)}.")


def _refuse_read_holdout(contest: Contest) -> None:
    """Check 5 and 8: what selection saw must end before the hold-out begins."""
    if not contest.first < contest.last < contest.holdout_first:
        raise Refused(
            f"The report shows nothing but sessions before the hold-out: the tournament ran from {contest.first} to "
            f"{contest.last}, and the hold-out begins on {contest.holdout_first}."
        )
    for name in ("equity", "active", "calibration"):
        latest = getattr(contest, name)["session"].max()
        if latest is not None and latest >= contest.holdout_first:
            raise Refused(
                f"The tournament's `{name}` reaches {latest}, and the hold-out begins on {contest.holdout_first}; "
                "a selection that read it is not shown."
            )


def _nan_as_missing(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with NaN as null; an infinite value has no reading and is refused."""
    floats = [each for each, kind in frame.schema.items() if kind.is_float()]
    infinite = [each for each in floats if frame[each].is_infinite().any()]
    if infinite:
        raise Refused(f"The tournament's `{name}` holds infinite values in {', '.join(infinite)}; none is shown.")
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def _refuse_unfit_matrix(contest: Contest) -> None:
    """Each entrant once, with its score and its daily returns; a measure that is undefined for it may be missing."""
    matrix, names = contest.matrix, contest.matrix["entrant"]
    holes = [each for each in WHOLE if matrix[each].null_count()]
    if holes:
        raise Refused(f"The matrix of the tournament must have no holes; there are some in {', '.join(holes)}.")
    if names.n_unique() != names.len():
        raise Refused("An entrant stands twice in the matrix of the tournament.")
    for frame in ("equity", "active"):
        absent = sorted(set(names) - set(getattr(contest, frame).columns))
        if absent:
            raise Refused(f"The tournament's `{frame}` has no column for {', '.join(absent)}; so its n is unknown.")
    for name in names:
        if not contest.active[name].count():
            raise Refused(f"`{name}` has measures, but n is 0: a figure without its n is not shown.")


def _refuse_unproven_champion(contest: Contest) -> None:
    """A champion passed every gate, and every figure that says so is there."""
    champion = contest.champion
    if champion is None:
        return
    row = contest.matrix.filter(pl.col("entrant") == champion)
    if row.height != 1 or not row["eligible"][0]:
        raise Refused(f"`{champion}` is named champion and did not pass every gate; it is not shown as one.")
    missing = [each for each in PROVEN if row[each][0] is None]
    if missing:
        raise Refused(f"`{champion}` is named champion without its {', '.join(missing)}; it is not shown as one.")


def _refuse_uncounted(contest: Contest) -> None:
    """A coefficient needs its dates and interval, a regime its sessions, a coverage its rows."""
    judged = contest.training.filter(pl.col("rank_ic").is_not_null())
    for frame, name, needed in (
        (judged, "training", ("dates", "rank_ic_lower", "rank_ic_upper")),
        (contest.regimes.filter(pl.col("sharpe").is_not_null()), "regimes", ("sessions",)),
        (contest.calibration, "calibration", ("n", "nominal")),
    ):
        bare = [each for each in needed if frame[each].null_count()]
        if bare:
            raise Refused(f"The tournament's `{name}` has figures without {', '.join(bare)}; they are not shown.")


def tries_of(contest: Contest) -> tuple[int, float | None]:
    """Configurations in the ledger, and how many independent ones they amount to."""
    said = contest.significance.get("trials", {})
    raw, effective = said.get("raw"), said.get("effective")
    if not isinstance(raw, int) or raw < 1:
        raise Refused(
            f"The tournament does not say how many configurations were tried (`trials.raw` was {raw}); "
            "a result without its tries cannot be judged."
        )
    return raw, float(effective) if effective is not None and math.isfinite(effective) else None


def _added(contest: Contest, name: str, tries: int, replications: int) -> Figure | TooFew:
    """Mean daily active return in a year, with its stationary-bootstrap interval."""
    daily = contest.active[name].drop_nulls().to_numpy()
    yearly = marks_per_year(contest.equity["session"].to_list())
    block = mean_block(HORIZON_SESSIONS, len(daily))
    measured = estimate(yearly * daily, block=block, replications=replications)
    return as_figure(f"{name} less equal weight, per year", measured, 0.0, "nothing added", tries, "percent")


def as_figure(
    name: str, measured: Estimate, baseline: float | None, baseline_name: str, tries: int, unit: str = "number"
) -> Figure | TooFew:
    """What was measured out of sample among `tries` configurations."""
    how = {"baseline": baseline, "baseline_name": baseline_name, "tries": tries, "unit": unit}
    return figure(name, measured, split=OUT_OF_SAMPLE, **how)  # type: ignore[arg-type]


def _measured(contest: Contest, name: str, replications: int) -> Performance:
    dates, equity = contest.equity["session"].to_list(), contest.equity[name].to_numpy()
    return performance(dates, equity, horizon_sessions=HORIZON_SESSIONS, replications=replications)


def pair(entrant: str) -> tuple[str, str]:
    """Model and allocator of an entrant's name."""
    model, _, allocator = entrant.rpartition(JOINED_BY)
    return model, allocator
