"""Counts and examples per rule, of one judgement or of everything stored."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from openbell.core.time import Sessions
from openbell.core.view import Tables
from openbell.market.batch import ACTIONS, BARS, Schema
from openbell.market.quality.judging import gate
from openbell.market.quality.rules import RULES, Rule

EXAMPLES = 3


def counts(findings: pl.DataFrame, rules: Sequence[Rule] = RULES) -> pl.DataFrame:
    """One row per rule of `rules`, those without a finding included.

    Returns
    -------
    ``rule``, ``action``, ``rows``, ``symbols``, ``first``, ``last`` (sessions), ``examples`` (list of sentences: the
    first finding of each of up to three symbols) and ``sentence`` (what the rule says).
    """
    ordered = findings.sort("symbol", "session").rechunk()
    example = pl.format("{} {}: {}", "symbol", "session", "reason")
    per_rule = ordered.group_by("rule").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("symbol").n_unique().cast(pl.Int64).alias("symbols"),
        pl.col("session").min().alias("first"),
        pl.col("session").max().alias("last"),
    )
    examples = (
        ordered.group_by("rule", "symbol", maintain_order=True)
        .agg(example.first().alias("example"))
        .group_by("rule", maintain_order=True)
        .agg(pl.col("example").head(EXAMPLES).alias("examples"))
    )
    declared = pl.DataFrame(
        {
            "rule": [rule.name for rule in rules],
            "action": [rule.action for rule in rules],
            "sentence": [rule.sentence for rule in rules],
        }
    )
    return (
        declared.join(per_rule, on="rule", how="left", maintain_order="left")
        .join(examples, on="rule", how="left", maintain_order="left")
        .with_columns(pl.col("rows", "symbols").fill_null(0), pl.col("examples").fill_null([]))
        .select("rule", "action", "rows", "symbols", "first", "last", "examples", "sentence")
    )


def check(tables: Tables, sessions: Sessions) -> pl.DataFrame:
    """Counts and examples per rule over everything stored; the columns of `counts`.

    Quarantined rows are counted as they were judged at their import; notes are found again on the stored bars.
    """
    findings = [_quarantined(tables), _noted(tables, sessions)]
    return counts(pl.concat(findings))


def _quarantined(tables: Tables) -> pl.DataFrame:
    columns = ["symbol", "session", "rule", "reason"]
    if not tables.exists("quarantine"):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String) | {"session": pl.Date})
    rows = tables.scan("quarantine").select(columns).collect()
    return rows.with_columns(pl.col("rule").str.split(",")).explode("rule")


def _noted(tables: Tables, sessions: Sessions) -> pl.DataFrame:
    """Notes on everything received: the stored bars, and the quarantined ones in their places."""
    columns = ["symbol", "session", "rule", "reason"]
    if not tables.exists("bars"):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String) | {"session": pl.Date})
    bars = _latest(tables, "bars", ["symbol", "session"], BARS, pl.col("freq") == "1d")
    if tables.exists("quarantine"):
        aside = tables.scan("quarantine").select(list(BARS)).collect()
        aside = aside.join(bars.select("symbol", "session"), on=["symbol", "session"], how="anti")
        bars = pl.concat([bars, aside])
    factors = None
    if tables.exists("actions"):
        factors = _latest(tables, "actions", ["symbol", "session", "kind"], ACTIONS, pl.lit(True))
    judgement = gate(bars, sessions, factors=factors, indices=_indices(tables))
    return judgement.findings.filter(pl.col("action") == "note").select(columns)


def _latest(tables: Tables, name: str, key: list[str], schema: Schema, keep: pl.Expr) -> pl.DataFrame:
    rows = tables.scan(name).filter(keep).sort(*key, "known_at").unique(key, keep="last", maintain_order=True)
    return rows.select(list(schema)).collect()


def _indices(tables: Tables) -> list[str]:
    if not tables.exists("instruments"):
        return []
    rows = tables.scan("instruments").filter(pl.col("kind") == "INDEX").select("symbol").unique().collect()
    return rows["symbol"].to_list()
