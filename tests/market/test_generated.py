import datetime as dt
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from openbell.core.declare import ROOMS, Provider, collect
from openbell.core.errors import BadInput
from openbell.core.hashing import frame_digest
from openbell.market.providers import files, generated, sample, yahoo
from openbell.market.providers.generated import generated as market


def test_the_same_seed_gives_the_same_bytes_in_another_process(root: Path) -> None:
    code = "from openbell.market.providers.generated import generated; from openbell.core.hashing import frame_digest; "
    code += "print(frame_digest(generated(names=8, years=0.5, seed=7, edge=0.05).bars))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(root / "src")}
    )
    assert told.stdout.strip() == frame_digest(market(names=8, years=0.5, seed=7, edge=0.05).bars)
    assert told.stdout.strip() != frame_digest(market(names=8, years=0.5, seed=8, edge=0.05).bars)


def test_a_batch_of_60_names_and_4_years() -> None:
    batch = market()
    assert batch.bars.height == 60 * 1008
    assert batch.bars["symbol"].n_unique() == 60
    assert batch.bars["session"].min() == dt.date(2010, 1, 4)
    assert batch.instruments["sector"].n_unique() == 8
    assert batch.membership["member"].all()
    assert batch.fields == ("open", "high", "low", "close", "volume")
    assert "made up, without any edge" in batch.notes[0]
    assert "planted daily rank IC of 0.05" in market(names=8, years=0.5, edge=0.05).notes[0]


def test_a_drift_and_neutral_means_reach_the_market_and_are_told() -> None:
    """Kills a provider that drops a keyword: each of them changes the bars, and the source's name says so."""
    usual = market(names=8, years=0.5)
    kinds = [{"drift_sharpe": 0.8}, {"neutral": "mean"}, {"persistence": 0.95}, {"signal_sessions": 60}]
    batches = [market(names=8, years=0.5, edge=0.05, **kind) for kind in kinds]
    digests = {frame_digest(batch.bars) for batch in [usual, market(names=8, years=0.5, edge=0.05), *batches]}
    assert len(digests) == 6
    assert usual.name == "generated:8 names, 0.5 years, seed 0, edge 0"
    assert batches[1].name.endswith("edge 0.05, neutral mean")
    assert "a drift of Sharpe 0.8 that every name has alike" in batches[0].notes[0]
    declared = generated.declared[0]
    assert set(kinds[0] | kinds[1] | kinds[2] | kinds[3]) <= set(declared.settings)
    read = declared.read(names=8, years=0.5, edge=0.05, **kinds[1])
    assert frame_digest(read.bars) == frame_digest(batches[1].bars)


def test_a_market_longer_than_the_calendar_is_refused() -> None:
    with pytest.raises(BadInput, match="calendar of XNYS ends"):
        market(names=8, years=40)


def test_the_providers_are_declared() -> None:
    found = collect([files, generated, sample, yahoo], Provider)
    assert sorted(found) == ["files", "generated", "sample", "yahoo"]
    assert found["yahoo"].delay_minutes == 15
    assert found["generated"].read(names=8, years=0.5).bars.height == 8 * 126
    assert found["generated"].settings["edge"] == 0.0
    assert ROOMS["providers"][0] == "openbell.market.providers"
    assert all(isinstance(thing.read, object) and thing.summary for thing in found.values())
    assert isinstance(found["sample"].read(small=True).bars, pl.DataFrame)
