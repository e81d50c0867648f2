"""The safety checks run on a decision, and a decision shrunk until every check is proven to hold."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Check
from openbell.core.errors import BadInput, nearest, unknown
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.costs import COMMISSION_BP, SLIPPAGE_BP
from openbell.quant.exposures import priced
from openbell.quant.trades import MAX_VOLUME_PCT, MIN_TRADE_USD, whole_share_trades
from openbell.quant.weights import sector_names

Limits = Mapping[str, Mapping[str, Any]]

#: Rounds of shrinking after which a decision that is still not proven is blocked.
ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Trading:
    """How targets become trades: see `quant.trades.whole_share_trades`."""

    min_trade_usd: float = MIN_TRADE_USD
    commission_bp: float = COMMISSION_BP
    slippage_bp: float = SLIPPAGE_BP
    max_volume_pct: float = MAX_VOLUME_PCT


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps a shrunk decision is brought back under, as fractions of the account."""

    max_position_pct: float = 1.0
    max_sector_weight: float = 1.0


def judge(
    checks: Iterable[Check],
    decision: Decision,
    book: Book,
    market: Market,
    limits: Limits | None = None,
    *,
    unavailable: str = "report",
) -> tuple[Verdict, ...]:
    """The verdict of every check, by name; a check that raises, or answers something else, blocks.

    Parameters
    ----------
    checks : declared checks. limits : by check, values for its keyword settings; a check without takes its defaults.
    unavailable : "report" or "refuse": whether a check whose data are missing lets the decision pass.
    """
    ordered = sorted(checks, key=lambda check: check.name)
    _refuse_unknown(ordered, limits or {}, unavailable)
    verdicts = (_verdict(check, decision, book, market, (limits or {}).get(check.name, {})) for check in ordered)
    return tuple(_refused(verdict) if unavailable == "refuse" else verdict for verdict in verdicts)


def with_trades(decision: Decision, book: Book, market: Market, trading: Trading | None = None) -> Decision:
    """`decision` with the whole-share trades that lead from `book` to its targets."""
    how = trading or Trading()
    trades = whole_share_trades(
        decision.targets,
        book,
        market.names,
        min_trade_usd=how.min_trade_usd,
        commission_bp=how.commission_bp,
        slippage_bp=how.slippage_bp,
        max_volume_pct=how.max_volume_pct,
    )
    return replace(decision, trades=trades)


def shrunk(
    decision: Decision,
    book: Book,
    market: Market,
    verdicts: Iterable[Verdict],
    *,
    caps: Caps | None = None,
    trading: Trading | None = None,
    margin: float = 0.0,
    trim: bool = True,
) -> Decision:
    """`decision` moved back towards the book as far as `verdicts` ask, with new whole-share trades.

    The target of a name becomes ``held + s * (target - held)``, s the smallest scale any verdict allows it (less
    `margin`, where that is below 1). Where a shrunk sale leaves no room for the purchases, those shrink alike: the
    invested part never exceeds that of the path from book to targets, and no purchase raises a sector above its cap.
    With `trim`, names and sectors that the market carried above `caps` are then brought down to them, but for names
    whose own trade a verdict limits. The result has no verdicts.
    """
    asked = [verdict for verdict in verdicts if verdict.outcome is Outcome.SHRINK]
    overall = min((verdict.scale for verdict in asked), default=1.0)
    overall *= 1.0 - margin if overall < 1.0 else 1.0
    rows = priced(decision.targets, book, market.names)
    held, aimed = rows["held_weight"].to_numpy(), rows["target_weight"].to_numpy()
    single = np.array([min((v.by_symbol.get(name, 1.0) for v in asked), default=1.0) for name in rows["symbol"]])
    moved = _moved(held, aimed, np.minimum(single, overall), overall)
    limited = set(decision.details.get("limited", ())) | set(rows["symbol"].to_numpy()[single < 1.0].tolist())
    free = ~rows["symbol"].is_in(sorted(limited)).to_numpy() & trim
    trimmed = _trimmed(held, moved, free, sector_names(rows["sector"].to_list()), caps or Caps())
    targets = {name: weight for name, weight in zip(rows["symbol"], trimmed.tolist(), strict=True) if weight > 0.0}
    trims = set(decision.details.get("cap_trims", ())) if overall > 0.0 else set()
    trims |= set(rows.filter(pl.Series((trimmed < moved - 1e-12) & (trimmed < held - 1e-12)))["symbol"])
    staged = replace(
        decision,
        targets=targets,
        cash_weight=1.0 - float(trimmed.sum()),
        details={**decision.details, "cap_trims": sorted(trims), "limited": sorted(limited)},
        verdicts=(),
    )
    return with_trades(staged, book, market, trading)


def judged(
    checks: Iterable[Check],
    decision: Decision,
    book: Book,
    market: Market,
    limits: Limits | None = None,
    *,
    trading: Trading | None = None,
    unavailable: str = "report",
) -> Decision:
    """`decision` with trades and verdicts: shrunk until every check holds on the very trades that would be ordered.

    Each round judges the whole decision again. It ends allowed (each check ALLOW, or SHRINK with the proof of the
    last round), or blocked: by a check, or because `ROUNDS` rounds brought no proof. ``details["desk_targets"]``
    keeps what the desk wanted.
    """
    listed = tuple(checks)
    caps = _caps(listed, limits or {})
    wanted = {**decision.details, "desk_targets": dict(decision.targets)}
    current = with_trades(replace(decision, details=wanted, verdicts=()), book, market, trading)
    shrinks: dict[str, Verdict] = {}
    for number in range(ROUNDS):
        verdicts = judge(listed, current, book, market, limits, unavailable=unavailable)
        outcomes = {verdict.outcome for verdict in verdicts}
        if Outcome.BLOCK in outcomes or Outcome.SHRINK not in outcomes:
            return replace(current, verdicts=tuple(_remembered(verdict, shrinks) for verdict in verdicts))
        for verdict in verdicts:
            if verdict.outcome is Outcome.SHRINK:
                shrinks.setdefault(verdict.check, verdict)
        # Whole shares can land just above a limit again and again: later rounds leave a growing margin.
        margin = 0.0 if number == 0 else 0.001 * 2.0 ** (number - 1)
        # Trims that the other checks do not let through must not keep the rest from being proven.
        trim = number < ROUNDS // 2
        current = shrunk(
            current, book, market, verdicts, caps=caps, trading=trading, margin=min(margin, 0.5), trim=trim
        )
    why = f"After {ROUNDS} rounds of shrinking not every check held; nothing is ordered."
    return replace(current, verdicts=(*verdicts, Verdict("judging", Outcome.BLOCK, why)))


