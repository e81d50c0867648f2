"""Settings: who wins, what is refused, and what never shows."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.app.sections import Run, Train
from openbell.app.settings import keys, load
from openbell.app.toml_text import text
from openbell.core.declare import Catalogue, Check, Desk, Model
from openbell.core.errors import BadInput
from openbell.core.hashing import canonical_json
from openbell.research.training import TrainSettings


def _about(name, **settings):
    return {"name": name, "module": f"openbell.x.{name}", "doc": f"What {name} is.", "settings": settings}


CATALOGUE = Catalogue(
    features={},
    labels={},
    models={"forest": Model(**_about("forest", trees=100, depth=None), build=None)},
    desks={
        "stocks": Desk(
            **_about("stocks", top_k=30, weighting="equal", max_position_pct=0.99),
            decide=None,
            label="rank_5",
            candidates=("forest",),
            families=(),
            rebalance_sessions=5,
        )
    },
    checks={
        "position_cap": Check(**_about("position_cap", max_position_pct=0.15), run=None),
        "size_classes": Check(**_about("size_classes", weights={"large": 0.7, "small": 0.05}, names=("a",)), run=None),
    },
    providers={},
)


def _load(tmp_path, *overrides, toml=None, environ=None, **more):
    if toml is not None:
        (tmp_path / "openbell.toml").write_text(toml)
    return load(CATALOGUE, overrides=overrides, environ=environ or {}, cwd=tmp_path, **more)


def test_defaults_stand_where_nothing_is_said(tmp_path):
    settings = _load(tmp_path)
    assert settings.run.capital == 100_000.0
    assert settings.safety["position_cap"] == {"max_position_pct": 0.15}
    assert settings.desks["stocks"]["top_k"] == 30
    assert settings.store.journal == f"sqlite:///{tmp_path}/home/journal.db"
    assert {row["origin"] for row in settings.rows()} == {"default", "inside home"}


def test_the_later_layer_wins_and_says_so(tmp_path):
    """Kills: any two layers swapped."""
    toml = "[run]\ncapital = 1\nlead_minutes = 1\n[train]\nfolds = 7\n"
    environ = {"OPENBELL__RUN__CAPITAL": "2", "OPENBELL__RUN__LEAD_MINUTES": "2", "PATH": "/bin"}
    settings = _load(tmp_path, "run.capital=3", toml=toml, environ=environ)
    assert (settings.run.capital, settings.run.lead_minutes, settings.train.folds) == (3.0, 2, 7)
    assert settings.origins["run.capital"] == "--set"
    assert settings.origins["run.lead_minutes"] == "environment OPENBELL__RUN__LEAD_MINUTES"
    assert settings.origins["train.folds"] == str(tmp_path / "openbell.toml")
    assert settings.origins["train.stride"] == "default"


def test_every_key_has_a_row_with_value_and_origin(tmp_path):
    rows = _load(tmp_path).rows()
    assert [row["key"] for row in rows] == list(keys(CATALOGUE))
    assert all(row["origin"] for row in rows)


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("run.capitl=5", "`run.capital`"),
        ("saftey.position_cap.max_position_pct=0.1", "`safety.position_cap.max_position_pct`"),
        ("safety.position_cap.max_positions_pct=0.1", "`safety.position_cap.max_position_pct`"),
        ("desks.stock.top_k=3", "`desks.stocks.top_k`"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path, word, nearest):
    with pytest.raises(BadInput, match="There is no setting") as refusal:
        _load(tmp_path, word)
    assert nearest in str(refusal.value)


def test_an_unknown_key_is_refused_from_the_file_and_from_the_environment(tmp_path):
    with pytest.raises(BadInput, match=r"OPENBELL__RUN__CAPITL.*Did you mean `run.capital`"):
        _load(tmp_path, environ={"OPENBELL__RUN__CAPITL": "5"})
    with pytest.raises(BadInput, match=r"openbell.toml.*Did you mean `run.capital`"):
        _load(tmp_path, toml="[run]\ncapitl = 5\n")


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[run]\ncapital = 1\ncapital = 2\n", "line 3: `capital = 2` gives a key or a section a second time"),
        ("[run]\ncapital = 1\n[train]\nfolds = 5\n[run]\nlead_minutes = 2\n", "line 5: `\\[run\\]` gives"),
        ("run.capital = 1\n[run]\ncapital = 2\n", "line 2"),
        ("[run]\ncapital = \n", "line 2: `capital =` is not TOML"),
    ],
)
def test_a_key_given_twice_is_refused_with_its_line(tmp_path, toml, line):
    """check 52, for our own file. Kills: the second key silently wins."""
    with pytest.raises(BadInput, match=line):
        _load(tmp_path, toml=toml)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("run.capital=much", "`run.capital` .--set. must be a valid number; was 'much'"),
        ("run.capital=-1", "must be greater than 0; was -1"),
        ("run.capital=true", "must be a valid number; was True"),
        ("run.lead_minutes=2.5", "must be a valid integer"),
        ("safety.position_cap.max_position_pct=true", "must be a valid number; was True"),
        ("desks.stocks.top_k=3.5", "`desks.stocks.top_k` .--set. must be a valid integer"),
        ("live.notifications.method=fax", "must be 'email', 'slack' or 'webhook'; was 'fax'"),
        ("train.replications=999", "must be greater than or equal to 1000"),
        ("run=3", "`run` .--set. is a section"),
        ("run.capital", "names no value"),
    ],
)
def test_a_wrong_type_or_value_is_refused_with_what_it_was(tmp_path, word, sentence):
    with pytest.raises(BadInput, match=sentence):
        _load(tmp_path, word)


def test_a_nested_plugin_setting_keeps_its_other_keys(tmp_path):
    settings = _load(tmp_path, "safety.size_classes.weights.small=0.1", 'safety.size_classes.names=["b", "c"]')
    assert settings.safety["size_classes"] == {"weights": {"large": 0.7, "small": 0.1}, "names": ("b", "c")}


def test_a_limit_that_a_desk_reads_too_has_one_key(tmp_path):
    """Kills: the desk's own default (0.99 here) and the check's limit drifting apart."""
    assert _load(tmp_path).desks["stocks"]["max_position_pct"] == 0.15
    assert _load(tmp_path, "safety.position_cap.max_position_pct=0.1").desks["stocks"]["max_position_pct"] == 0.1
    with pytest.raises(BadInput, match=r"Did you mean `safety\.position_cap\.max_position_pct`\?"):
        _load(tmp_path, "desks.stocks.max_position_pct=0.1")


def test_training_is_set_by_the_same_names_and_defaults_as_the_engine_has():
    """Kills: a key of `[train]` that the engine does not know, or a default that differs."""
    ours = {name: field.default for name, field in Train.model_fields.items() if name != "candidates"}
    engine = dataclasses.asdict(TrainSettings())
    assert ours == {name: value for name, value in engine.items() if name not in ("lead_minutes", "parameters")}
    assert engine["lead_minutes"] == Run.model_fields["lead_minutes"].default


def test_settings_cannot_be_changed(tmp_path):
    settings = _load(tmp_path)
    with pytest.raises(Exception, match="frozen"):
        settings.run.capital = 5.0
    with pytest.raises(TypeError):
        settings.safety["position_cap"]["max_position_pct"] = 0.5


def test_a_secret_never_shows_and_comes_from_the_environment_alone(tmp_path):
    variable = "OPENBELL__LIVE__NOTIFICATIONS__WEBHOOK_URL"
    settings = _load(tmp_path, environ={variable: "https://hook/s3cret"})
    assert settings.live.notifications.webhook_url.get_secret_value() == "https://hook/s3cret"
    assert settings.values()["live.notifications.webhook_url"] == "set"
    for shown in (repr(settings), str(settings), str(settings.rows()), canonical_json(settings.values())):
        assert "s3cret" not in shown
    with pytest.raises(BadInput, match=f"secret.*{variable}") as refusal:
        _load(tmp_path, "live.notifications.webhook_url=https://hook/s3cret")
    assert "s3cret" not in str(refusal.value)
    with pytest.raises(BadInput, match="is a secret"):
        _load(tmp_path, toml='[live.notifications]\nwebhook_url = "x"\n')


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(BadInput, match=r"`store.journal`.*must not carry a password.*PGPASSWORD") as refusal:
        _load(tmp_path, environ={"OPENBELL__STORE__JOURNAL": "postgresql://me:hunter2@host/db"})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["live.notifications.enabled=true"], "email_recipients` is empty"),
        (["live.notifications.enabled=true", "live.notifications.method=slack"], "there is no `webhook_url`"),
    ],
)
def test_notifications_that_reach_nobody_are_refused(tmp_path, words, sentence):
    with pytest.raises(BadInput, match=sentence):
        _load(tmp_path, *words)


def test_the_hash_follows_decisions_and_neither_places_nor_secrets(tmp_path):
    plain = _load(tmp_path).hash
    assert plain == _load(tmp_path).hash
    assert plain == _load(tmp_path, home=tmp_path / "elsewhere").hash
    assert plain == _load(tmp_path, environ={"OPENBELL__LIVE__NOTIFICATIONS__WEBHOOK_URL": "x"}).hash
    assert plain == _load(tmp_path, "run.output_dir=other", "train.jobs=1").hash
    for word in ("run.capital=5", "safety.position_cap.max_position_pct=0.1", "models.forest.trees=7", "train.seed=1"):
        assert plain != _load(tmp_path, word).hash


def test_the_homes_own_file_comes_before_the_one_here(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "openbell.toml").write_text("[run]\ncapital = 7\n")
    settings = _load(tmp_path, toml='home = "there"\n[run]\ncapital = 5\n')
    assert settings.home == str(tmp_path / "there")
    assert settings.run.capital == 7
    assert _load(tmp_path, home=tmp_path / "empty").run.capital == 5
    assert _load(tmp_path, file=tmp_path / "openbell.toml", home=tmp_path / "there").run.capital == 5


def test_home_follows_the_order_of_the_layers(tmp_path):
    environ = {"OPENBELL__HOME": "from_environment"}
    assert _load(tmp_path, environ=environ).home == str(tmp_path / "from_environment")
    assert _load(tmp_path, environ=environ, home=Path("said")).home == str(tmp_path / "said")
    assert _load(tmp_path, environ=environ, toml='home = "filed"\n').home == str(tmp_path / "from_environment")


def test_a_settings_file_that_is_absent_or_not_text_is_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        _load(tmp_path, file=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is not UTF-8"):
        _load(tmp_path, file=tmp_path / "bad.toml")


@given(
    capital=st.floats(1.0, 1e12),
    seed=st.integers(0, 10**9),
    folder=st.text(min_size=1),
    names=st.lists(st.text(alphabet="ab\"'\\é", max_size=4), max_size=3).map(tuple),
)
def test_what_is_written_as_toml_reads_back_the_same(tmp_path_factory, capital, seed, folder, names):
    """Kills: a quote, a backslash or a float that the text loses."""
    values = {"run.capital": capital, "run.output_dir": folder, "train.seed": seed, "train.candidates": names}
    path = tmp_path_factory.mktemp("round") / "openbell.toml"
    path.write_text(text(values, {}), encoding="utf-8")
    read = load(CATALOGUE, file=path, environ={}, cwd=path.parent).values()
    assert {key: read[key] for key in values} == values
