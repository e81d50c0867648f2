"""All rules of the chain gate over received quotes, in their order: what one rule keeps out no later rule looks at."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from openbell.core.quotes import RECEIVED
from openbell.core.time import Sessions
from openbell.dialects.occ import occ_expression
from openbell.market.contracts import with_expiry_moment
from openbell.market.quality import chain_arbitrage, chain_forwards, chain_history, chain_rows
from openbell.market.quality.chain_rules import ACTIONS, CHAIN_RULES, EXPIRED, KEEPING_OUT

EXAMPLES = 3
_PLACE = {rule.name: place for place, rule in enumerate(CHAIN_RULES)}


@dataclass(frozen=True, eq=False)
class ChainJudgement:
    """What the gate says of received quotes.

    Attributes
    ----------
    rows : the quotes (columns of ``RECEIVED``) in the order received, numbers that were set aside null, with ``rule``
        (names joined by a comma; null for a good row) and ``reason``.
    findings : one row per broken rule, notes included: ``row`` (position in what was handed in), ``underlying``,
        ``session``, ``contract`` (OCC), ``rule``, ``action``, ``reason``.
    """

    rows: pl.DataFrame
    findings: pl.DataFrame

    @property
    def good(self) -> pl.DataFrame:
        """The quotes that no rule keeps out."""
        return self.rows.filter(pl.col("rule").is_null()).drop("rule", "reason")


def chain_gate(quotes: pl.DataFrame, sessions: Sessions, *, earlier: pl.DataFrame | None = None) -> ChainJudgement:
    """Judge every quote.

    Parameters
    ----------
    quotes : columns of ``RECEIVED``, and ``last_trade_at`` where it is known; any number of chains.
    sessions : the exchange's calendar.
    earlier : stored quotes of the sessions before, columns of `chain_history.EARLIER`.
    """
    if "last_trade_at" not in quotes.columns:
        quotes = quotes.with_columns(pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("last_trade_at"))
    rows = with_expiry_moment(quotes.with_row_index("row"), sessions)
    rows = chain_forwards.with_years(rows)
    none = pl.DataFrame(schema={name: rows.schema.get(name, pl.Float64) for name in chain_history.EARLIER})
    findings = _findings(rows, sessions, none if earlier is None else earlier)
    return _judgement(rows, findings)


def _findings(rows: pl.DataFrame, sessions: Sessions, earlier: pl.DataFrame) -> pl.DataFrame:
    parts = [
        chain_rows.session_findings(rows, sessions),
        chain_rows.quote_findings(rows),
        chain_rows.vendor_findings(rows),
        chain_rows.duplicate_findings(rows),
    ]
    left = _without(rows, *parts)
    both = chain_forwards.pairs(left)
    parts.append(chain_forwards.split_findings(left, both))
    left = _without(left, parts[-1])
    parts.append(chain_arbitrage.one_strike_findings(left))
    left = _without(left, parts[-1])
    both = both.join(left.select("row"), on="row", how="semi")
    forwards = chain_forwards.forwards(both)
    implied = chain_forwards.implied_spots(forwards)
    parts.append(chain_forwards.spot_findings(left, implied, _ended(rows, parts)))
    left = _without(left, parts[-1])
    beside = chain_history.with_previous(left, forwards, earlier)
    parts.append(chain_history.copy_findings(left, beside))
    parts.append(chain_arbitrage.bound_findings(left, forwards, implied))
    left = _without(left, *parts[-2:])
    parts.append(chain_history.stale_quote_findings(beside.join(left.select("row"), on="row", how="semi")))
    left = _without(left, parts[-1])
    parts.append(chain_arbitrage.vertical_findings(left))
    left = _without(left, parts[-1])
    parts.append(chain_arbitrage.butterfly_findings(left))
    kept = both.join(left.select("row"), on="row", how="semi").join(
        left.select(pl.col("row").alias("row_put")), on="row_put", how="semi"
    )
    parts.append(chain_arbitrage.parity_findings(kept, forwards))
    return pl.concat(parts)


def _ended(rows: pl.DataFrame, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """What the contracts imply that nothing is wrong with but that they end with the session itself."""
    others = pl.concat(parts).filter(pl.col("rule").is_in(KEEPING_OUT) & (pl.col("rule") != EXPIRED.name))
    last = rows.filter(pl.col("expiry") == pl.col("session")).join(others.select("row"), on="row", how="anti")
    return chain_forwards.implied_spots(chain_forwards.forwards(chain_forwards.pairs(last, zero_bids=True)))


def _without(rows: pl.DataFrame, *findings: pl.DataFrame) -> pl.DataFrame:
    bad = pl.concat(findings).filter(pl.col("rule").is_in(KEEPING_OUT)).select("row").unique()
    return rows if bad.is_empty() else rows.join(bad, on="row", how="anti", maintain_order="left")


def _judgement(rows: pl.DataFrame, findings: pl.DataFrame) -> ChainJudgement:
    place = pl.col("rule").replace_strict(_PLACE, return_dtype=pl.Int32)
    action = pl.col("rule").replace_strict(dict(ACTIONS), return_dtype=pl.String)
    ordered = findings.with_columns(place.alias("place"), action.alias("action")).sort("row", "place")
    bad = (
        ordered.filter(pl.col("rule").is_in(KEEPING_OUT))
        .group_by("row", maintain_order=True)
        .agg(
            pl.col("rule").unique(maintain_order=True).str.join(","),
            pl.col("reason").unique(maintain_order=True).str.join("; "),
        )
    )
    judged = rows.join(bad, on="row", how="left", maintain_order="left")
    for column, rule in (
        ("spot", "spot_moment"),
        ("vendor_iv", "vendor_iv_zero"),
        ("vendor_delta", "vendor_delta_range"),
    ):
        aside = ordered.filter(pl.col("rule") == rule)["row"].unique().implode()
        kept_out = pl.col("rule").is_not_null()
        judged = judged.with_columns(pl.when(kept_out | ~pl.col("row").is_in(aside)).then(pl.col(column)).alias(column))
    named = rows.select("row", "underlying", "session", occ_expression().alias("contract"))
    told = ordered.join(named, on="row", how="left", maintain_order="left")
    return ChainJudgement(
        judged.select(*RECEIVED, "rule", "reason"),
        told.select("row", "underlying", "session", "contract", "rule", "action", "reason"),
    )


def chain_counts(findings: pl.DataFrame) -> pl.DataFrame:
    """One row per rule, those without a finding included.

    Returns
    -------
    ``rule``, ``action``, ``rows``, ``chains`` (underlyings and sessions), ``first``, ``last`` (sessions), ``examples``
    (sentences, one of each of up to three chains) and ``sentence`` (what the rule says).
    """
    chain = ["underlying", "session"]
    ordered = findings.sort("underlying", "session", "contract", nulls_last=True).rechunk()
    per_rule = ordered.group_by("rule").agg(
        pl.struct("row").n_unique().cast(pl.Int64).alias("rows"),
        pl.struct(chain).n_unique().cast(pl.Int64).alias("chains"),
        pl.col("session").min().alias("first"),
        pl.col("session").max().alias("last"),
    )
    contract = pl.col("contract").fill_null("a contract without terms")
    first = ordered.group_by("rule", *chain, maintain_order=True).agg(
        contract.first().alias("contract"), pl.col("reason").first()
    )
    example = pl.format(
        "{} {} {}: {}",
        pl.col("underlying").fill_null("?"),
        pl.col("session").cast(pl.String).fill_null("?"),
        "contract",
        "reason",
    )
    examples = (
        first.rechunk()
        .with_columns(example.alias("example"))
        .group_by("rule", maintain_order=True)
        .agg(pl.col("example").head(EXAMPLES).alias("examples"))
    )
    declared = pl.DataFrame(
        {
            "rule": [rule.name for rule in CHAIN_RULES],
            "action": [rule.action for rule in CHAIN_RULES],
            "sentence": [rule.sentence for rule in CHAIN_RULES],
        }
    )
    return (
        declared.join(per_rule, on="rule", how="left", maintain_order="left")
        .join(examples, on="rule", how="left", maintain_order="left")
        .with_columns(pl.col("rows", "chains").fill_null(0), pl.col("examples").fill_null([]))
        .select("rule", "action", "rows", "chains", "first", "last", "examples", "sentence")
    )
