"""The daily run of the options desk: one function, read from top to bottom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app import outputs
from openbell.app.options_account import OptionAccount, account_of
from openbell.app.options_market import FeaturesOfDay, OptionMarketData, features_on, market_data
from openbell.app.options_output import decision_json
from openbell.app.options_simulate import Today, of_data
from openbell.app.options_training import OptionTraining, desk_of, latest_options
from openbell.core.errors import DataMissing, OpenbellError
from openbell.core.hashing import digest, frame_digest
from openbell.core.outlook import Outlook, quantile_columns
from openbell.core.proposal import OptionMarket, Proposal
from openbell.core.types import Book, Decision, Outcome
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.research.explanation import contributions, in_words
from openbell.research.stage_one import StageOne
from openbell.trade.judging import judge

if TYPE_CHECKING:
    from openbell.app.home import Home

OnStep = Callable[[str], None]
STEPS = (
    "pre-flight",
    "look at the market: surfaces, chains, 84 features",
    "load stage 1",
    "bring the account up to date",
    "stage 2 on similar days",
    "decide and judge",
    "put the decision on record",
    "write the decision and the report",
)
#: Contributions that are told of the chosen structure.
TOP = 5


@dataclass(frozen=True, eq=False)
class Decided:
    """A judged decision and everything it was made from; `outlook` and below are None where the desk abstained."""

    decision: Decision
    data: OptionMarketData
    features: FeaturesOfDay
    training: OptionTraining
    account: OptionAccount
    outlook: Outlook | None = None
    proposals: Mapping[str, Proposal] | None = None
    now: Today | None = None
    because: tuple[str, ...] = ()

    @property
    def proposal(self) -> Proposal | None:
        """Stage 2 of the structure that the decision names."""
        name = self.decision.details.get("structure")
        return None if self.proposals is None or name is None else self.proposals.get(name)


@dataclass(frozen=True, eq=False)
class Done:
    """What a run did, for the command line."""

    decided: Decided
    folder: Path
    executed: bool

    @property
    def exit_code(self) -> int:
        """1 where a safety check blocked; else 0, no trade and no call included."""
        return 1 if self.decided.decision.blocked else 0

    def as_json(self) -> dict[str, Any]:
        """The decision as it is written."""
        return {
            **decision_json(self.decided),
            "executed": self.executed,
            "report": str(self.folder / "report.html"),
            "folder": str(self.folder),
        }

    def lines(self) -> list[str]:
        """The decision in sentences."""
        decision = self.decided.decision
        said = [*decision.why, *self.decided.because]
        said += [
            f"{each.check}: {each.outcome.value}. {each.why}"
            for each in decision.verdicts
            if each.outcome is not Outcome.ALLOW
        ]
        ordered = "Executed: filled on paper at the close of the session." if self.executed else "Nothing was ordered."
        return [*said, ordered, f"Report: {self.folder / 'report.html'}"]


def run_options(
    home: Home,
    underlying: str,
    wanted: dt.date | None,
    *,
    execute: bool = False,
    capital_usd: float | None = None,
    out: Path | None = None,
    on_step: OnStep = lambda step: None,
) -> Done:
    """Decide for one session before its open, judge, record, and, where told to, order.

    An order is a record in the journal with a key of its own, and the account is what those records make of the chains:
    so a run that was killed anywhere is finished by running it again, and orders nothing twice.

    Raises
    ------
    DataMissing
        Where nothing was trained before, or the close before the session is not there.
    """
    on_step(STEPS[0])
    session = home.decision_session(wanted or _next(home, underlying))
    capital = home.settings.run.capital if capital_usd is None else capital_usd
    place = out or Path(home.settings.run.output_dir)
    decided = decide_options(home, underlying, session, capital, on_step=on_step)
    on_step(STEPS[6])
    ordered = execute and not decided.decision.blocked and bool(decided.decision.targets)
    record(home, decided, ordered)
    on_step(STEPS[7])
    folder = place / underlying / session.isoformat()
    from openbell.app.reports.options import options_report

    outputs.write_files(
        folder,
        {"decision.json": outputs.json_text(decision_json(decided)), "report.html": options_report(decided, ordered)},
    )
    return Done(decided, folder, ordered)


def _next(home: Home, underlying: str) -> dt.date | None:
    """The session after the latest bar of the underlying; other bars may go on after it, as a volatility index's do."""
    if not home.tables.exists("bars"):
        return None
    bars = home.tables.scan("bars").filter(pl.col("symbol") == underlying)
    last = bars.select(pl.col("session").max()).collect().item()
    return None if last is None else home.sessions.shift(last, 1)


