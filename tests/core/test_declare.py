"""One file adds one thing; a clash or a failing import stops the start."""

import sys
import types
from pathlib import Path

import polars as pl
import pytest

from openbell.core.declare import Check, Feature, Label, check, collect, declared_in, discover, feature, label, model
from openbell.core.errors import BadInput, DeclarationError


def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, str]) -> str:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for file, text in files.items():
        (folder / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    return name


FEATURE = '''
import polars as pl
from openbell.core.declare import feature

@feature(unit="fraction", name="{name}", over={{"n": (1, 3)}})
def it(n):
    """A return."""
    return pl.col("close") / pl.col("close").shift(n) - 1
'''


def test_a_family_is_one_feature_for_each_parameter() -> None:
    """Kills: late binding of the loop variable, which would give one expression for all."""

    @feature(unit="fraction", name="return_{n}d", over={"n": (1, 3)})
    def momentum(n: int) -> pl.Expr:
        """Return over n sessions."""
        return pl.col("close") / pl.col("close").shift(n) - 1

    frame = pl.DataFrame({"close": [1.0, 2.0, 4.0, 8.0]})
    values = frame.select(each.expression.alias(each.name) for each in momentum).row(-1)
    assert [each.name for each in momentum] == ["return_1d", "return_3d"]
    assert values == (1.0, 7.0)


def test_keyword_defaults_become_settings() -> None:
    """Kills: losing the defaults, so that settings could not reach a check."""

    @check()
    def cap(decision: object, book: object, market: object, *, max_position_pct: float = 0.15) -> None:
        """No name above the cap."""

    assert isinstance(cap[0], Check)
    assert cap[0].settings == {"max_position_pct": 0.15}
    assert cap[0].summary == "No name above the cap."


def test_a_thing_without_a_docstring_is_refused() -> None:
    """Kills: an undocumented plug-in."""
    with pytest.raises(DeclarationError, match="has no docstring"):

        @model()
        def nameless() -> None: ...


def test_a_label_states_no_moment_of_its_own() -> None:
    """Kills: an author who states when a label is known."""

    @label(unit="fraction", name="forward_{horizon}d", over={"horizon": (5,)})
    def forward(horizon: int) -> pl.Expr:
        """Return to come."""
        return pl.col("open").shift(-horizon)

    assert isinstance(forward[0], Label)
    assert forward[0].horizon_sessions == 5
    assert not any("known" in name for name in vars(forward[0]))


def test_a_name_used_twice_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills: the second silently replacing the first."""
    package = room(
        tmp_path, monkeypatch, "room_twice", {"a": FEATURE.format(name="x_{n}"), "b": FEATURE.format(name="x_{n}")}
    )
    with pytest.raises(DeclarationError, match=r"`x_1` is declared twice: in `room_twice.a` and in `room_twice.b`"):
        discover({**EMPTY(tmp_path, monkeypatch), "features": (package, Feature)})


def test_a_failing_import_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills: skipping a broken plug-in with a warning."""
    package = room(tmp_path, monkeypatch, "room_broken", {"a": "import nothing_of_that_name"})
    with pytest.raises(DeclarationError, match=r"`room_broken` does not import: ModuleNotFoundError"):
        discover({**EMPTY(tmp_path, monkeypatch), "features": (package, Feature)})


def EMPTY(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, type]]:  # noqa: N802
    nothing = room(tmp_path, monkeypatch, "room_empty", {})
    return {each: (nothing, Feature) for each in ("features", "labels", "models", "desks", "checks", "providers")}


def test_an_imported_declaration_does_not_count_as_declared_here() -> None:
    """Kills: listing a thing once more where another module imports it."""

    @feature(unit="fraction")
    def here() -> pl.Expr:
        """A thing."""
        return pl.col("close")

    module = types.ModuleType("elsewhere")
    module.here = here
    assert declared_in(module, Feature) == []
    assert collect([module], Feature) == {}


def test_the_whole_house_is_discovered_and_finds_the_nearest_name() -> None:
    """Kills: a room left out of discovery; an unknown name without a hint."""
    catalogue = discover()
    assert "rsi_14" in catalogue.features
    assert {"naive", "ridge", "random_forest", "xgboost", "lightgbm"} <= set(catalogue.models)
    assert {"sample", "files", "yahoo", "generated"} <= set(catalogue.providers)
    with pytest.raises(BadInput, match=r"There is no feature `rsi_41`. Did you mean `rsi_14`"):
        catalogue.find("features", "rsi_41")
