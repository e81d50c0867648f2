"""What the command asks for, and what a stream is made of."""

import datetime as dt
from types import SimpleNamespace

import polars as pl
import pytest

from openbell.app.stream import opening
from openbell.app.stream.metrics import StreamMetrics
from openbell.app.stream.opening import Asked, refuse_other_models, warm_sessions
from openbell.app.stream.summary import Summary
from openbell.core.errors import BadInput


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"source": "rediss"}, "Did you mean `redis`"),
        ({"source": "ws"}, "needs --url"),
        ({"source": "replay", "first": dt.date(2024, 3, 12), "last": dt.date(2024, 3, 11)}, "lies after"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(words, sentence) -> None:
    with pytest.raises(BadInput, match=sentence):
        Asked(**words)


def test_the_same_question_goes_on_and_another_one_is_another_stream() -> None:
    """Kills: a name without the symbols or the first session, by which two replays share one memory."""
    one = Asked("replay", symbols=("A",), first=dt.date(2024, 3, 11))
    names = {
        one.name("1m"),
        Asked("replay", symbols=("A",), first=dt.date(2024, 3, 11), speed=0.0, last=dt.date(2024, 3, 12)).name("1m"),
    }
    assert len(names) == 1, "how fast and how far it plays changes nothing that was done"
    others = {Asked("replay", symbols=("B",)).name("1m"), one.name("5m"), Asked("ws", url="ws://x").name("1m")}
    assert len(names | others) == 4
    assert Asked("replay", stream="my-own_1").name("1m") == "my-own_1"
    with pytest.raises(BadInput, match="letters"):
        Asked("replay", stream="../up").name("1m")


def test_the_longest_look_back_is_warmed_up_on_in_sessions() -> None:
    """253 days; 200 hours of 6 to a session are 34; one more for the session that has begun."""
    lineage = pl.DataFrame({"frame": ["1d", "1h", "1m"], "lookback": [253, 200, 500]})
    assert warm_sessions(lineage) == 254
    assert warm_sessions(lineage.filter(pl.col("frame") == "1h")) == 35
    assert warm_sessions(lineage.filter(pl.col("frame") == "1m")) == 3


def test_the_memory_of_another_model_is_not_gone_on_with() -> None:
    kept = SimpleNamespace(state={"models": ["a@1"]})
    refuse_other_models(kept, ["a@1"])
    with pytest.raises(BadInput, match="--fresh"):
        refuse_other_models(kept, ["a@2"])


def test_a_model_that_reads_no_other_columns_shares_the_features() -> None:
    made = []

    def engine(*columns):
        return SimpleNamespace(columns=columns, live=lambda: made.append(columns) or SimpleNamespace())

    def live(engine, *features):
        return SimpleNamespace(features=engine, model=SimpleNamespace(features=features))

    first, same, other = live(engine("a", "b"), "a"), live(engine("a", "b"), "b"), live(engine("a", "c"), "c")
    shared = opening._features((first, same), None)
    assert shared[0] is shared[1]
    apart = opening._features((first, other), None)
    assert apart[0] is not apart[1]
    assert made == [("a", "b"), ("a", "b"), ("a", "c")]


def test_the_summary_is_json_and_sentences() -> None:
    metrics = StreamMetrics()
    metrics.count("bars", "taken", 10)
    metrics.count("bars", "twice")
    metrics.count("signals", "BUY", 2)
    metrics.count("held", "signal_fresh_bar")
    for number in range(1, 101):
        metrics.time("features", number / 1000.0)
    outcome = {"model": "m", "outcomes": 5, "sessions": 1, "log_loss": 1.2, "reference": 1.0, "drifted": True}
    made = Summary(["m"], metrics, 0.75, [outcome, {**outcome, "reference": None}], 0, ["A sentence."])
    lines = "\n".join(made.lines())
    for part in ("11 bars: 10 taken, 1 twice.", "2 BUY", "1 signal_fresh_bar", "75.0%", "drifted",
                 "A sentence."):  # fmt: skip
        assert part in lines
    assert "no walk-forward to compare" in lines
    told = made.as_json()
    assert told["latency_ms"]["features"]["p50"] == pytest.approx(50.5)
    assert told["latency_ms"]["features"]["p95"] == pytest.approx(95.05)
    assert told["bars"] == {"taken": 10, "twice": 1}


def test_metrics_are_answered_to_prometheus() -> None:
    import urllib.request

    metrics = StreamMetrics()
    metrics.count("missing", "net", 3)
    metrics.time("end_to_end", 0.004)
    server = metrics.serve(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/metrics") as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    assert 'stream_missing_total{member="net"} 3.0' in text
    assert 'stream_seconds_bucket{le="0.005",stage="end_to_end"} 1.0' in text


def test_what_the_features_refused_is_told() -> None:
    report = SimpleNamespace(reason="twice", bars=2, sentence="It came a second time.", example="AAA at 13:31")
    (told,) = opening._sentences([report])
    assert told == "2 bars were refused (twice): It came a second time. The last: AAA at 13:31."