def decide_options(
    home: Home, underlying: str, session: dt.date, capital_usd: float, *, on_step: OnStep = lambda step: None
) -> Decided:
    """From what was known to a judged decision. Reads, and writes nothing but caches."""
    view = home.view(session)
    before = home.sessions.shift(session, -1)
    training = latest_options(home, underlying, view.as_of)
    if training is None:
        raise DataMissing(
            f"Stage 1 of the options desk was not trained on {underlying} before {view.as_of:%Y-%m-%d %H:%M} UTC. "
            f"Train it with `openbell train options --underlying {underlying} --as-of {session}`."
        )
    on_step(STEPS[1])
    data = market_data(home, view, underlying)
    features = features_on(data, before, session)
    on_step(STEPS[2])
    stage = training.stage()
    on_step(STEPS[3])
    account = account_of(home, data, capital_usd)
    if features.missing:
        return _abstained(data, session, features, training, account)
    row = data.features.frame.filter(pl.col("session") == before).select(EIGHTY_FOUR)
    outlook = _outlook(data, session, stage, training, row, features)
    on_step(STEPS[4])
    try:
        now = of_data(data, before, session, account.book.value_usd)
        proposals = _proposals(outlook, now)
    except OpenbellError as failure:
        return _abstained(data, session, features, training, account, [str(failure)])
    on_step(STEPS[5])
    market = OptionMarket(
        as_of=view.as_of,
        session=session,
        underlying=underlying,
        spot=now.spot,
        chain_session=before,
        last_session=view.sessions.last_closed(view.as_of),
        modelled=now.modelled,
        open_positions=account.open_positions,
        open_risk_usd=account.open_risk_usd,
        margin_usd=account.margin_usd,
    )
    desk = home.catalogue.desks["options"]
    decide = partial(desk.decide, **home.settings.desks["options"])
    decision: Decision = decide(outlook, proposals, account.book, market)
    made_of = _made_of(home, training, row, now, account)
    decision = _judged(home, replace(decision, made_of=made_of), account.book, market)
    because = _because(stage, decision.details["structure"], row)
    return Decided(decision, data, features, training, account, outlook, proposals, now, because)


def _outlook(
    data: OptionMarketData,
    session: dt.date,
    stage: StageOne,
    training: OptionTraining,
    row: pl.DataFrame,
    features: FeaturesOfDay,
) -> Outlook:
    expected = stage.expected_utility(row)
    quantiles = stage.quantiles(expected)[0]
    rows = pl.DataFrame(
        {
            "structure": list(stage.structures),
            "expected_utility": expected[0],
            **{name: quantiles[:, at] for at, name in enumerate(quantile_columns())},
            "probability": stage.probabilities(row)[0],
        }
    )
    return Outlook(
        as_of=data.view.as_of,
        session=session,
        underlying=data.underlying,
        rows=rows,
        model=training.version,
        proven=training.champion is not None,
        modelled=features.modelled or bool(training.payload["modelled"]),
        why=tuple(training.payload["why"]),
    )


def _proposals(outlook: Outlook, now: Today) -> dict[str, Proposal]:
    """Stage 2 of the structures in their order, until one can be traded."""
    found: dict[str, Proposal] = {}
    for name in outlook.ranked:
        found[name] = now.proposal(name)
        if found[name].executable:
            break
    return found


