"""Which candidate may speak: the best of those that are better than nothing, or none of them, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.evaluation import information_coefficients
from openbell.quant.significance import MINIMUM_BLOCKS, SuperiorSet, mean_block, stepm


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The champion, or None, and the evidence.

    Attributes
    ----------
    champion : name of the candidate with the largest studentised mean rank IC among StepM's survivors; None: no view.
    evidence : one row per candidate: ``candidate``, ``dates``, ``mean_rank_ic``, ``lower``, ``upper`` (95 %),
        ``statistic``, ``p_value`` (family-wise), ``survives``, ``abstains`` (why, or null).
    why : sentences with the numbers.
    tries, dates, block_sessions, replications, alpha, critical : what it was decided with.
    """

    champion: str | None
    evidence: pl.DataFrame
    why: tuple[str, ...]
    tries: int
    dates: int
    block_sessions: int
    replications: int
    alpha: float
    critical: float | None
    abstained: Mapping[str, str] = field(default_factory=dict)


def rank_ics(scores: pl.DataFrame, label: str, candidates: Sequence[str], *, min_names: int = 10) -> pl.DataFrame:
    """Rank IC of each candidate at each decision session.

    Parameters
    ----------
    scores : columns ``session``, `label`, and one per candidate. min_names : a date with fewer scored and labelled
        names has no IC.

    Returns
    -------
    polars.DataFrame
        ``session``, then one Float64 column per candidate, null where it has no IC; sorted; every session of `scores`.
    """
    table = scores.select("session").unique().sort("session")
    for name in candidates:
        each = information_coefficients(scores.select("session", name, label), score=name, outcome=label)
        enough = pl.when(pl.col("n_samples") >= min_names).then(pl.col("rank_ic")).alias(name)
        table = table.join(each.select("session", enough), on="session", how="left", maintain_order="left")
    return table


def choose(
    ics: pl.DataFrame,
    *,
    horizon: int,
    alpha: float = 0.01,
    replications: int = 2000,
    block_horizons: float = 2.0,
    seed: int = 0,
    abstained: Mapping[str, str] | None = None,
) -> Choice:
    """The candidate with the largest studentised mean rank IC among the survivors of StepM against zero.

    Parameters
    ----------
    ics : ``session`` and one column per candidate, as from `rank_ics`. Only dates on which every candidate that does
        not abstain has an IC are compared.
    horizon : sessions of the label. abstained : why a candidate has no scores at all.

    Returns
    -------
    Choice
        ``champion`` is None where nobody survives or the dates are too few; `why` says it with the numbers.
    """
    names = [name for name in ics.columns if name != "session"]
    reasons = dict(abstained or {})
    for name in names:
        if name not in reasons and ics[name].drop_nulls().is_empty():
            reasons[name] = f"The candidate `{name}` has no date with an IC."
    judged = [name for name in names if name not in reasons]
    if not names:
        raise BadInput("There is no candidate to choose from. Name at least one model.")
    common = ics.select("session", *judged).drop_nulls().sort("session")
    block = mean_block(horizon, common.height, block_horizons)
    if not judged or common.height < MINIMUM_BLOCKS * block:
        why = (
            f"No view: {common.height} dates on which every candidate has a rank IC are too few; "
            f"a mean block of {block} sessions needs {MINIMUM_BLOCKS * block}.",
            *reasons.values(),
        )
        empty = _evidence(names, None, reasons)
        return Choice(None, empty, why, len(judged), common.height, block, replications, alpha, None, reasons)
    found = stepm(
        common.select(judged).to_numpy(),
        judged,
        horizon=horizon,
        alpha=alpha,
        replications=replications,
        block_horizons=block_horizons,
        seed=seed,
    )
    return Choice(
        champion=found.best,
        evidence=_evidence(names, found, reasons),
        why=(*_sentences(found), *reasons.values()),
        tries=found.tries,
        dates=found.dates,
        block_sessions=found.block_sessions,
        replications=replications,
        alpha=alpha,
        critical=found.critical,
        abstained=reasons,
    )


def _evidence(names: Sequence[str], found: SuperiorSet | None, reasons: Mapping[str, str]) -> pl.DataFrame:
    columns = {"mean_rank_ic": "mean", **{each: each for each in ("lower", "upper", "statistic", "p_value")}}
    rows = []
    for name in names:
        row: dict[str, object] = {"candidate": name, "abstains": reasons.get(name)}
        if found is not None and name in found.names:
            at = found.names.index(name)
            row |= {column: float(getattr(found, source)[at]) for column, source in columns.items()}
            row |= {"dates": found.dates, "survives": bool(found.survives[at])}
        rows.append(row)
    schema = {
        "candidate": pl.String,
        "dates": pl.Int64,
        **dict.fromkeys(columns, pl.Float64),
        "survives": pl.Boolean,
        "abstains": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)


def _sentences(found: SuperiorSet) -> list[str]:
    test = (
        f"StepM against zero at {found.alpha:.1%}, one-sided: {found.tries} candidates tried on {found.dates} common "
        f"dates, stationary bootstrap with a mean block of {found.block_sessions} sessions and "
        f"{found.replications:,} replications; the critical value was {found.critical:.2f}."
    )
    if found.best is not None:
        at = found.names.index(found.best)
        survivors = ", ".join(name for name, survives in zip(found.names, found.survives, strict=True) if survives)
        head = (
            f"The champion is `{found.best}`: the largest studentised mean rank IC, {found.statistic[at]:.2f}, among "
            f"the survivors ({survivors})."
        )
    else:
        head = "No view: no candidate's mean rank IC is distinguishable from zero after the number of tries."
    each = [
        f"`{name}`: mean rank IC {found.mean[at]:+.4f} (95 % {found.lower[at]:+.4f} to {found.upper[at]:+.4f}), "
        f"studentised {found.statistic[at]:+.2f}, family-wise p {found.p_value[at]:.3f}."
        for at, name in enumerate(found.names)
    ]
    return [head, test, *each]
