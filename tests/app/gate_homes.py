"""A small home of the gate: made-up trades of the last sessions of the installed index, trained once per worker."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from openbell.app.demo_gate import fill
from openbell.app.gate_training import GateTraining, train_gate
from openbell.app.home import Home

SETTINGS = """\
[gate]
candidates = ["hierarchy", "simple"]
min_train_days = 30
refit_days = 20
[train]
jobs = 1
replications = 1000
"""


@dataclass(frozen=True)
class SmallGate:
    """A trained home, and what was found."""

    path: Path
    trained: GateTraining

    def copied(self, to: Path) -> Path:
        """The home in another place, to be changed."""
        shutil.copytree(self.path, to)
        return to


def build(path: Path) -> SmallGate:
    """Fifty days of trades without an edge, and a training on all of them."""
    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(SETTINGS)
    home = Home.open(path)
    fill(home, days=50, times=2)
    return SmallGate(path, train_gate(home))
