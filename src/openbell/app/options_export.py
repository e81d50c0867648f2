"""`openbell export model options`: stage 1's classifiers and their names, in the libraries' own formats (S0.35)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app.files import write_whole
from openbell.app.options_training import OptionTraining, desk_of, latest_options
from openbell.core.errors import DataMissing, IntegrityBroken
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.research.stage_files import CLASSIFIER
from openbell.research.stage_one import StageOne

if TYPE_CHECKING:
    from openbell.app.home import Home

#: The file that each candidate becomes, and its name in the folder of the model.
FILES = {
    "lightgbm": ("lightgbm_clean_model.txt", "model.txt"),
    "catboost": ("catboost_clean_model.cbm", "model.cbm"),
}
LABELS, FEATURES = "label_encoder_clean.json", "feature_names_clean.json"


def export_options(home: Home, underlying: str, out: Path, session: dt.date | None = None) -> list[Path]:
    """Write the classifiers of the latest training, the names of their classes and those of their features.

    The bytes of the models are those that were checked against the hashes of the training. ``label_encoder_clean.json``
    names the columns of a model's answer: classes that were too rare to be learnt have none. Columns go in by
    ``feature_names_clean.json``. The probabilities are the classifier's own, before the desk calibrates them.

    Raises
    ------
    DataMissing
        Where nothing was trained, or one of the two candidates was not trained or has no classifier.
    """
    session = home.decision_session(session)
    training = latest_options(home, underlying, home.as_of(session))
    command = f"`openbell train options --underlying {underlying} --as-of {session}`"
    if training is None:
        raise DataMissing(
            f"Stage 1 of the options desk was not trained on {underlying} before {session}. Run {command}."
        )
    stages = {name: _stage(training, name, command) for name in FILES}
    written = []
    for name, (file, inside) in FILES.items():
        write_whole(out / file, (training.folder / name / CLASSIFIER / inside).read_bytes())
        written.append(out / file)
    for file, content in ((LABELS, _labels(stages)), (FEATURES, list(EIGHTY_FOUR))):
        write_whole(out / file, json.dumps(content, indent=2) + "\n")
        written.append(out / file)
    return written


def _stage(training: OptionTraining, name: str, command: str) -> StageOne:
    """The stage 1 of a candidate, checked, with a classifier; or what to do about it."""
    trained = sorted(training.payload["manifests"])
    if name not in trained:
        raise DataMissing(
            f"The latest training of {desk_of(training.payload['underlying'])} ({training.payload['session']}) holds "
            f"{', '.join(trained)}, and no `{name}`. Run {command} with "
            f"`--set 'options.candidates={json.dumps(list(FILES))}'`."
        )
    stage = training.stage(name)
    if stage.classifier is None:
        raise DataMissing(
            f"The candidate `{name}` of {training.payload['session']} has no classifier: its {stage.rows} decisions "
            f"hold fewer than two structures with enough rows. Import a longer history and run {command}."
        )
    return stage


def _labels(stages: Mapping[str, StageOne]) -> dict[str, str]:
    """Number of a column of the models' answers, which is the class, and the structure that it stands for."""
    said = {
        tuple(stage.structures[int(each)] for each in stage.classifier.classes)
        for stage in stages.values()
        if stage.classifier is not None
    }
    if len(said) > 1:
        raise IntegrityBroken(
            f"The classifiers learnt different classes, so one file cannot name both: {sorted(said)}."
        )
    return {str(number): name for number, name in enumerate(said.pop())}
