"""The page Features: what is declared, the badge of the newest audit, values where they are stored, and importance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.app.session_homes import SmallSession

from openbell.app.audit import KIND, code_of
from openbell.app.clock import now
from openbell.app.home import Home
from openbell.app.lab.figures import features as figures
from openbell.app.lab.looks import features as looks
from openbell.app.lab.pages.features import PAGE
from openbell.core.errors import BadInput

pytestmark = pytest.mark.xdist_group("browser")  # whose worker has the home of the session desk
EARLY, BARS = "early_return_pct", "rsi_14"


@pytest.fixture
def small(session_desk: SmallSession) -> SmallSession:
    return session_desk


def audited(home: Home, **told: Any) -> None:
    features = home.catalogue.features
    code = {each.family: code_of(each.module) for each in features.values()}
    payload = {"cuts": 3, "proven": sorted(features), "failed": {}, "switched_off": [], "code": code, **told}
    home.journal.append(KIND, payload, at=now())


def badge(home: Home, name: str = BARS) -> tuple[str, str]:
    return looks.badge(looks.proof(home), looks.one(home, name))


def test_every_declared_feature_is_listed_with_its_readers(tmp_path: Path) -> None:
    """Mutant: families of one desk alone, or a look-back that is not derived."""
    home = Home.open(tmp_path)
    rows = looks.declared(home)
    assert set(rows["feature"]) == set(home.catalogue.features)
    told = {row["feature"]: row for row in rows.iter_rows(named=True)}
    assert told[EARLY]["desks"] == "session"
    assert "signals" in told[BARS]["desks"]
    assert told[BARS]["lookback"] > 14


def test_an_unknown_feature_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=BARS):
        looks.one(Home.open(tmp_path), "rsi_41")


def test_the_badge_says_what_the_newest_audit_found(tmp_path: Path) -> None:
    """Mutant: a badge that is green without an audit, after a change of code, or for what failed."""
    home = Home.open(tmp_path)
    assert badge(home) == ("not proven here yet", "warn")
    audited(home)
    assert badge(home)[1] == "gain"
    audited(home, proven=[])
    assert "not proven yet" in badge(home)[0]
    audited(home, proven=[], failed={BARS: "causality: 3 values moved"})
    assert badge(home) == ("NOT CAUSAL: causality: 3 values moved", "loss")
    audited(home, proven=[], switched_off=[BARS])
    assert badge(home)[1] == "warn"
    audited(home, code={})
    assert "its code has changed" in badge(home)[0]


def test_values_of_a_session_are_those_of_its_newest_training(small: SmallSession) -> None:
    """Mutant: values computed anew, or nulls counted as values."""
    found = looks.values(small.home, looks.one(small.home, "early_volume_ratio_10"))
    rows = small.training.evidence("rows")["early_volume_ratio_10"]
    assert (found.values.len(), found.nulls) == (rows.drop_nulls().len(), rows.null_count())
    assert found.nulls > 0
    assert "GENDAYS" in found.of
    assert looks.values(small.home, looks.one(small.home, BARS)).values.is_empty()  # there are no daily bars


def test_importance_ranks_the_feature_among_all(small: SmallSession) -> None:
    """Mutant: a share of something else than the whole."""
    every = [looks.importance(small.home, looks.one(small.home, name)) for name in small.training.payload["features"]]
    found = pl.concat(every).unique()
    assert sorted(found["rank"]) == list(range(1, found.height + 1))
    assert found["weight"].sum() == pytest.approx(1.0)
    assert looks.importance(small.home, looks.one(small.home, BARS)).is_empty()


@pytest.mark.parametrize(
    ("values", "bars"), [([1.0, 1.0, 2.0], 2), ([3.0] * 5, 1), ([float(n) for n in range(500)], 60)]
)
def test_a_distribution_shows_every_value(values: list[float], bars: int) -> None:
    """Mutant: values beyond the bins dropped."""
    drawn = figures.distribution(pl.Series("x", values), "%").data[0]
    assert len(drawn.x) == bars
    assert sum(drawn.y) == len(values)


def test_the_page_of_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    import labs

    lab = labs.lab_at(tmp_path)
    shown = str(PAGE.layout(lab, {"family": "<b>", "feature": EARLY}).to_plotly_json())
    assert "openbell audit features" in shown
    assert "<b>" not in shown
    lab.presets.close()
