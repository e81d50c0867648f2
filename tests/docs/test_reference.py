"""What is made from the code says what the code says."""

import importlib.util

import pytest

from openbell.core.declare import discover
from openbell.market.quality.rules import RULES


@pytest.fixture(scope="session")
def made(root):
    spec = importlib.util.spec_from_file_location("make_docs", root / "docs" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.files(discover())


def test_the_made_pages_are_fresh(root, made):
    """Kills: a plug-in, a default or a definition that changed in the code alone. Cure: `make docs`."""
    stale = [name for name, text in made.items() if (root / name).read_text(encoding="utf-8") != text]
    assert stale == []


def test_every_declared_thing_has_its_row(made):
    catalogue = discover()
    for room in ("features", "labels", "models", "desks", "checks", "providers"):
        page = made[f"docs/reference/{room}.md"]
        assert [name for name in getattr(catalogue, room) if f"| `{name}` |" not in page] == []


def test_every_rule_of_the_quality_gate_is_explained(root):
    page = (root / "docs" / "data.md").read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"| `{rule.name}` | {rule.sentence} |" not in page] == []


def test_every_safety_check_is_explained_to_the_operator(root):
    page = (root / "docs" / "DAILY_LIVE_OPERATIONS.md").read_text(encoding="utf-8")
    assert [name for name in discover().checks if f"| `{name}` |" not in page] == []
