"""How each library's models lie in a file: its own safe format, never a pickle."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openbell.core.errors import BadInput
from openbell.core.hashing import canonical_json

#: What a scikit-learn file may hold beyond skops' own list; never taken from the file itself.
TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree")

_PART = re.compile(r"()(\d+)(\.np[yz])")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def predictor_of(estimator: Any) -> Any:
    """What is kept of a fitted estimator: LightGBM's `Booster`; every other as it is."""
    return getattr(estimator, "booster_", estimator)


@dataclass(frozen=True)
class OneColumn:
    """Scores by the column at `position`; the loaded form of the naive model."""

    column: str
    position_: int

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The column, shape (n,)."""
        return np.asarray(matrix, dtype=np.float64)[:, self.position_]


def _save_lightgbm(predictor: Any, path: Path) -> None:
    path.write_text(predictor.model_to_string(), encoding="utf-8")


def _load_lightgbm(path: Path) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))


def _save_xgboost(predictor: Any, path: Path) -> None:
    predictor.save_model(path)


def _load_xgboost(path: Path) -> Any:
    import xgboost

    predictor = xgboost.XGBRegressor(n_jobs=1)
    predictor.load_model(path)
    return predictor


def _save_skops(predictor: Any, path: Path) -> None:
    import skops.io

    content = skops.io.dumps(predictor)
    foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
    if foreign:
        raise BadInput(
            f"A {type(predictor).__name__} cannot be saved: it holds {', '.join(foreign)}, which is not on the list "
            "of trusted types. Build it from scikit-learn's own parts."
        )
    path.write_bytes(_canonical_skops(content))


def _canonical_skops(content: bytes) -> bytes:
    """The same archive with objects numbered in order and no clock: skops names parts by memory address and time."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], str(len(numbers))) + found[3]

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        schema = re.sub(r'("__id__": |"file": ")(\d+)(\b)', number, source.read("schema.json").decode())
        parts = {number(found): found[0] for found in map(_PART.fullmatch, source.namelist()) if found}
        others = set(source.namelist()) - set(parts.values()) - {"schema.json"}
        if others:
            raise BadInput(f"skops wrote parts that this version does not know: {', '.join(sorted(others))}.")
        for name in sorted(parts):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), source.read(parts[name]), zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("schema.json", _EPOCH), schema, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _load_skops(path: Path) -> Any:
    import skops.io

    return skops.io.load(path, trusted=list(TRUSTED))


def _save_one_column(predictor: Any, path: Path) -> None:
    path.write_text(canonical_json({"column": predictor.column, "position": int(predictor.position_)}))


def _load_one_column(path: Path) -> Any:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return OneColumn(column=stored["column"], position_=stored["position"])


Format = tuple[str, Callable[[Any, Path], None], Callable[[Path], Any]]

FORMATS: Mapping[str, Format] = {
    "lightgbm-text": ("model.txt", _save_lightgbm, _load_lightgbm),
    "xgboost-ubj": ("model.ubj", _save_xgboost, _load_xgboost),
    "skops": ("model.skops", _save_skops, _load_skops),
    "one-column": ("model.json", _save_one_column, _load_one_column),
}


def format_of(predictor: Any) -> str:
    """The name of the format that `predictor` is kept in; one without a safe format is refused."""
    library = type(predictor).__module__.partition(".")[0]
    known = {"lightgbm": "lightgbm-text", "xgboost": "xgboost-ubj", "sklearn": "skops"}
    if library in known:
        return known[library]
    if hasattr(predictor, "column") and hasattr(predictor, "position_"):
        return "one-column"
    raise BadInput(
        f"There is no safe format for a {type(predictor).__module__}.{type(predictor).__name__}; "
        "models are kept as LightGBM text, XGBoost UBJ, skops (scikit-learn) or JSON, never pickled."
    )
