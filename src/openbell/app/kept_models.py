"""Where the trainings of the options desk and of the gate lie: in the home and, where it is set, at a shared place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.core.errors import IntegrityBroken
from openbell.core.hashing import digest

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.model_store import ModelStore


def folder_of(home: Home, desk: str, plan: str) -> Path:
    """The folder of one training of `desk`, such as ``options.SPX`` or ``gate``, in the home."""
    return home.models.joinpath(*desk.split("."), plan)


def keep(home: Home, payload: Mapping[str, Any]) -> None:
    """Send the training that `payload` tells of to the place that is set; what is there already is left."""
    store = _store(home)
    if store is not None:
        store.push(folder_of(home, payload["desk"], payload["training"]), _name(payload))


def fetched(home: Home, payload: Mapping[str, Any]) -> Path | None:
    """The folder of the training in the home, fetched where it lies elsewhere; None where it lies nowhere."""
    folder = folder_of(home, payload["desk"], payload["training"])
    if folder.is_dir():
        return folder
    store = _store(home)
    if store is None or not store.holds(_name(payload)):
        return None
    store.fetch(_name(payload), folder)
    return folder


def needed(home: Home, payload: Mapping[str, Any]) -> Path:
    """As `fetched`; a training that is on record and lies nowhere is an integrity that is broken."""
    folder = fetched(home, payload)
    if folder is None:
        kept, desk = home.settings.store.models, payload["desk"]
        raise IntegrityBroken(
            f"The training {payload['training'][:12]} of {payload['session']} is in the journal, but its folder "
            f"{folder_of(home, desk, payload['training'])} is not there{f', nor is it at {kept}' if kept else ''}. "
            f"Restore it, or train again with `openbell train {desk.partition('.')[0]}`."
        )
    return folder


def _store(home: Home) -> ModelStore | None:
    """The place of the settings; None where it is the home's own folder."""
    from openbell.store.model_store import ModelStore

    url = home.settings.store.models
    return ModelStore.open(url) if url else None


def _name(payload: Mapping[str, Any]) -> str:
    """Desk, plan, and the record's own hash: two homes that trained alike are not in each other's way.

    The same plan gives the same models and the same forecasts, but other seconds of training.
    """
    return f"{payload['desk'].replace('.', '/')}/{payload['training']}/{digest(payload)[:16]}"
