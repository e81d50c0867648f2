"""Tournaments on record, what each entrant had to pass and did or did not, who is in office, what it cost to look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.lab.looks import tournament_files as files
from openbell.app.lab.looks.evaluation import belongs
from openbell.app.trainings import KINDS
from openbell.core.errors import DataMissing, OpenbellError, unknown

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.journal import Record

#: What every gate of an entrant is told by.
GATES: Mapping[str, Any] = {
    "entrant": pl.String, "gate": pl.String, "value": pl.Float64, "limit": pl.Float64, "passed": pl.Boolean,
    "why": pl.String,
}  # fmt: skip
_STOCKS = {
    "rank": "rank", "entrant": "entrant", "n": "n", "Sharpe": "sharpe", "its low": "sharpe_lower",
    "its high": "sharpe_upper", "a year": "cagr", "over equal weight, a year": "active_return",
    "max drawdown": "max_drawdown", "Calmar": "calmar", "turnover": "turnover", "p, StepM": "p_value",
    "deflated Sharpe": "deflated_sharpe", "weighted score": "weighted_score",
}  # fmt: skip
_OTHERS = {
    "entrant": "model", "kind": "kind", "n": "n", "score": "score", "its low": "low", "its high": "high",
    "p, StepM": "p_value",
}  # fmt: skip
#: What must be passed, in the words of the sentence that says so.
_INTERVAL, _STEPM, _ENOUGH = "interval_above_0", "stepm", "sessions"


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """One tournament.

    Attributes
    ----------
    record : of the journal. head, why : the verdict. board : a row per entrant, with the gates passed.
    gates : columns of `GATES`, each with its threshold and value. drawn : columns of `SCORES`, for the figure;
        `measure` is its axis. costs : at several levels of costs, or None. facts : name -> words.
    missing : what is not on record any more, in a sentence.
    """

    record: Record
    head: str
    why: tuple[str, ...]
    board: pl.DataFrame
    gates: pl.DataFrame
    drawn: pl.DataFrame
    measure: str
    chance: str
    costs: pl.DataFrame | None
    facts: Mapping[str, str]
    notes: tuple[str, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """Error that the tournaments of a desk have spent in a year, and what they may; each costs `alpha`."""

    year: int
    spent: float
    allowed: float
    alpha: float
    tournaments: int

    @property
    def left(self) -> int:
        """How many more may be held."""
        return max(int((self.allowed - self.spent + 1e-12) / self.alpha), 0)


def desks(home: Home) -> tuple[str, ...]:
    """Desks that were trained here, such as ``session.ES``, then the families of those that never were."""
    try:
        known = sorted({str(each.payload["desk"]) for each in home.kept_journal.records(kind=KINDS)})
    except DataMissing:
        known = []
    families = [name for name in home.catalogue.desks if not any(belongs(each, name) for each in known)]
    return (*known, *families)


def held(home: Home, desk: str) -> list[Record]:
    """Tournaments of `desk` on record, the newest first."""
    try:
        found = home.kept_journal.records(kind="tournament", desk=desk)
    except DataMissing:
        return []
    return sorted(found, key=lambda each: (each.at, each.seq), reverse=True)


def words(record: Record) -> str:
    """A tournament for a reader who chooses."""
    told = record.payload
    found = f"champion {told['champion']}" if told["champion"] else "no champion"
    return f"as of {told['session']} ({found}) {str(told['training'])[:8]}"


def one(home: Home, record: Record) -> Held:
    """Everything that is on record of one tournament."""
    desk = str(record.payload["desk"])
    return _of_stocks(home, record) if desk == "stocks" else _of_models(home, record)


def _of_stocks(home: Home, record: Record) -> Held:
    payload = record.payload
    made = files.selection(home, payload)
    ranking = files.table(home, payload, "backtest_comparison.csv")
    gates, costs = files.table(home, payload, "gates.csv"), files.table(home, payload, "cost_sensitivity.csv")
    head = f"{payload['champion']} is the champion." if payload["champion"] else "There is no champion."
    missing = ""
    if ranking is None or gates is None:
        missing = (
            f"The files of this tournament are not in reports/model_selection/{payload['session']} any more, so its "
            f"leaderboard is not shown. The same tournament again writes them: "
            f"`openbell tournament stocks --as-of {payload['session']}`."
        )
        ranking, gates = pl.DataFrame({"entrant": payload["entrants"]}), pl.DataFrame(schema=dict(GATES))
    gates = gates.select(list(GATES)).cast(dict(GATES))  # type: ignore[arg-type]
    rows = ranking
    drawn = pl.DataFrame() if "sharpe" not in rows.columns else rows.select(
        pl.col("entrant").alias("model"), pl.lit("candidate").alias("kind"), "n", score="sharpe", low="sharpe_lower",
        high="sharpe_upper", p_value="p_value", proven=pl.col("eligible"))  # fmt: skip
    return Held(
        record,
        head,
        tuple(payload["why"]),
        _board(_titled(rows, _STOCKS), gates),
        gates,
        drawn,
        "Sharpe ratio of the entrant, a year, after costs",
        "0 is cash; to be champion it must beat equal weight after all tries",
        None if costs is None else _at_costs(costs, rows),
        _facts(payload, made),
        tuple(payload["notes"]),
        missing,
    )


def _at_costs(costs: pl.DataFrame, ranking: pl.DataFrame) -> pl.DataFrame:
    """Sharpe ratio of the leading entrants at each level of costs, a column each."""
    first = ranking["entrant"].head(10).to_list()
    wide = costs.filter(pl.col("entrant").is_in(first)).pivot("cost_bp", index="entrant", values="sharpe")
    levels = [name for name in wide.columns if name != "entrant"]
    shown = wide.select("entrant", *(pl.col(name).round(2).alias(f"{float(name):g} bp") for name in levels))
    return pl.DataFrame({"entrant": first}).join(shown, on="entrant", how="inner", maintain_order="left")


def _facts(payload: Mapping[str, Any], made: Mapping[str, Any] | None) -> dict[str, str]:
    """What all entrants were held against together."""
    found = {"tries in the ledger": f"{payload['tries']:,}"}
    if payload.get("alpha") is not None:
        found["error of the test"] = f"{payload['alpha']:.1%}, over all entrants (StepM)"
    if payload.get("holdout_first"):
        found["not read"] = f"sessions from {payload['holdout_first']} on (hold-out)"
    significance = {} if made is None else made.get("significance", {})
    pbo, spa, trials = (significance.get(name, {}) for name in ("pbo", "spa", "trials"))
    if pbo.get("pbo") is not None:
        found["probability of overfitting (PBO)"] = f"{pbo['pbo']:.0%} of {pbo.get('splits', 0):,} splits; chance 50%"
    if spa.get("spa") is not None:
        found["best is no better than equal weight (SPA)"] = f"p {spa['spa']:.3f}"
    if trials.get("effective") is not None:
        found["independent tries"] = f"about {trials['effective']:.1f}"
    if made is not None:
        found["span"] = f"{made['first']} to {made['last']}, {made['sessions']:,} sessions"
    return found


def _of_models(home: Home, record: Record) -> Held:
    """A tournament of another desk: a training of the same form, whose test decides on an office."""
    from openbell.app.lab.looks.evaluation import Listed, evaluated

    payload = record.payload
    listed = Listed(str(payload["desk"]), str(payload["training"]), record.kind, str(payload["session"]),
                    payload["champion"])  # fmt: skip
    try:
        found = evaluated(home, listed)
    except OpenbellError as failure:
        empty = pl.DataFrame(schema=dict(GATES))
        return Held(record, _headed(payload), tuple(payload["why"]), pl.DataFrame(), empty, pl.DataFrame(), "", "",
                    None, _facts(payload, None), tuple(payload["notes"]), str(failure))  # fmt: skip
    rows = found.scores
    alpha = found.alpha if found.alpha is not None else home.settings.train.alpha
    gates = _gates(rows.filter(pl.col("kind") != "baseline"), alpha, _least(home, record))
    facts = {**_facts({**payload, "alpha": alpha}, None), "measured": found.measure}
    return Held(
        record, _headed(payload), tuple(payload["why"]), _board(_titled(rows, _OTHERS), gates), gates, found.scores,
        found.measure, found.chance, None, facts, tuple(payload["notes"]),
    )  # fmt: skip


def _headed(payload: Mapping[str, Any]) -> str:
    return f"{payload['champion']} is the champion." if payload["champion"] else "There is no champion."


def _least(home: Home, record: Record) -> int | None:
    """Sessions below which the session desk takes nothing as evidence, as its scores have it on record."""
    if str(record.payload["desk"]).partition(".")[0] != "session":
        return None
    from openbell.app.lab.looks.training import trained

    done: Any = trained(home, str(record.payload["desk"]), str(record.payload["training"]))
    return int(done.scores.min_sessions)


def _gates(rows: pl.DataFrame, alpha: float, least: int | None) -> pl.DataFrame:
    """What `proven` asks of a candidate, gate by gate, with value and limit; ``rows`` as `SCORES`."""
    made: list[tuple[Any, ...]] = []
    for row in rows.iter_rows(named=True):
        name, low, p = row["model"], row["low"], row["p_value"]
        value = "there is none" if low is None else f"was {low:+.5f}"
        made.append((name, _INTERVAL, low, 0.0, low is not None and low > 0,
                     f"The lower end of its 95 % interval must be above 0; {value}."))  # fmt: skip
        value = "it was not tested" if p is None else f"was {p:.3f}"
        made.append((name, _STEPM, p, alpha, p is not None and p <= alpha,
                     f"Its family-wise p must be at most {alpha:g}; {value}."))  # fmt: skip
        if least is not None:
            made.append((name, _ENOUGH, float(row["n"]), float(least), row["n"] >= least,
                         f"It must have forecast at least {least:,} sessions; there were {row['n']:,}."))  # fmt: skip
    return pl.DataFrame(made, schema=dict(GATES), orient="row")


def _titled(rows: pl.DataFrame, titles: Mapping[str, str]) -> pl.DataFrame:
    """The columns that are there, under their titles."""
    return rows.select(pl.col(name).alias(title) for title, name in titles.items() if name in rows.columns)


def _board(rows: pl.DataFrame, gates: pl.DataFrame) -> pl.DataFrame:
    """The leaderboard with how many gates each entrant passed, and the names of those that stopped it."""
    if rows.is_empty() or gates.is_empty():
        return rows
    counted = gates.group_by("entrant").agg(
        pl.format("{} of {}", pl.col("passed").sum(), pl.len()).alias("gates passed"),
        pl.col("gate").filter(~pl.col("passed")).str.replace_all("_", " ").str.join(", ").alias("stopped by"),
    )
    joined = rows.join(counted, on="entrant", how="left", maintain_order="left")
    return joined.with_columns(pl.col("gates passed").fill_null("baseline"), pl.col("stopped by").fill_null(""))


def office(home: Home, desk: str, now: dt.datetime) -> tuple[str, pl.DataFrame]:
    """Who is in office, in a sentence, and every change of office, the newest first."""
    from openbell.app.production import in_office, promotions

    columns = {"from": pl.String, "version": pl.String, "by": pl.String, "why": pl.String, "before it": pl.String}
    nobody = "Nobody is in office: the desk has no view of its own."
    try:
        _ = home.kept_journal
    except DataMissing:
        return nobody, pl.DataFrame(schema=columns)
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M} UTC", each.payload["version"], each.payload["by"],
         " ".join(each.payload["why"]), each.payload["previous"] or "nobody")
        for each in reversed(promotions(home, desk))
    ]  # fmt: skip
    try:
        found = in_office(home, now, desk)
        said = nobody if found is None else found.sentence
    except OpenbellError as failure:
        said = str(failure)
    return said, pl.DataFrame(rows, schema=columns, orient="row")


def budgets(home: Home, desk: str, now: dt.datetime) -> list[Budget]:
    """The error spent in this year, and in every year that a tournament on record was charged to."""
    try:
        _ = home.kept_journal
    except DataMissing:
        return []
    settings = home.settings
    alpha = settings.tournament.alpha if desk == "stocks" else settings.train.alpha
    years = {now.year, *(each.at.year for each in held(home, desk))}
    found = []
    for year in sorted(years, reverse=True):
        plans = home.trials.plans(desk, year)
        if plans or year == now.year:
            spent = sum(plans.values())
            found.append(Budget(year, spent, settings.tournament.alpha_per_year, alpha, len(plans)))
    return found


def tried(home: Home, desk: str) -> pl.DataFrame:
    """How many configurations of each kind the ledger counts."""
    from openbell.store.trials import KINDS as TRIED

    family = desk if desk in ("stocks",) or desk.startswith("options.") else desk.partition(".")[0]
    try:
        _ = home.kept_journal
    except DataMissing:
        return pl.DataFrame(schema={"kind": pl.String, "tries": pl.Int64})
    counts: list[tuple[str, int]] = [(kind, home.trials.count(family, kind)) for kind in TRIED]  # type: ignore[arg-type]
    return pl.DataFrame(counts, schema={"kind": pl.String, "tries": pl.Int64}, orient="row")


def holdout(home: Home, desk: str) -> tuple[str, pl.DataFrame]:
    """The hold-out as it stands, in a sentence, and every look at it."""
    columns = {"opened as of": pl.String, "champion": pl.String, "sessions": pl.String, "look": pl.Int64,
               "reason": pl.String, "found": pl.String}  # fmt: skip
    none = pl.DataFrame(schema=columns)
    if desk != "stocks":
        return "Only the tournaments of the stocks desk set sessions aside; this desk judges by its walk alone.", none
    from openbell.app.holdout import holdout as standing

    try:
        found = standing(home, desk)
    except OpenbellError as failure:
        return str(failure), none
    if found is None:
        return "No hold-out was set yet: the first tournament of the stocks desk sets one.", none
    opened = [
        (str(each.session), each.champion, f"{each.first} to {each.last}", each.looks, each.reason, _seen(each.result))
        for each in found.openings
    ]
    said = (
        f"{found.sessions:,} sessions from {found.first} to {found.last} are held out: no selection reads them. They "
        f"were opened {len(opened)} time{'' if len(opened) == 1 else 's'}."
    )
    return said, pl.DataFrame(opened, schema=columns, orient="row")


def _seen(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "no result: it was stopped before"
    plain = {name: each for name, each in result.items() if isinstance(each, (int, float)) and each is not True}
    return ", ".join(f"{name.replace('_', ' ')} {each:.4g}" for name, each in plain.items()) or "on record"


def command(desk: str) -> str:
    """What holds a tournament of `desk`."""
    family, _, of = desk.partition(".")
    date = " --as-of 2020-03-16" if family in ("stocks", "options") else ""
    option: Mapping[str, Callable[[str], str]] = {
        "options": lambda name: f" --underlying {name or 'SPX'}",
        "session": lambda name: f" --product {name}" if name else "",
    }
    return f"openbell tournament {family}{option.get(family, lambda _: '')(of)}{date}"


def known(names: Sequence[str], desk: str) -> str:
    """The desk that is asked for: of this name, or the first of that family; the first of all where none is asked for.

    Raises
    ------
    BadInput
        Where there is none such.
    """
    fits = [each for each in names if not desk or belongs(each, desk)]
    if not fits:
        raise unknown("desk", desk[:40], names)
    return fits[0]
