"""What `openbell data` prints of an import: counts, rules of the gate with an example each, and the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openbell.app.cli.words import print_json, print_table

if TYPE_CHECKING:
    from openbell.market.importing import ImportReport
    from openbell.market.minute_importing import MinutesReport


def tell(report: ImportReport, as_json: bool) -> None:
    """Print what became of the rows of one source."""
    import polars as pl

    found = report.counts.filter(pl.col("rows") > 0)
    if as_json:
        print_json(
            {
                "name": report.name,
                "received": report.received,
                "stored": report.stored,
                "quarantined": report.quarantined,
                "known": report.known,
                "restated": report.restated,
                "added": dict(report.added),
                "rules": found.to_dicts(),
                "notes": list(report.notes),
                "failed": dict(report.failed),
            }
        )
        return
    print(
        f"{report.name}: {report.received:,} bars received, {report.stored:,} stored, {report.quarantined:,} in "
        f"quarantine, {report.known:,} known already."
    )
    other = {name: count for name, count in report.added.items() if name not in ("bars", "quarantine")}
    if other:
        print("Also written: " + ", ".join(f"{count:,} {name}" for name, count in other.items()) + ".")
    if found.height:
        print_table(found.select("rule", "action", "rows", "symbols", pl.col("examples").list.first().alias("example")))
    for note in report.notes:
        print(note)


def tell_minutes(report: MinutesReport, as_json: bool) -> None:
    """Print what became of the bars of one file."""
    import polars as pl

    found = report.counts.filter(pl.col("rows") > 0)
    if as_json:
        facts = {name: getattr(report, name) for name in report.__dataclass_fields__ if name != "counts"}
        print_json({**facts, "notes": list(report.notes), "rules": found.to_dicts()})
        return
    print(
        f"{report.name}: {report.received:,} bars of {report.freq} received, {report.stored:,} stored, "
        f"{report.quarantined:,} in quarantine, {report.known:,} known already."
    )
    if report.stored:
        use = (
            "outside the session's hours are kept, and the features do not use them."
            if not report.product
            else f"outside the regular hours of {report.product} are kept in their sessions."
        )
        print(
            f"{report.symbols:,} symbol{'s' if report.symbols > 1 else ''}, {report.first:%Y-%m-%d %H:%M} to "
            f"{report.last:%Y-%m-%d %H:%M} UTC; {report.outside:,} bars {use}"
        )
    if report.restated or report.late:
        print(f"{report.restated:,} replace a stored bar and {report.late:,} fill a hole: known from now on.")
    if found.height:
        print_table(found.select("rule", "action", "rows", "symbols", pl.col("examples").list.first().alias("example")))
    for note in report.notes:
        print(note)
