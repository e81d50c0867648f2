"""One suite over every place for tables: a disk, and a real S3-compatible server."""

import datetime as dt
import itertools

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.core.errors import BadInput, DataMissing, IntegrityBroken
from openbell.core.time import MOMENT
from openbell.core.view import View
from openbell.store import tables as module
from openbell.store.commits import Commit, CommitLog
from openbell.store.tables import Tables

SYMBOLS = ("AAA", "BBB")


def bars(first: dt.date = dt.date(2019, 12, 27), days: int = 8, price: float = 10.0) -> pl.DataFrame:
    sessions = [first + dt.timedelta(days=each) for each in range(days)]
    rows = list(itertools.product(SYMBOLS, sessions))
    return pl.DataFrame(
        {
            "symbol": [symbol for symbol, _ in rows],
            "freq": "1d",
            "session": [session for _, session in rows],
            "close": [price + number for number in range(len(rows))],
            "volume": [None if number % 3 else 100.0 for number in range(len(rows))],
            "source": "test",
        }
    ).with_columns(
        (pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(hours=21)).alias(
            "known_at"
        )
    )


def actions(factor: float = 2.0) -> pl.DataFrame:
    known = dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC)
    return pl.DataFrame(
        {"symbol": ["AAA"], "session": [dt.date(2020, 1, 2)], "factor": [factor], "known_at": [known]},
        schema_overrides={"known_at": MOMENT},
    )


def ordered(frame: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    return frame.lazy().sort("symbol", "session", "close").collect()


def names(tables: Tables) -> list[str]:
    return sorted(stored.name for under in ("data", "commits") for stored in tables.place.files(under))


@pytest.mark.parametrize("by", [None, "year"])
def test_rows_come_back_as_they_were(reopen, by):
    reopen().append("bars", bars(), by=by)
    assert_frame_equal(ordered(reopen().scan("bars")), ordered(bars()))
    assert reopen().names() == ["bars"]


def test_by_year_makes_a_file_for_each_year_with_its_rows(tables):
    tables.append("bars", bars(), by="year")
    (commit,) = tables.log.commits()
    files = commit.parts["bars"].files
    assert [(file.name.split("/")[2], file.rows, file.sessions) for file in files] == [
        ("year=2019", 10, ("2019-12-27", "2019-12-31")),
        ("year=2020", 6, ("2020-01-01", "2020-01-03")),
    ]


def test_many_rows_are_split_without_being_asked(tables, monkeypatch):
    monkeypatch.setattr(module, "SPLIT_ROWS", 15)
    tables.append_all({"bars": bars(), "few": bars(days=2)})
    (commit,) = tables.log.commits()
    assert len(commit.parts["bars"].files) == 2
    assert len(commit.parts["few"].files) == 1


def test_rows_without_a_session_stay_when_split(tables):
    """Quarantined rows are kept as received, one without a date too."""
    frame = bars().with_columns(
        pl.when(pl.col("close") == 10.0).then(None).otherwise(pl.col("session")).alias("session")
    )
    tables.append("quarantine", frame, by="year")
    assert_frame_equal(ordered(tables.scan("quarantine")), ordered(frame))
    assert any("year=unknown" in name for name in names(tables))


def test_the_same_content_again_adds_nothing(reopen):
    first = reopen().append("bars", bars(), by="year")
    before = names(reopen())
    assert reopen().append("bars", bars(), by="year") == first
    assert reopen().append("bars", bars()) == first
    assert reopen().append("bars", bars().select(reversed(bars().columns))) == first
    assert names(reopen()) == before


def test_an_import_that_is_half_known_writes_the_other_half(reopen):
    reopen().append("bars", bars())
    reopen().append_all({"bars": bars(), "actions": actions()})
    assert reopen().scan("bars").collect().height == bars().height
    assert reopen().scan("actions").collect().height == 1
    assert len(reopen().log.commits()) == 2


def test_the_same_rows_in_two_tables_are_two_facts(tables):
    tables.append_all({"bars": bars(), "quarantine": bars()})
    assert tables.names() == ["bars", "quarantine"]
    assert tables.scan("quarantine").collect().height == bars().height


def test_new_rows_are_added_and_old_ones_stay(reopen):
    one = reopen().append("bars", bars())
    two = reopen().append("bars", bars(dt.date(2020, 2, 3), price=99.0))
    assert one != two
    expected = pl.concat([bars(), bars(dt.date(2020, 2, 3), price=99.0)])
    assert_frame_equal(ordered(reopen().scan("bars")), ordered(expected))


def test_equal_content_gives_equal_bytes(tmp_path):
    written = []
    for home in ("one", "two"):
        tables = Tables.open((tmp_path / home).as_uri())
        tables.append_all({"bars": bars(), "actions": actions()}, by={"bars": "year"})
        written.append({name: tables.place.get(name) for name in names(tables)})
    assert written[0] == written[1]


def test_a_table_with_no_rows_exists(reopen):
    reopen().append("quarantine", bars().clear(), by="year")
    assert reopen().exists("quarantine")
    assert reopen().scan("quarantine").collect().schema == bars().schema
    assert reopen().scan("quarantine", first=dt.date(2020, 1, 1)).collect().height == 0


def test_a_table_that_is_not_there_is_named_with_the_nearest(tables):
    assert not tables.exists("bars")
    assert tables.names() == []
    tables.append("bars", bars())
    with pytest.raises(DataMissing, match="Did you mean `bars`"):
        tables.scan("bar")


def test_nothing_is_written_before_the_first_append(tmp_path):
    Tables.open((tmp_path / "home").as_uri()).names()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (bars().drop("known_at"), "have no column `known_at`"),
        (bars().with_columns(pl.col("known_at").dt.replace_time_zone(None)), "It is naive"),
        (bars().with_columns(pl.col("known_at").dt.convert_time_zone("Asia/Tokyo")), "must be Datetime"),
        (bars().with_columns(pl.col("known_at").cast(pl.Datetime("ns", "UTC"))), "must be Datetime"),
        (bars().with_columns(pl.col("known_at").dt.date()), "it was Date"),
        (
            bars().with_columns(pl.when(pl.col("close") > 12).then(pl.col("known_at")).alias("known_at")),
            "3 of 16 rows for `bars` have no `known_at`, the first of them row 0",
        ),
        (bars().with_columns(pl.lit(None).alias("volume")), "`volume` of the rows for `bars` have no type"),
    ],
)
def test_a_row_nobody_knows_when_to_show_is_refused(tables, frame, sentence):
    with pytest.raises(BadInput, match=sentence.replace("(", r"\(")):
        tables.append_all({"actions": actions(), "bars": frame})
    assert names(tables) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: frame.drop("volume"), "missing `volume`"),
        (lambda frame: frame.with_columns(pl.lit(1).alias("extra")), "extra `extra`"),
        (lambda frame: frame.with_columns(pl.col("close").cast(pl.Float32)), "`close` is Float32 and was Float64"),
        (lambda frame: frame.rename({"volume": "vol"}), "missing `volume`; extra `vol`"),
    ],
)
def test_a_change_of_columns_is_refused_by_name(reopen, change, sentence):
    reopen().append("bars", bars())
    before = names(reopen())
    with pytest.raises(BadInput) as refused:
        reopen().append("bars", change(bars(price=50.0)))
    assert sentence in str(refused.value)
    assert names(reopen()) == before


