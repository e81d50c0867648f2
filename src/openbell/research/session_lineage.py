"""What each feature of a session stands on and when the newest of it was known: never after the cut-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import DeclarationError, LeakFound, nearest
from openbell.core.session import BEFORE, EARLY, MARKETS, OF_MARKETS
from openbell.core.time import MOMENT
from openbell.quant.expressions import SHARED
from openbell.quant.reach import lookback
from openbell.quant.session_expressions import EARLY_READS, EARLY_SHARED, SESSION_READS
from openbell.research.compute import roots
from openbell.research.session_rows_days import PRICES

#: Sources by the column that says when they were known.
BARS, DAYS = "bars", "days"
LINEAGE = {"feature": pl.String, "reads": pl.String, "source": pl.String, "as_of": MOMENT, "lookback": pl.Int64}


def sources(feature: Feature, early: Sequence[str] = ()) -> tuple[str, ...]:
    """What `feature` stands on: ``bars`` up to the cut-off, ``days`` before, other markets by name.

    Parameters
    ----------
    early : names of the declared early aggregations, which a session expression may read.

    Raises
    ------
    DeclarationError : for a column that neither the early bars nor a session has.
    """
    if feature.reads == EARLY_READS:
        _check(feature, feature.expression.meta.root_names(), EARLY)
        return (BARS,)
    if feature.reads != SESSION_READS:
        raise DeclarationError(
            f"The feature `{feature.name}` reads `{feature.reads}`; a session is read by `early` or `session`."
        )
    named = roots(feature.expression, SHARED)
    of_bars = {*EARLY_SHARED, *early}
    _check(feature, named, {*of_bars, *BEFORE, *PRICES, *OF_MARKETS, *SHARED, "session"})
    found = [BARS] if of_bars & set(named) else []
    found += [DAYS] if {*BEFORE, *PRICES} & set(named) else []
    return (*found, *(market for market in MARKETS if {f"{market}_now", f"{market}_before"} & set(named)))


def _check(feature: Feature, named: Sequence[str], valid: Mapping[str, object] | set[str]) -> None:
    for name in named:
        if name not in valid:
            raise DeclarationError(
                f"The feature `{feature.name}` ({feature.module}) reads `{name}`, which a session up to its cut-off "
                f"does not have. {nearest(name, valid)}"
            )


def sessions_needed(features: Sequence[Feature]) -> int:
    """Sessions that the newest row of `features` needs, its own included, for the values a longer history gives.

    What a live decision and the warm-up of a training have to hand in; recursions have forgotten what lies before.
    """
    return max((lookback(each) for each in features), default=1)


def check_moments(moments: pl.DataFrame, used: Mapping[str, Sequence[str]]) -> None:
    """Refuse rows for which anything was known only after their cut-off.

    Parameters
    ----------
    moments : ``session``, ``as_of`` and a column per source: when the newest of it that entered was known.
    used : source -> the features that stand on it.

    Raises
    ------
    LeakFound : names the feature, the source, the moment and the session.
    """
    for source, features in used.items():
        late = moments.filter(pl.col(source) > pl.col("as_of"))
        if late.height:
            row = late.row(0, named=True)
            raise LeakFound(
                f"The feature `{features[0]}` of {row['session']} stands on `{source}` known at "
                f"{row[source]:%Y-%m-%d %H:%M:%S} UTC, after its cut-off of {row['as_of']:%H:%M:%S} UTC; so do "
                f"{len(features):,} features of {late.height:,} sessions. Nothing after the cut-off may enter."
            )


def lineage(
    features: Sequence[Feature], early: Sequence[str], moments: pl.DataFrame, words: Mapping[str, str]
) -> pl.DataFrame:
    """What each feature of the newest session stands on.

    Returns
    -------
    polars.DataFrame
        ``feature``, ``reads``, ``source`` (in words), ``as_of`` (UTC, when the newest of what entered was known; null
        for what the calendar alone tells) and ``lookback`` in sessions, its own included.
    """
    newest = moments.row(-1, named=True) if moments.height else {}
    rows = []
    for each in features:
        stands_on = sources(each, early)
        known = [newest[source] for source in stands_on if newest.get(source) is not None]
        said = "; ".join(words[source] for source in stands_on) or "the calendar"
        rows.append((each.name, each.reads, said, max(known, default=None), lookback(each)))
    return pl.DataFrame(rows, schema=LINEAGE, orient="row")
