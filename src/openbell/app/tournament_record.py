"""What a tournament leaves on record: its evidence beside the models, and its entrants in the registry."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app import evidence
from openbell.app.files import write_whole
from openbell.app.tournament_past import ACTIVE, record_key
from openbell.app.tournament_venue import label_of
from openbell.app.training import replay, train_settings
from openbell.core.declare import Desk
from openbell.core.errors import IntegrityBroken
from openbell.core.view import View
from openbell.research.candidates import Candidate
from openbell.research.champion import choose
from openbell.research.contest import JOINED_BY
from openbell.research.tournament import KINDS, Played
from openbell.research.training import Training
from openbell.research.venue import Venue
from openbell.store.tracker import ModelVersion, Trained

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Measures of an entrant that go to the registry and into the champion's metadata.
MEASURED = (
    "cagr",
    "sharpe",
    "sharpe_lower",
    "sharpe_upper",
    "max_drawdown",
    "calmar",
    "turnover",
    "win_rate",
    "total_return",
    "volatility",
    "active_return",
    "active_sharpe",
    "information_ratio",
    "regime_consistency",
    "deflated_sharpe",
    "statistic",
    "p_value",
    "weighted_score",
)


def as_training(home: Home, played: Played, view: View) -> Training:
    """The tournament in the form in which the daily report reads its evidence."""
    contest = played.contest
    own = train_settings(home)
    choice = choose(
        played.ics,
        horizon=1,
        alpha=contest.alpha,
        replications=own.replications,
        block_horizons=own.block_horizons,
        seed=own.seed,
        abstained={row["entrant"]: row["why"] for row in contest.failures.to_dicts() if row["where"] == "training"},
    )
    chosen = contest.champion.partition(JOINED_BY)[0] if contest.champion else None
    return Training(
        desk=contest.desk,
        as_of=view.as_of,
        plan=contest.plan,
        recipe=contest.recipe,
        label=contest.label,
        horizon_sessions=label_of(home, contest.label).horizon_sessions,
        features=played.features,
        scores=played.scores,
        ics=played.ics,
        choice=replace(choice, champion=chosen, why=contest.why),
        candidates=played.candidates,
        folds=played.folds,
        settings=own,
        notes=contest.notes,
    )


def payload_of(
    home: Home, place: Venue, played: Played, session: dt.date, champion: Candidate | None, asked: str
) -> Mapping[str, Any]:
    """What the journal says of the tournament, with its evidence beside the models.

    Where it is on record and its evidence is whole, that stays as it is: a promotion rests on its very bytes.
    """
    contest = played.contest
    folder = home.models / contest.plan / "evidence"
    recorded = home.journal.get(record_key(contest.plan, session))
    if recorded is not None and _is_whole(folder, recorded.payload["evidence"]):
        return recorded.payload
    return {
        "desk": contest.desk,
        "session": session.isoformat(),
        "plan": contest.plan,
        "asked": asked,
        "training": contest.plan,
        "champion": contest.champion,
        "model": f"{contest.plan}/production/{champion.name}" if champion else None,
        "manifest": champion.manifest_hash if champion else None,
        "why": list(contest.why),
        "universe": place.universe,
        "benchmark": home.settings.data.benchmark,
        "label": contest.label,
        "horizon_sessions": label_of(home, contest.label).horizon_sessions,
        "tries": contest.significance["trials"]["raw"],
        "counted": {kind: contest.significance["trials"][f"counted_{kind}"] for kind in KINDS},
        "alpha": contest.alpha,
        "incumbent": contest.incumbent,
        "holdout_first": contest.holdout_first.isoformat(),
        "entrants": contest.matrix["entrant"].to_list(),
        "parameters": {name: dict(given) for name, given in played.entrants.parameters.items()},
        "features": list(played.features),
        "failures": contest.failures.to_dicts(),
        "notes": list(contest.notes),
        "settings": home.settings.hash,
        "evidence": _saved(home, place, played, folder),
    }


def _is_whole(folder: Path, hashes: Mapping[str, str]) -> bool:
    try:
        evidence.load(folder, hashes)
    except IntegrityBroken:
        return False
    return True


def _saved(home: Home, place: Venue, played: Played, folder: Path) -> dict[str, str]:
    """Write what the choice rests on; the SHA-256 of each file."""
    contest, view = played.contest, place.view
    training = as_training(home, played, view)
    weighting = contest.champion.partition(JOINED_BY)[2] if contest.champion else None
    tested = replay(home, view, training, place.universe, place.progress, weighting=weighting)
    files = evidence.save(folder, training, tested, evidence.quantiles(view, training, home.catalogue))
    content = _parquet(contest.active)
    write_whole(folder / ACTIVE, content)
    return {**files, ACTIVE: hashlib.sha256(content).hexdigest()}


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def registered(
    home: Home, desk: Desk, session: dt.date, played: Played, champion: Candidate | None, files: Sequence[Path]
) -> Mapping[str, ModelVersion]:
    """A run and, where a model came of it, a version for each entrant; the champion's is its refit for production."""
    contest = played.contest
    fitted = {each.name: each for each in played.candidates}
    trained = []
    for row in contest.matrix.to_dicts():
        own = champion if champion is not None and row["entrant"] == contest.champion else fitted[row["model"]]
        trained.append(
            Trained(
                name=row["entrant"],
                folder=own.folder.relative_to(home.models).as_posix() if own.folder else None,
                manifest_hash=own.manifest_hash,
                params={**own.parameters, "allocator": row["allocator"]},
                metrics={name: row[name] for name in MEASURED},
                why=own.abstains or "",
            )
        )
    found = home.tracker.register_tournament(
        desk.name,
        home.as_of(session),
        contest.plan,
        trained,
        why=" ".join(contest.why),
        metrics={"tries": float(contest.significance["trials"]["raw"]), "alpha": contest.alpha},
        params=dict(contest.parameters),
        tags={"recipe": contest.recipe, "data": contest.recipe, "holdout_first": contest.holdout_first.isoformat()},
        files=[path for path in files if path.suffix in (".png", ".csv", ".md")],
    )
    return found.versions