@pytest.mark.parametrize("name", ["", "Bars", "../bars", "bars/x", "1d", "bars.parquet", "_x"])
def test_a_name_that_could_leave_its_folder_is_refused(tables, name):
    with pytest.raises(BadInput, match="cannot name a table"):
        tables.append(name, bars())


def test_a_split_that_cannot_be_is_refused(tables):
    with pytest.raises(BadInput, match="cannot be split by `month`"):
        tables.append("bars", bars(), by="month")
    with pytest.raises(BadInput, match="needs a column `session`"):
        tables.append("bars", bars().drop("session"), by="year")
    with pytest.raises(BadInput, match="Did you mean `bars`"):
        tables.append_all({"bars": bars()}, by={"bar": "year"})


def test_there_is_no_verb_that_changes_or_removes_a_row():
    public = {name for name in vars(Tables) if not name.startswith("_")}
    verbs = {"open", "append", "append_all", "scan", "exists", "names", "verify", "orphans", "sweep", "place", "log"}
    assert public <= verbs | {"place", "log"}


@pytest.mark.parametrize("first", [None, dt.date(2020, 1, 1), dt.date(2020, 1, 3), dt.date(2031, 1, 1)])
@pytest.mark.parametrize("hour", [None, 20, 21])
def test_asking_for_less_gives_the_rows_that_a_filter_gives(tmp_path, first, hour):
    tables = Tables.open(tmp_path.as_uri())
    tables.append("bars", bars(), by="year")
    known_by = None if hour is None else dt.datetime(2020, 1, 2, hour, tzinfo=dt.UTC)
    expected = bars().lazy()
    if first is not None:
        expected = expected.filter(pl.col("session") >= first)
    if known_by is not None:
        expected = expected.filter(pl.col("known_at") <= known_by)
    assert_frame_equal(ordered(tables.scan("bars", first=first, known_by=known_by)), ordered(expected))


