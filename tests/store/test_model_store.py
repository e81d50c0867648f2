"""Folders of models at a place of one's own: whole or not there, never overwritten, every byte checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed
from openbell.store.model_store import INDEX, ModelStore
from openbell.store.places import Bucket, Disk

NAME = "options/SPX/plan/0123"
FILES = {
    "training.json": b"{}",
    "lightgbm/classifier/model.txt": b"tree\n" * 100,
    "evidence/paths.parquet": b"\x00\x01",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    for name, content in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
    (made / ".training.json.1.part").write_bytes(b"half")
    return made


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    if request.param == "file":
        return ModelStore.open(f"file://{tmp_path}/kept")
    service = request.getfixturevalue("s3")
    return ModelStore(Bucket(f"{service.bucket}/models", dict(service.options)))


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_pushed_is_fetched(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    """Once: a second push sends nothing. What a killed writer left beside a file is no part of the folder."""
    assert not store.holds(NAME)
    assert store.push(folder, NAME) == len(FILES)
    assert store.holds(NAME)
    assert store.push(folder, NAME) == 0
    store.fetch(NAME, tmp_path / "deep" / "fetched")
    assert read(tmp_path / "deep" / "fetched") == FILES


def test_a_model_is_never_overwritten(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    store.push(folder, NAME)
    (folder / "training.json").write_bytes(b'{"other": 1}')
    with pytest.raises(StorageFailed, match="never overwritten"):
        store.push(folder, NAME)
    store.fetch(NAME, tmp_path / "fetched")
    assert read(tmp_path / "fetched") == FILES


def test_a_changed_byte_is_found_and_nothing_is_left(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    store.push(folder, NAME)
    store.place.put(f"{NAME}/evidence/paths.parquet", b"\x00\x02")
    with pytest.raises(IntegrityBroken, match=r"evidence/paths\.parquet was changed"):
        store.fetch(NAME, tmp_path / "into" / "fetched")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_push_that_was_killed_is_not_there_and_is_finished_by_the_next(
    store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    """The list of files is written last: mutant, the list first."""
    put, sent = store.place.put, []

    class Killed(Exception):
        pass

    def dying(self: object, name: str, content: bytes) -> None:
        if len(sent) == len(FILES) - 1:
            raise Killed
        sent.append(name)
        put(name, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.place), "put", dying)
        with pytest.raises(Killed):
            store.push(folder, NAME)
    assert sent
    assert not store.holds(NAME)
    with pytest.raises(StorageFailed, match="holds no models under"):
        store.fetch(NAME, tmp_path / "fetched")
    assert store.push(folder, NAME) == len(FILES)
    store.fetch(NAME, tmp_path / "fetched")
    assert read(tmp_path / "fetched") == FILES


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (b"no json", "is no list of files"),
        (b"[]", "is no list of files"),
        (json.dumps({"files": {"../../evil": "00"}}).encode(), "lies outside its folder"),
        (json.dumps({"files": {"/etc/evil": "00"}}).encode(), "lies outside its folder"),
    ],
)
def test_a_list_that_lies_is_refused(tmp_path: Path, index: bytes, sentence: str) -> None:
    place = Disk(tmp_path / "kept")
    place.put(f"{NAME}/{INDEX}", index)
    with pytest.raises(IntegrityBroken, match=sentence):
        ModelStore(place).fetch(NAME, tmp_path / "a" / "fetched")
    assert not (tmp_path / "a" / "fetched").exists()


def test_the_place_is_a_url() -> None:
    with pytest.raises(BadInput, match="The models are chosen by a URL"):
        ModelStore.open("/var/models")
