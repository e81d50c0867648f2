"""Reports as facts of their filing: the first one, from the day after, and no snapshot of today in the past."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.market.fundamentals import import_fundamentals, snapshots

from .conftest import AT, Memory


def write(path: Path, **columns: list[object]) -> Path:
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_a_report_is_known_from_the_day_after_its_filing(tmp_path: Path, memory: Memory) -> None:
    path = write(
        tmp_path / "f.parquet",
        symbol=["A", "A", "B"],
        end_date=["2015-03-31", "2015-06-30", "2015-03-31"],
        fiscal_year=["2015"] * 3,
        revenues=[10.0, 11.0, None],
        filed_file_date=["20150507", None, "20150508"],
    )
    report = import_fundamentals(memory, path, at=AT)
    facts = memory.frames["fundamentals"].sort("symbol", "period_end")
    assert facts["known_at"].to_list() == [
        dt.datetime(2015, 5, 8, tzinfo=dt.UTC),
        dt.datetime(2015, 8, 15, tzinfo=dt.UTC),  # 30 June, 45 days of lag, and the day after
        dt.datetime(2015, 5, 9, tzinfo=dt.UTC),
    ]
    assert facts["filed"].null_count() == 1
    assert report.without_filing_date == 1
    assert report.columns == ("revenues",)


def test_the_first_of_repeats_is_kept(tmp_path: Path, memory: Memory) -> None:
    path = write(
        tmp_path / "f.parquet",
        symbol=["A", "A", "A", "", "A"],
        end_date=["2015-03-31"] * 4 + [None],
        revenues=[12.0, 10.0, 11.0, 5.0, 5.0],
        filed_file_date=["20150601", "20150507", "20150508", "20150508", "20150508"],
    )
    report = import_fundamentals(memory, path, at=AT)
    assert memory.frames["fundamentals"].select("revenues", "filed").rows() == [(10.0, dt.date(2015, 5, 7))]
    assert (report.received, report.stored, report.repeats, report.unusable, report.known) == (5, 1, 2, 2, 0)
    again = import_fundamentals(memory, path, at=AT)
    assert (again.stored, again.known, again.commit) == (0, 1, None)


def ratios(pe: list[float], revenues: list[float]) -> dict[str, list[object]]:
    count = len(pe)
    return {
        "symbol": ["A"] * count,
        "end_date": [f"201{5 + place // 4}-0{3 * (place % 4) + 1}-28" for place in range(count)][:count],
        "revenues": list(revenues),
        "pe_ratio": list(pe),
    }


def test_a_ratio_that_stands_still_while_revenue_moves_is_a_snapshot(tmp_path: Path, memory: Memory) -> None:
    """Check 9."""
    path = write(tmp_path / "f.parquet", **ratios([17.3, 17.3, 17.3], [10.0, 11.0, 12.5]))
    with pytest.raises(BadInput, match=r"`pe_ratio` in f.parquet is no point-in-time number.*in 1 of 1 symbols \(A\)"):
        import_fundamentals(memory, path, at=AT)
    assert memory.frames == {}


@pytest.mark.parametrize(
    ("pe", "revenues"),
    [([17.3, 17.3, 17.9], [10.0, 11.0, 12.0]), ([17.3, 17.3], [10.0, 11.0]), ([17.3, 17.3, 17.3], [10.0, 10.0, 10.0])],
)
def test_what_moves_or_is_too_short_or_belongs_to_a_still_company_passes(
    tmp_path: Path, memory: Memory, pe: list[float], revenues: list[float]
) -> None:
    import_fundamentals(memory, write(tmp_path / "f.parquet", **ratios(pe, revenues)), at=AT)
    assert memory.frames["fundamentals"].height == len(pe)


def test_snapshots_are_counted_by_column() -> None:
    rows = pl.DataFrame(
        {
            "symbol": ["A"] * 3 + ["B"] * 3,
            "period_end": [dt.date(2015, month, 1) for month in (3, 6, 9)] * 2,
            "revenues": [1.0, 2.0, 3.0] * 2,
            "net_margin": [0.1, 0.1, 0.1, 0.1, 0.2, 0.3],
        }
    )
    assert snapshots(rows).rows() == [("net_margin", 2, 1, ["A"])]


def test_bad_files_are_refused(tmp_path: Path, memory: Memory) -> None:
    with pytest.raises(DataMissing, match="There is no file"):
        import_fundamentals(memory, tmp_path / "none.parquet", at=AT)
    with pytest.raises(BadInput, match=r"no column for `period_end`.*--map period_end=COLUMN"):
        import_fundamentals(memory, write(tmp_path / "a.parquet", symbol=["A"], revenues=[1.0]), at=AT)
    with pytest.raises(BadInput, match="no numeric column"):
        import_fundamentals(memory, write(tmp_path / "b.parquet", symbol=["A"], end_date=["2015-03-31"]), at=AT)
    bad = write(tmp_path / "c.parquet", symbol=["A"], end_date=["soon"], revenues=[1.0])
    with pytest.raises(BadInput, match="`soon`, which is no date"):
        import_fundamentals(memory, bad, at=AT)
    empty = write(tmp_path / "d.parquet", symbol=[""], end_date=["2015-03-31"], revenues=[1.0])
    with pytest.raises(BadInput, match=r"No row of d.parquet"):
        import_fundamentals(memory, empty, at=AT)


def test_the_real_reports(real_data: Path, memory: Memory) -> None:
    path = real_data / "stocks" / "fundamental_reports_filed_2015-03_2016-06.parquet"
    report = import_fundamentals(memory, path, at=AT)
    facts = memory.frames["fundamentals"]
    assert report.received == 42_120 == report.stored + report.repeats
    assert facts.select("symbol", "period_end").is_unique().all()
    assert (facts["known_at"].dt.date() > facts["filed"]).all()
