"""The scale before a linear model of the session desk: learned from the fit, and no value beyond it decides alone."""

from __future__ import annotations

import numpy as np

from openbell.models.linear import logistic


def test_a_column_that_hardly_moved_in_the_fit_does_not_decide_alone() -> None:
    """Mutant: values beyond those of the fit taken as they are; a rank of 0.9 would be hundreds of deviations."""
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, 400)
    steady = np.full(400, 0.5)
    steady[-3:] = 0.51
    known = np.column_stack([label + rng.standard_normal(400), steady])
    model = logistic[0].build(standardise=True).fit(known, label)
    usual, far = (model.predict_proba([[0.0, each]])[0, 1] for each in (0.51, 0.9))
    assert far == usual
