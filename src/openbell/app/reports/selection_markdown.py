"""``model_selection_report.md``: the same tournament in short, for a terminal or a review."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from openbell.app.reports import selection_tables as tables
from openbell.app.reports.figures import Figure
from openbell.app.reports.model_selection import incomplete, verdict
from openbell.app.reports.page import chance, measure, number, percent, plainly
from openbell.app.reports.selection_board import Board, board
from openbell.research.contest import BASELINE, BENCHMARK, Contest

_MARKS = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": " ", "\r": " ", "`": "'"})


def escaped(value: object) -> str:
    """Text from the data as text: it can neither end a cell nor open a tag."""
    return str(value).translate(_MARKS)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(escaped(each) for each in row)} |" for row in rows), ""]


def _range(low: float | None, high: float | None, unit: str) -> str:
    return (
        "too few for an interval" if low is None or high is None else f"{measure(low, unit)} to {measure(high, unit)}"
    )


def _with_range(value: float | None, low: float | None, high: float | None) -> str:
    """A figure is shown with its interval or not at all."""
    said = _range(low, high, "number")
    return said if None in (value, low, high) else f"{number(value)} ({said})"


def _or_said(rows: Sequence[Any], table: list[str], otherwise: str) -> list[str]:
    return table if rows else [otherwise, ""]


def write_selection_markdown(contest: Contest | Board) -> str:
    """The report in Markdown; refuses what the page refuses."""
    of = contest if isinstance(contest, Board) else board(contest)
    lines = [
        *_head(of),
        *_leaderboard(of),
        *_search(of),
        *_grids(of),
        *_gates(of),
        *_costs(of),
        *_regimes(of),
        *_training(of),
        *_tuning(of),
        *_coverage(of),
        *_features(of),
        *_failures(of),
        *_notes(of),
    ]
    return "\n".join(lines).rstrip("\n").replace("\u00a0", " ") + "\n"


def _head(of: Board) -> list[str]:
    contest, said = of.contest, verdict(of)
    independent = "" if of.effective is None else f", about {number(of.effective, 1)} independent"
    return [
        f"# {escaped(said.headline)}",
        "",
        escaped(said.sentence),
        "",
        *(f"- {escaped(sentence)}" for sentence in contest.why),
        f"- Desk {escaped(contest.desk)}, as of {contest.as_of:%Y-%m-%d %H:%M} UTC; out of sample, after costs, "
        f"{contest.first} to {contest.last}, {of.sessions:,} sessions.",
        f"- Tries: {of.tries:,} in the ledger{independent}. Error spent: {percent(contest.alpha, 2)}.",
        f"- Hold-out: from {contest.holdout_first} on, not read by this selection.",
        "",
    ]


def _leaderboard(of: Board) -> list[str]:
    rows = []
    for row in tables.leaderboard(of):
        added = row["added"]
        interval = _range(added.low, added.high, "percent") if isinstance(added, Figure) else _range(None, None, "")
        rows.append(
            (
                row["rank"],
                row["entrant"] + (" (champion)" if row["champion"] else ""),
                number(row["weighted_score"], 3),
                _with_range(row["sharpe"], row["sharpe_lower"], row["sharpe_upper"]),
                f"{percent(row['active_return'], sign=True)} ({interval})",
                chance(row["p_value"]),
                number(row["deflated_sharpe"], 3),
                percent(row["max_drawdown"]),
                number(row["calmar"]),
                percent(row["turnover"], 0),
                f"{row['n']:,}",
                f"{row['passed']} of {len(row['gates'])}" + "".join(f"; not {gate}" for gate in row["failed"][:1]),
            )
        )
    for label, name in (("equal weight", BASELINE), (of.benchmark_name, BENCHMARK)):
        curve = of.curves[name]
        ratio = _with_range(curve.sharpe.value, curve.sharpe.low, curve.sharpe.high)
        rows.append(
            (
                "",
                label,
                "",
                ratio,
                "",
                "",
                "",
                percent(curve.max_drawdown),
                number(curve.calmar),
                "",
                f"{curve.n:,}",
                "",
            )
        )
    heads = (
        *("#", "entrant", "score", "Sharpe (95 %)", "active return a year (95 %)", "p", "deflated Sharpe"),
        *("drawdown", "Calmar", "turnover", "n", "gates passed"),
    )
    return ["## Leaderboard", "", *_table(heads, rows)]


def _search(of: Board) -> list[str]:
    lines = ["## What the search itself would find by luck", ""]
    for each in tables.significance(of):
        said = "; ".join(f"{escaped(name)} {escaped(value)}" for name, value in each["measures"])
        lines.append(f"- **{escaped(each['title'])}**: {said}. {each['meaning']}".rstrip())
    missing = [title for name, (title, _) in tables.MEANINGS.items() if name not in of.contest.significance]
    lines += [f"- **{title}**: not computed in this tournament." for title in missing]
    return [*lines, ""]


def _grids(of: Board) -> list[str]:
    lines = ["## Models by allocators", ""]
    for title, unit, name in (
        ("Sharpe ratio", "number", "sharpe"),
        ("active return a year", "percent", "active_return"),
    ):
        table = tables.grid(of, name)
        rows = [(model, *(measure(value, unit) for value in cells)) for model, cells in table["rows"]]
        heads = (title, *(escaped(each) for each in table["columns"]))
        lines += _or_said(rows, _table(heads, rows), "Nobody could be back-tested.")
    without = incomplete(of)
    return [*lines, *([f"Not in the matrix file, which has no holes: {', '.join(without)}.", ""] if without else [])]


def _gates(of: Board) -> list[str]:
    rows = [
        (
            row["gate"],
            ", ".join(plainly(limit) for limit in row["limits"]) or "–",
            f"{row['failed']} of {row['asked']}",
            ", ".join(row["first"]) or "nobody",
        )
        for row in tables.gate_counts(of)
    ]
    table = _table(("gate", "limit", "failed", "stopped first"), rows)
    return ["## What each gate stopped", "", *_or_said(rows, table, "No gate was asked: nobody reached one.")]


def _costs(of: Board) -> list[str]:
    table = tables.costs(of)
    heads = ("Sharpe (active return a year)", *(f"{plainly(level)} bp" for level in table["levels"]))
    rows = [
        (
            name,
            *(
                "–" if cell is None else f"{number(cell['sharpe'])} ({percent(cell['active_return'], sign=True)})"
                for cell in cells
            ),
        )
        for name, cells in table["rows"]
    ]
    return ["## Costs", "", *_or_said(rows, _table(heads, rows), "No other costs were run in this tournament.")]


def _regimes(of: Board) -> list[str]:
    table = tables.regimes(of)
    rows = [
        (
            name,
            *("–" if cell is None else f"{number(cell['sharpe'])} (n {cell['sessions']:,})" for cell in cells),
            number(consistency),
        )
        for name, consistency, cells in table["rows"]
    ]
    heads = ("Sharpe by regime", *(escaped(each) for each in table["columns"]), "consistency")
    said = "No session was assigned to a regime in this tournament."
    return ["## Regimes", "", *_or_said(rows, _table(heads, rows), said)]


def _training(of: Board) -> list[str]:
    rows = [
        (
            row["model"],
            number(row["rank_ic"], 4, sign=True),
            "–" if row["rank_ic"] is None else _range(row["rank_ic_lower"], row["rank_ic_upper"], "ic"),
            number(row["rank_ic_ir"], 3),
            "–" if row["dates"] is None else f"{row['dates']:,}",
            row["status"] + (f": {row['why']}" if row["why"] else ""),
        )
        for row in tables.training(of)
    ]
    heads = ("model", "mean rank IC", "95 %, base rate 0", "per-date IR", "n dates", "state")
    return ["## Training", "", *_or_said(rows, _table(heads, rows), "No candidate was trained.")]


def _tuning(of: Board) -> list[str]:
    rows = [
        (row["model"], *(number(row[name], 4, sign=True) for name in ("default", "best", "gain")), row["trials"])
        for row in tables.tuning(of)
    ]
    heads = ("model", "defaults", "best trial", "gain on inner folds", "n trials")
    return ["## Tuning", "", *_or_said(rows, _table(heads, rows), "Nothing was tuned in this tournament.")]


def _coverage(of: Board) -> list[str]:
    names = ("nominal", "coverage", "adaptive_coverage", "lowest", "adaptive_lowest")
    rows = [(row["model"], *(percent(row[name]) for name in names), f"{row['n']:,}") for row in tables.coverage(of)]
    heads = ("model", "nominal", "conformal, latest", "adaptive, latest", "conformal, lowest", "adaptive, lowest", "n")
    said = "No intervals were calibrated in this tournament."
    return ["## Coverage of the intervals", "", *_or_said(rows, _table(heads, rows), said)]


def _features(of: Board) -> list[str]:
    lines = ["## Features", ""]
    for title, found, by in (
        ("Permutation on test folds (drop of rank IC)", tables.importance(of), "drop"),
        ("SHAP (mean absolute value)", tables.shap(of), "mean_abs"),
    ):
        lines += [
            f"- {title}, {escaped(each['model'])}: "
            + ", ".join(f"{escaped(row['feature'])} {number(row[by], 4)}" for row in each["rows"][:5])
            + "."
            for each in found
        ] or [f"- {title}: not computed in this tournament."]
    return [*lines, ""]


def _failures(of: Board) -> list[str]:
    raised = [
        f"- {escaped(row['who'] or '–')} raised at {escaped(row['where'] or '–')}: {escaped(row['why'] or '–')}"
        for row in tables.failures(of)
    ]
    fell = [
        f"- {escaped(row['allocator'])} fell back on {row['fallbacks']:,} rebalances of {row['entrants']} entrants."
        for row in tables.fallbacks(of)
        if row["fallbacks"]
    ]
    said = [*(raised or ["- No candidate raised."]), *(fell or ["- No allocator fell back."])]
    return ["## Failures and fallbacks", "", *said, ""]


def _notes(of: Board) -> list[str]:
    contest = of.contest
    return [
        "## Made of",
        "",
        *(f"- {escaped(each)}" for each in contest.notes),
        f"- plan {escaped(contest.plan)}",
        f"- data {escaped(contest.recipe)}; label {escaped(contest.label)}; universe {escaped(contest.universe)}; "
        f"benchmark {escaped(contest.benchmark)}",
        f"- champion in office before: {escaped(contest.incumbent or 'none')}",
    ]
