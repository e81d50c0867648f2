"""What a training of each desk found, out of its record; nothing is scored anew here, cells are only counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.lab.looks.evaluation_found import (
    CONFUSION,
    IMPORTANCE,
    RELIABILITY,
    Evaluated,
    nothing,
    scores_of,
    told,
)
from openbell.core.session import NO_CALL

if TYPE_CHECKING:
    from openbell.app.gate_training import GateTraining
    from openbell.app.home import Home
    from openbell.app.options_training import OptionTraining
    from openbell.app.session_training import SessionTraining
    from openbell.app.signals_training import SignalsTraining
    from openbell.app.training import Trained

_SAID = {
    "model": ("model", ""), "n": ("n", ",d"), "sessions": ("sessions", ",d"), "days": ("days", ",d"),
    "skill, nats": ("skill_nats", "+.4f"), "accuracy": ("accuracy", ".1%"), "commonest class": ("commonest", ".1%"),
    "AUC (chance 0.5)": ("auc", ".3f"), "log-loss": ("log_loss", ".4f"), "of base rates": ("base_log_loss", ".4f"),
    "Brier": ("brier", ".4f"), "its base": ("base_brier", ".4f"), "ECE": ("ece", ".3f"),
    "ECE by chance": ("ece_by_chance", ".3f"), "calls": ("calls", ",d"), "calls right": ("calls_right", ".1%"),
    "base rate of calls": ("calls_base", ".1%"), "coverage": ("coverage", ".1%"), "promised": ("promised", ".1%"),
    "p, family-wise": ("p_value", ".3f"),
}  # fmt: skip
_GATE = {
    "model": ("model", ""), "n": ("n", ",d"), "days": ("days", ",d"), "skill, nats": ("skill_nats", "+.5f"),
    "USD a day over all": ("usd_over_all", "+,.0f"), "USD a day over the price": ("usd_over_price", "+,.0f"),
    "accuracy": ("accuracy", ".1%"), "of base rate": ("base_accuracy", ".1%"), "AUC (chance 0.5)": ("auc", ".3f"),
    "Brier": ("brier", ".4f"), "ECE": ("ece", ".3f"), "ECE by chance": ("ece_by_chance", ".3f"),
    "taken": ("taken", ",d"), "p, nats": ("p_nats", ".3f"), "p, USD": ("p_usd", ".3f"),
}  # fmt: skip
_OPTIONS = {
    "strategy": ("strategy", ""), "kind": ("kind", ""), "days": ("days", ",d"), "trades": ("trades", ",d"),
    "utility a day": ("mean_utility", "+.4f"), "win rate": ("win_rate", ".1%"), "regret": ("mean_regret", ".4f"),
    "Sharpe of trades": ("sharpe", "+.2f"), "p, family-wise": ("p_value", ".3f"),
}  # fmt: skip
_CHOICES = {
    "model": ("candidate", ""), "n": ("n", ",d"), "accuracy": ("accuracy", ".1%"),
    "of base rates": ("base_accuracy", ".1%"), "top 3": ("top3", ".1%"), "top 3 of base rates": ("base_top3", ".1%"),
    "log-loss": ("log_loss", ".4f"), "log-loss of base rates": ("base_log_loss", ".4f"),
    "calibration error": ("calibration_error", ".3f"),
}  # fmt: skip
_NO_DRIFT = "This desk keeps no drift watch of its forecasts."


def _common(done: Any, evidence: str | None = None) -> dict[str, Any]:
    """Verdict, test, notes and hashes of a training of any desk."""
    payload = done.payload
    why = tuple(str(each) for each in payload["why"])
    first = evidence or (why[0] if why else "")
    head, rest = (f"{payload['champion']} proved itself.", first) if payload["champion"] else (
        "Not enough evidence.", first)  # fmt: skip
    hashes = {"training": payload["training"], "data": payload.get("data"), "settings": payload["settings"],
              "recipe": payload.get("plan"), "models": payload.get("manifest"),
              **{f"model {name}": each for name, each in (payload.get("manifests") or {}).items()},
              **{f"evidence {name}": each for name, each in payload["evidence"].items()}}  # fmt: skip
    return {
        "desk": payload["desk"], "training": payload["training"], "head": head, "rest": rest, "why": why[1:],
        "notes": tuple(payload["notes"]), "tries": int(payload["tries"]),
        "made_of": {name: str(each) for name, each in hashes.items() if each},
    }  # fmt: skip


def of_session(home: Home, done: SessionTraining) -> Evaluated:
    """The session desk: all of it is on record."""
    from openbell.app.reports.session_tables import headline

    scores = done.scores
    common = _common(done)
    if not done.champion:
        head, rest = headline(scores.evidence)
        common |= {"head": f"Not enough evidence. {head}" if "evidence" not in head.lower() else head, "rest": rest}
    two = len(scores.label_classes) == 2
    base = {(row["model"], "likeliest"): row["commonest"] for row in scores.models.iter_rows(named=True)}
    for row in scores.models.iter_rows(named=True):
        base |= {(row["model"], name): row[f"share_{name.lower()}"] for name in scores.label_classes}
    return Evaluated(
        **common,
        measure="skill over the base rates, nats per session",
        chance="0 is what the base rates known then already said",
        scores=_ranked(_nats(scores.models)),
        table=told(scores.models, _SAID),
        shown=done.leader,
        alpha=scores.alpha,
        made_up=scores.made_up,
        classes=scores.label_classes,
        confusion=scores.confusion.cast(dict(CONFUSION)).select(list(CONFUSION)),  # type: ignore[arg-type]
        reliability=_reliability(scores.reliability.filter(pl.col("of") == scores.label_classes[-1])
                                 if two else scores.reliability),
        base=base,
        extra={"Sessions that it takes to tell an accuracy from the commonest class": told(scores.needed, {
            "accuracy": ("accuracy", ".0%"), "commonest class": ("base_rate", ".1%"), "power": ("power", ".0%"),
            "sessions": ("sessions", ",d")})},
        lineage=done.evidence("lineage"),
    )  # fmt: skip


def of_signals(home: Home, done: SignalsTraining) -> Evaluated:
    """The signals desk; the cells of its confusion matrix are counted out of its walk."""
    scores, weighed = done.scores, done.evidence("importance")
    base = {(row["model"], "likeliest"): row["commonest"] for row in scores.models.iter_rows(named=True)}
    lineage = done.evidence("lineage")
    return Evaluated(
        **_common(done),
        measure="skill over the base rates, nats per decision",
        chance="0 is what the base rates known then already said",
        scores=_ranked(_nats(scores.models)),
        table=told(scores.models, _SAID),
        shown=done.leader,
        alpha=scores.alpha,
        made_up=scores.made_up,
        classes=("SELL", "HOLD", "BUY"),
        confusion=_of_calls(done.evidence("walk")),
        reliability=_reliability(scores.reliability.with_columns(of=pl.lit("likeliest"))),
        base=base,
        importance=_weights(weighed),
        weight="mean size of what each feature added, as the training measured it",
        lineage=lineage.filter(pl.col("off").is_null()).drop("off") if "off" in lineage.columns else lineage,
        lacks=(
            "The signals desk keeps no rows of features beside its walk, so a past decision is not explained here; "
            "every signal tells its reasons and its features on the page Signals.",
            _NO_DRIFT + " How long its calls last is told on the page Signals.",
        ),
    )


def of_gate(home: Home, done: GateTraining) -> Evaluated:
    """The gate: said to win or not by the threshold, and what became of the trade."""
    scores = done.scores
    rows = scores.models.with_columns(p_value=pl.col("p_nats"))
    base = {(row["model"], "win"): row["base_rate"] for row in scores.models.iter_rows(named=True)}
    drift = _of_frame(done, "drift")
    found = {} if drift is None else {"Features of late against all days before: it drifts what is farther off than "
                                      "nearly any stretch of the past as long": _drifted(drift)}  # fmt: skip
    return Evaluated(
        **_common(done),
        measure="skill over the price, nats per trade",
        chance="0 is what the odds in the price already said",
        scores=_ranked(_nats(rows)),
        table=told(scores.models, _GATE),
        shown=done.leader,
        alpha=scores.alpha,
        made_up=scores.modelled,
        classes=("lost", "won"),
        confusion=_of_trades(done.walked),
        reliability=_reliability(_bounds(scores.reliability, "observed").rename({"said": "predicted"})
                                 .with_columns(of=pl.lit("win"))),
        base=base,
        extra=found,
        lacks=(
            "The gate weighs no features over all: what moved an answer is told beside each answer, on the page Gate.",
            "It watches its features for drift, in the table here, and not its scores.",
        ),
    )  # fmt: skip


def of_options(home: Home, done: OptionTraining) -> Evaluated:
    """The options desk: what choosing by each candidate was worth, per day."""
    rows = done.frame("strategies").rename({"strategy": "model"})
    known = rows.rename({"utility_low": "mean_utility_low", "utility_high": "mean_utility_high",
                         "regret_low": "mean_regret_low", "regret_high": "mean_regret_high"})  # fmt: skip
    return Evaluated(
        **_common(done),
        measure="utility per day, growth of the account per unit of risk",
        chance="0 is no trade",
        scores=_ranked(scores_of(known, model="model", kind="kind", n="days", score="mean_utility",
                                 low="mean_utility_low", high="mean_utility_high", p_value="p_value",
                                 proven=pl.col("survives").fill_null(False))),
        table=told(known.rename({"model": "strategy"}), _OPTIONS),
        shown=done.leader,
        alpha=None,
        made_up="modelled" if done.payload["modelled"] else "",
        extra={"Naming the structure that was best in hindsight, beside the base rates known then": told(
            done.frame("classification"), _CHOICES)},
        lacks=(
            "The options desk keeps neither a confusion matrix of its structures nor bins of its probabilities; its "
            "calibration error stands in the table.",
            "It weighs no features over all; the board on the page Options tells what each structure rests on.",
            _NO_DRIFT,
        ),
    )  # fmt: skip


def of_stocks(home: Home, done: Trained) -> Evaluated:
    """The stocks desk: rank correlations of score and outcome, session by session."""
    from openbell.app import evidence

    kept = evidence.load(done.folder / "evidence", done.payload["evidence"])
    rows, payload = kept.frames["candidates"], done.payload
    spread = {"forward returns by quantile of the score": told(_bounds(kept.frames["quantiles"], "avg_return"), {
        "quantile": ("quantile", ""), "mean return": ("avg_return", "+.3%"), "dates": ("n_dates", ",d"),
        "stocks a date": ("n_stocks", ",d")})}  # fmt: skip
    weighed = _of_tournament(home, payload)
    lacks = [
        "The stocks desk ranks and does not classify: it has no confusion matrix and no probabilities to calibrate. "
        "In their place stand the returns by quantile of its score.",
        _NO_DRIFT + " The daily report watches its live account.",
    ]
    if weighed.is_empty():
        lacks.append("A training weighs no features; a tournament does, of each fold.")
    names = {name: name for name in rows["candidate"]}
    best = rows.sort("statistic", descending=True, nulls_last=True)["candidate"][0] if rows.height else ""
    champion = str(payload["champion"] or "").partition("@")[0].partition("+")[0]
    common = _common(done)
    return Evaluated(
        **common,
        measure="mean rank IC per session",
        chance="0 is chance",
        scores=_ranked(scores_of(rows, model="candidate", kind=pl.lit("candidate"), n="dates", score="mean_rank_ic",
                                 low="lower", high="upper", p_value="p_value", proven="survives")),
        table=told(_between_columns(rows), {
            "model": ("candidate", ""), "dates": ("dates", ",d"), "mean rank IC": ("mean_rank_ic", "+.4f"),
            "studentised": ("statistic", "+.2f"), "p, family-wise": ("p_value", ".3f"), "abstains": ("abstains", "")}),
        shown=names.get(champion, best),
        alpha=kept.figures["choice"]["alpha"],
        importance=weighed,
        weight="fall of the mean rank IC where the feature was permuted, mean over the folds",
        extra=spread,
        ics=kept.frames["ics"],
        lacks=tuple(lacks),
    )  # fmt: skip


def _nats(models: pl.DataFrame) -> pl.DataFrame:
    return scores_of(models, model="model", kind="kind", n="n", score="skill_nats", low="skill_nats_low",
                     high="skill_nats_high", p_value="p_value", proven="proven")  # fmt: skip


def _ranked(scores: pl.DataFrame) -> pl.DataFrame:
    return scores.sort(pl.col("kind") == "baseline", "score", descending=[False, True], nulls_last=True)


def _reliability(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(list(RELIABILITY)).cast(dict(RELIABILITY)) if rows.height else nothing(RELIABILITY)  # type: ignore[arg-type]


def _bounds(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Bounds under the names that are asked for: ``low`` or ``NAME_low``, whichever is missing."""
    if f"{name}_low" in rows.columns:
        return rows.with_columns(low=f"{name}_low", high=f"{name}_high")
    return rows.with_columns(pl.col("low").alias(f"{name}_low"), pl.col("high").alias(f"{name}_high"))


