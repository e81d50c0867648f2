"""Features written to a file, from what was known at a decision."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.app.files import write_whole
from openbell.core.errors import BadInput, unknown
from openbell.research.compute import feature_rows

if TYPE_CHECKING:
    from openbell.app.home import Home


def compute_features(
    home: Home,
    symbols: Sequence[str],
    session: dt.date,
    out: Path,
    *,
    first: dt.date | None = None,
    families: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write every feature of `symbols` known before the open of `session`; says what was switched off and why."""
    if out.suffix not in (".parquet", ".csv"):
        raise BadInput(f"`{out.name}` ends in `{out.suffix}`; features are written to a .parquet or a .csv file.")
    view = home.view(home.decision_session(session))
    stored = view.facts("bars").select("symbol").unique().collect()["symbol"].to_list()
    for symbol in symbols:
        if symbol not in stored:
            raise unknown("symbol", symbol, stored)
    known = {each.family for each in home.catalogue.features.values()}
    for family in families or ():
        if family not in known:
            raise unknown("family of features", family, known)
    chosen = [each for each in home.catalogue.features.values() if families is None or each.family in families]
    rows = feature_rows(
        view, chosen, symbols=list(symbols) or None, first=first, lead_minutes=home.settings.run.lead_minutes
    )
    buffer = io.BytesIO()
    if out.suffix == ".parquet":
        rows.frame.write_parquet(buffer)
    else:
        rows.frame.write_csv(buffer)
    write_whole(out, buffer.getvalue())
    names = [each for each in rows.frame.columns if each not in ("session", "symbol", "known_at")]
    return {
        "rows": rows.frame.height,
        "features": len(names),
        "switched_off": dict(rows.switched_off),
        "file": str(out),
    }