def _abstained(
    data: OptionMarketData,
    session: dt.date,
    features: FeaturesOfDay,
    training: OptionTraining,
    account: OptionAccount,
    why: list[str] | None = None,
) -> Decided:
    """No call: what is missing is said, and nothing stands in for it."""
    grouped: dict[str, list[str]] = {}
    for name in features.missing:
        grouped.setdefault(features.reasons[name], []).append(f"`{name}`")
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in grouped.items()]
    said = [f"No call: {len(features.missing)} of the 84 features are unavailable.", *reasons] if reasons else []
    decision = Decision(
        desk="options",
        session=session,
        as_of=data.view.as_of,
        targets={},
        cash_weight=1.0,
        why=(*said, *(f"No call: {each}" for each in why or [])),
        details={"underlying": data.underlying, "structure": None, "contracts": 0, "abstained": True},
        made_of={"training": training.payload["training"], "settings": data.home.settings.hash},
    )
    market = OptionMarket(
        as_of=data.view.as_of, session=session, underlying=data.underlying, spot=float("nan"),
        chain_session=data.view.sessions.last_closed(data.view.as_of),
        last_session=data.view.sessions.last_closed(data.view.as_of), modelled=features.modelled,
    )  # fmt: skip
    return Decided(_judged(data.home, decision, account.book, market), data, features, training, account)


def _judged(home: Home, decision: Decision, book: Book, market: OptionMarket) -> Decision:
    """The decision with the verdict of every check of the desk; a blocked one trades nothing."""
    checks = home.catalogue.checks_of("options")
    limits = {each.name: home.settings.safety[each.name] for each in checks}
    judged = replace(decision, verdicts=judge(checks, decision, book, market, limits))  # type: ignore[arg-type]
    return replace(judged, targets={}) if judged.blocked else judged


def _made_of(
    home: Home, training: OptionTraining, row: pl.DataFrame, now: Today, account: OptionAccount
) -> dict[str, str]:
    import openbell

    chain = now.quotes.select("root", "expiry", "strike", "right", "bid", "ask")
    return {
        "features": frame_digest(row),
        "chain": frame_digest(chain),
        "similar": digest(now.similar.rows.tolist()),
        "model": training.payload["manifests"][training.leader],
        "training": training.payload["training"],
        "book": digest([round(account.book.value_usd, 6), account.open_positions]),
        "settings": home.settings.hash,
        "code": openbell.__version__,
    }


def _because(stage: StageOne, structure: str, row: pl.DataFrame) -> tuple[str, ...]:
    """The largest contributions to the expected utility of the structure; a decision does not wait for it."""
    model = stage.regressors.get(structure)
    if model is None:
        return (f"{structure} has too few past outcomes for a model of its own; their mean speaks.",)
    try:
        frame = row.select(model.features)
        found = contributions(model, frame)
        return tuple(in_words(found.values[0], model.features, frame.row(0, named=True), TOP, unit="utility"))
    except Exception as failure:  # whatever a library raises over its own model
        return (f"The forecast is not explained. {type(failure).__name__}: {failure}",)


def recorded(decided: Decided, ordered: bool) -> dict[str, Any]:
    """What the journal is told of a decision; the same decision derived again tells the same."""
    decision = decided.decision
    details = {name: value for name, value in decision.details.items() if name not in ("quantiles",)}
    return {
        "desk": desk_of(decided.data.underlying),
        "session": decision.session.isoformat(),
        "decision": decision.key,
        "targets": decision.targets,
        "details": outputs.finite(details),
        "why": decision.why,
        "verdicts": [[each.check, each.outcome.value, each.why] for each in decision.verdicts],
        "made_of": decision.made_of,
        "execute": ordered,
    }


def record(home: Home, decided: Decided, ordered: bool) -> None:
    """Journal the decision before its outcome is known; the same one again changes nothing."""
    decision, payload = decided.decision, recorded(decided, ordered)
    home.journal.append("decision", payload, at=decision.as_of, key=digest(["decision", decision.key, ordered]))
