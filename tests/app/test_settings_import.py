"""`openbell settings import config.yaml`: each key of the request has one place here, or a reason."""

import re
import tomllib

import pytest
import yaml

from openbell.app.request_config import import_config
from openbell.app.request_keys import KEYS, Holds, Left, Ours
from openbell.app.settings import keys, load
from openbell.app.settings_example import example
from openbell.core.declare import discover
from openbell.core.errors import BadInput


@pytest.fixture(scope="session")
def catalogue():
    return discover()


@pytest.fixture(scope="session")
def request_yaml(root):
    """The two configuration blocks of the stocks request, as it writes them."""
    path = root.parent / "shared" / "spec" / "request_stocks.md"
    if not path.exists():
        pytest.skip(f"the request is not at {path}")
    blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return "\n".join(block for block in blocks if "live:" in block or "model_selection:" in block)


def _leaves(node, prefix=""):
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_of_the_request_has_a_place(request_yaml):
    wanted = {key for key, _ in _leaves(yaml.safe_load(request_yaml))}
    assert len(wanted) == 59
    assert wanted - set(KEYS) == set()


def test_every_place_is_a_setting_that_exists(catalogue):
    known = keys(catalogue)
    assert [rule.key for rule in KEYS.values() if isinstance(rule, Ours) and rule.key not in known] == []


def test_every_reason_is_a_sentence():
    for rule in KEYS.values():
        if isinstance(rule, (Holds, Left)):
            assert len(rule.why) > 20
            assert rule.why.endswith(".")


def test_the_request_as_written_imports_whole(tmp_path, request_yaml, catalogue):
    path = _write(tmp_path, request_yaml)
    toml, report = import_config(path, catalogue)
    reported = set(report.taken) | set(report.holds) | set(report.left)
    assert reported == {key for key, _ in _leaves(yaml.safe_load(request_yaml))}
    out = tmp_path / "openbell.toml"
    out.write_text(toml, encoding="utf-8")
    settings = load(catalogue, file=out, environ={}, cwd=tmp_path)
    assert settings.safety["position_cap"]["max_position_pct"] == 0.15
    assert settings.models["lightgbm"]["num_leaves"] == 31
    assert settings.tournament.candidates == ("xgboost", "xgboost_tuned", "random_forest", "lightgbm", "ensemble")
    assert len(report.lines()) == len(reported)


def test_a_default_of_the_request_is_a_default_here(request_yaml, catalogue):
    """Kills: a limit typed wrongly on our side. Model parameters are tuned apart and only mapped."""
    known = keys(catalogue)
    for theirs, value in _leaves(yaml.safe_load(request_yaml)):
        rule = KEYS[theirs]
        if isinstance(rule, Ours) and not theirs.startswith(("modeling.", "model_selection.")):
            got = rule.taken(value)
            assert known[got.key].default == got.value, theirs
        if isinstance(rule, Holds):
            assert rule.value == value, theirs


def test_a_key_given_twice_is_refused_with_both_lines(tmp_path, catalogue):
    """check 52. Kills: YAML lets the second `ops:` win and drops the first in silence."""
    path = _write(tmp_path, "ops:\n  track_ic: true\nlive:\n  dry_run: true\nops:\n  alerts: email\n")
    with pytest.raises(BadInput, match="line 5: `ops` is given a second time; the first is on line 1"):
        import_config(path, catalogue)
    deep = _write(tmp_path, "model_selection:\n  candidates:\n    - algorithm: xgboost\n      algorithm: lightgbm\n")
    with pytest.raises(BadInput, match="line 4: `algorithm` is given a second time"):
        import_config(deep, catalogue)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "live:\n  max_positon_pct: 0.1\n",
            r"line 2: there is no key `live.max_positon_pct`. Did you mean `live.max_posi",
        ),
        ("live:\n  dry_run: false\n", r"`live.dry_run` can only be true; was false.*--execute"),
        ("ops:\n  kill_switch:\n    enabled: false\n", "No switch turns safety off"),
        ("live:\n  output_dir: a\nops:\n  report_output_dir: b\n", r'says "b", but `live.output_dir` says "a"'),
        ("live:\n  max_position_pct: lots\n", "`safety.position_cap.max_position_pct`.*must be a valid number"),
        ("model_selection:\n  candidates: [lightgbm]\n", "needs a list of candidates"),
        ("model_selection:\n  candidates: [{algorithm: xgboost, tune: true}]\n", "unknown key `tune`"),
        ("portfolio:\n  optimizer: hpr\n", "cannot be 'hpr'.*hrp"),
        ("- a\n- b\n", "must hold sections of keys; it holds a seq"),
        ("live: [1\n", "line 2 is not YAML"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(tmp_path, catalogue, text, sentence):
    with pytest.raises(BadInput, match=f"(?s){sentence}"):
        import_config(_write(tmp_path, text), catalogue)


def test_all_complaints_are_told_at_once(tmp_path, catalogue):
    path = _write(tmp_path, "live:\n  dry_run: false\n  foo: 1\nbar: 2\n")
    with pytest.raises(BadInput) as refusal:
        import_config(path, catalogue)
    assert str(refusal.value).count("line ") == 3


def test_an_empty_file_gives_no_settings_and_an_absent_one_is_refused(tmp_path, catalogue):
    assert tomllib.loads(import_config(_write(tmp_path, "# nothing\n"), catalogue)[0]) == {}
    with pytest.raises(BadInput, match="cannot be read"):
        import_config(tmp_path / "none.yaml", catalogue)


def test_the_shipped_example_is_what_the_code_says(root, catalogue):
    """Kills: a default that changed in the code alone. Cure: `make docs`."""
    assert (root / "openbell.toml").read_text(encoding="utf-8") == example(catalogue)


def test_the_shipped_example_changes_nothing_and_names_every_request_key(root, tmp_path, catalogue):
    said = load(catalogue, file=root / "openbell.toml", environ={}, cwd=tmp_path)
    assert said.values() == load(catalogue, environ={}, cwd=tmp_path).values()
    text = (root / "openbell.toml").read_text(encoding="utf-8")
    same = {rule.key for theirs, rule in KEYS.items() if isinstance(rule, Ours) and rule.key == theirs}
    assert [key for key in KEYS if key not in same and key not in text] == []