def _verdict(check: Check, decision: Decision, book: Book, market: Market, settings: Mapping[str, Any]) -> Verdict:
    try:
        verdict = check.run(decision, book, market, **settings)
    except Exception as failure:  # whatever goes wrong inside a check, the decision must not pass it
        why = f"The check `{check.name}` failed, so it blocks: {type(failure).__name__}: {failure}"
        return Verdict(check.name, Outcome.BLOCK, why, available=False)
    if not isinstance(verdict, Verdict) or verdict.check != check.name:
        why = f"The check `{check.name}` answered {type(verdict).__name__} instead of its own verdict, so it blocks."
        return Verdict(check.name, Outcome.BLOCK, why, available=False)
    return verdict


def _refused(verdict: Verdict) -> Verdict:
    if verdict.available or verdict.outcome is Outcome.BLOCK:
        return verdict
    return replace(verdict, outcome=Outcome.BLOCK, why=f"{verdict.why} The setting `run.unavailable` refuses that.")


def _refuse_unknown(checks: Iterable[Check], limits: Limits, unavailable: str) -> None:
    by_name = {check.name: check for check in checks}
    if not by_name:
        raise BadInput("There is no safety check to judge by; a decision without verdicts cannot become orders.")
    if unavailable not in ("report", "refuse"):
        raise unknown("way to treat an unavailable check", unavailable, ("report", "refuse"))
    for name, settings in limits.items():
        if name not in by_name:
            raise unknown("check", name, by_name)
        valid = by_name[name].settings.keys() & _parameters(by_name[name])
        for key in settings:
            if key not in valid:
                raise BadInput(f"The check `{name}` has no setting `{key}`. {nearest(key, valid)}")


@functools.cache
def _parameters(check: Check) -> frozenset[str]:
    """Names that the check takes; looked up once, for the gate asks on every request."""
    return frozenset(inspect.signature(check.run).parameters)


def _caps(checks: Iterable[Check], limits: Limits) -> Caps:
    found = {check.name: {**check.settings, **limits.get(check.name, {})} for check in checks}
    return Caps(
        max_position_pct=float(found.get("position_cap", {}).get("max_position_pct", 1.0)),
        max_sector_weight=float(found.get("sector_cap", {}).get("max_sector_weight", 1.0)),
    )


def _remembered(verdict: Verdict, shrinks: Mapping[str, Verdict]) -> Verdict:
    before = shrinks.get(verdict.check)
    if before is None or verdict.outcome is Outcome.BLOCK:
        return verdict
    return replace(before, why=f"{before.why} Proven after shrinking: {verdict.why}", measured=verdict.measured)


Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _moved(held: Floats, aimed: Floats, scale: Floats, overall: float) -> Floats:
    moved: Floats = np.maximum(held + scale * (aimed - held), 0.0)
    ceiling = min(float(held.sum() + overall * (aimed.sum() - held.sum())), 1.0)
    raised = np.maximum(moved - held, 0.0)
    excess = float(moved.sum()) - ceiling
    if excess > 1e-12 and raised.sum() > 0.0:
        moved = moved - raised * min(excess / float(raised.sum()), 1.0)
    return moved


def _trimmed(
    held: Floats,
    moved: Floats,
    free: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    sectors: list[str] | None,
    caps: Caps,
) -> Floats:
    trimmed: Floats = np.where(free, np.minimum(moved, caps.max_position_pct), moved)
    if sectors is None:
        return trimmed
    labels = np.asarray(sectors)
    for sector in np.unique(labels):
        inside = labels == sector
        if trimmed[inside].sum() > caps.max_sector_weight + 1e-12:
            given_way = _given_way(held[inside], trimmed[inside], caps.max_sector_weight)
            fixed = float(given_way[~free[inside]].sum())
            given_way[free[inside]] = _levelled(given_way[free[inside]], max(caps.max_sector_weight - fixed, 0.0))
            trimmed[inside] = given_way
    return trimmed


def _given_way(held: Floats, weights: Floats, cap: float) -> Floats:
    """The purchases of one sector cut back, as far as its cap asks and they reach."""
    raised = np.maximum(weights - held, 0.0)
    excess = float(weights.sum()) - cap
    cut: Floats = weights - raised * min(excess / float(raised.sum()), 1.0) if raised.sum() > 0.0 else weights.copy()
    return cut


def _levelled(weights: Floats, cap: float) -> Floats:
    """The heaviest names brought down to one common level, so that all sum to `cap`."""
    if weights.sum() <= cap + 1e-12:
        return weights
    heavy = np.sort(weights)
    below = np.concatenate([[0.0], np.cumsum(heavy)])[:-1]
    levels = (cap - below) / np.arange(len(heavy), 0, -1)
    under: Floats = np.minimum(weights, max(levels[int(np.argmax(levels <= heavy))], 0.0))
    return under