def test_files_without_a_wanted_row_are_not_opened(tables):
    tables.append("bars", bars(), by="year")
    for year, wanted in (
        (2019, {"known_by": dt.datetime(2019, 12, 31, 23, tzinfo=dt.UTC)}),
        (2020, {"first": dt.date(2020, 1, 1)}),
    ):
        plan = tables.scan("bars", **wanted).explain()
        assert f"year={year}" in plan
        assert f"year={4039 - year}" not in plan


def test_a_filter_spares_the_pages_of_other_years(tmp_path):
    """A reader that knows only `scan` and `filter` (the View) still reads no page of a year that it does not want."""
    tables = Tables.open(tmp_path.as_uri())
    tables.append("bars", bars(), by="year")
    (old,) = (tmp_path / "data/bars/year=2019").iterdir()
    content = bytearray(old.read_bytes())
    content[4 : len(content) // 3] = bytes(len(content) // 3 - 4)  # pages ruined, footer left
    old.write_bytes(content)
    found = tables.scan("bars").filter(pl.col("session") >= dt.date(2020, 1, 1)).collect()
    assert found.height == 6
    with pytest.raises(pl.exceptions.PolarsError):
        tables.scan("bars").collect()


def test_a_naive_moment_cannot_cut(tables):
    tables.append("bars", bars())
    with pytest.raises(BadInput, match="has no time zone"):
        tables.scan("bars", known_by=dt.datetime(2020, 1, 1))


def test_two_writers_that_overlap_both_count_once(reopen):
    """Each looks, then each writes: the same content counts once, different content twice."""
    ours, theirs = reopen(), reopen()
    looked = ours.log.commits()
    theirs.append("bars", bars(price=70.0))
    theirs.append("bars", bars())

    class Late(CommitLog):
        def commits(self) -> list[Commit]:
            return looked

    late = Tables(ours.place, Late(ours.place))
    late.append("bars", bars())
    late.append("bars", bars(price=90.0))
    assert reopen().scan("bars").collect().height == 3 * bars().height
    assert [commit.number for commit in reopen().log.commits()] == [1, 1, 1, 2]


def test_two_beginnings_with_different_columns_are_noticed(reopen):
    class Blind(CommitLog):
        def commits(self) -> list[Commit]:
            return []

    place = reopen().place
    reopen().append("bars", bars())
    Tables(place, Blind(place)).append("bars", bars().drop("volume"))
    with pytest.raises(IntegrityBroken, match="begun by two writers at once with different columns"):
        reopen().scan("bars")


def test_verify_counts_the_files_and_names_a_changed_or_a_lost_one(reopen):
    tables = reopen()
    tables.append_all({"bars": bars(), "actions": actions()}, by={"bars": "year"})
    assert tables.verify() == 3
    name = tables.log.commits()[0].parts["bars"].files[1].name
    content = tables.place.get(name)
    tables.place.put(name, content[:-9] + b"x" + content[-8:])
    with pytest.raises(IntegrityBroken, match=f"{name} of .* was changed"):
        reopen().verify()
    tables.place.remove(name)
    with pytest.raises(IntegrityBroken, match=f"{name} of .* is gone"):
        reopen().verify()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-20],
        lambda content: content.replace(b'"rows":16', b'"rows":15'),
        lambda content: b"[]",
        lambda content: b"\xff\xfe",
    ],
)
def test_a_commit_that_was_altered_is_not_trusted(reopen, spoil):
    reopen().append("bars", bars())
    commit = reopen().log.commits()[0]
    place = reopen().place
    place.put(commit.name, spoil(place.get(commit.name)))
    with pytest.raises(IntegrityBroken, match=f"The commit {commit.name} of the tables cannot be trusted"):
        reopen().scan("bars")


def test_orphans_are_listed_and_swept_and_nothing_else(reopen):
    tables = reopen()
    tables.append("bars", bars(), by="year")
    kept = names(tables)
    tables.place.put("data/bars/year=2020/orphan.parquet", b"x")
    tables.place.put("commits/.00000002-x.json.1.2.part", b"x")
    assert [stored.name for stored in reopen().orphans()] == [
        "data/bars/year=2020/orphan.parquet",
        "commits/.00000002-x.json.1.2.part",
    ]
    assert reopen().sweep(before=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)) == []
    assert len(reopen().sweep()) == 2
    assert names(reopen()) == kept
    assert_frame_equal(ordered(reopen().scan("bars")), ordered(bars()))


def test_a_view_reads_them(tables, sessions_of_the_test):
    frame = bars().with_columns(*(pl.col("close").alias(price) for price in ("open", "high", "low")))
    tables.append("bars", frame, by="year")
    view = View(tables, dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC), sessions_of_the_test)
    seen = view.bars().collect()
    assert seen["session"].max() == dt.date(2020, 1, 1)
    assert seen.height == 12


@pytest.fixture
def sessions_of_the_test():
    from openbell.core.time import Sessions

    return Sessions("XTST", (), (), ())