def _between_columns(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(mean_rank_ic_low="lower", mean_rank_ic_high="upper")


def _of_calls(walk: pl.DataFrame) -> pl.DataFrame:
    """Actual class against the likeliest and against the call, of decisions whose outcome is known."""
    from openbell.core.signal import CALLS, PROBABILITIES

    words = [each.value for each in CALLS]
    known = walk.filter(pl.col("label").is_not_null() & pl.col(PROBABILITIES[0]).is_not_null())
    named = known.with_columns(
        actual=(pl.col("label").cast(pl.Int64) + 1).replace_strict(dict(enumerate(words)), return_dtype=pl.String),
        likeliest=pl.concat_list(PROBABILITIES).list.arg_max().replace_strict(dict(enumerate(words)),
                                                                              return_dtype=pl.String),
    )  # fmt: skip
    return _counted(named, {"likeliest": "likeliest", "call": "call"})


def _of_trades(walk: pl.DataFrame) -> pl.DataFrame:
    """Won or lost against taken or left."""
    named = walk.drop_nulls(["win", "take"]).with_columns(
        actual=pl.when("win").then(pl.lit("won")).otherwise(pl.lit("lost")),
        taken=pl.when("take").then(pl.lit("taken")).otherwise(pl.lit("left")),
    )
    return _counted(named, {"threshold and value": "taken"})


def _counted(named: pl.DataFrame, rules: dict[str, str]) -> pl.DataFrame:
    parts = [
        named.group_by("model", "actual", pl.col(column).fill_null(NO_CALL).alias("said"))
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .with_columns(rule=pl.lit(rule))
        .select(list(CONFUSION))
        for rule, column in rules.items()
    ]
    return pl.concat(parts).sort("model", "rule", "actual", "said")


def _weights(rows: pl.DataFrame) -> pl.DataFrame:
    """Of an ensemble, each member's weights are summed by feature."""
    found = rows.group_by("model", "feature").agg(pl.col("importance").sum())
    return found.select(list(IMPORTANCE)).sort("model", "importance", "feature", descending=[False, True, False])


def _of_frame(done: GateTraining, name: str) -> pl.DataFrame | None:
    from openbell.app.evidence_files import evidence

    hashes = done.payload["evidence"]
    return evidence(done.folder, name, hashes[name]) if name in hashes else None


def _drifted(rows: pl.DataFrame) -> pl.DataFrame:
    return told(rows, {
        "feature": ("feature", ""), "distance": ("distance", ".3f"), "PSI": ("psi", ".3f"),
        "share of the past as far": ("as_far", ".0%"), "stretches": ("stretches", ",d"), "n": ("n", ",d"),
        "n before": ("n_before", ",d"), "drifts": ("drifts", "")})  # fmt: skip


def _of_tournament(home: Home, payload: Any) -> pl.DataFrame:
    """Permutation importance out of the files of the tournament, where they are of this very one."""
    from openbell.app.lab.looks.tournament_files import table

    rows = table(home, payload, "importance.csv")
    if rows is None or rows.is_empty():
        return nothing(IMPORTANCE)
    permuted = rows.filter(pl.col("kind") == "permutation")
    found = permuted.group_by("model", "feature").agg(pl.col("value").cast(pl.Float64).mean().alias("importance"))
    return found.select(list(IMPORTANCE)).sort("model", "importance", "feature", descending=[False, True, False])
