"""Logistic regression by Newton's method, in plain numpy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.faults import Fatal

CLOSE: Final = 1e-9  # far below a millionth: a fit that moves by less has ended
STEPS: Final = 100  # ten or so are needed
RIDGE: Final = 1.0  # weight of the prior, in rows; keeps separable sets finite

Floats = NDArray[np.float64]


def log_likelihood(features: Floats, positive: NDArray[np.bool_], offset: Floats, weights: Floats) -> float:
    """Return the logarithm of how likely what happened was, as a logistic regression tells it; see `logistic`."""
    told = np.where(positive, 1, -1) * (features @ weights + offset)
    return -float(np.logaddexp(0, -told).sum())


def logistic(features: Floats, positive: NDArray[np.bool_], offset: Floats, *, prior: Floats) -> Floats:
    """Fit a logistic regression with an offset, drawn towards `prior`: float64[features].

    Steps are halved until they lead uphill: whole ones overshoot for good where logits are large.

    Args:
        features: float64[rows, features].
        positive: bool[rows].
        offset: float64[rows], added to each row's logit.
        prior: float64[features], what no row says anything about stays there.

    Raises:
        Fatal: it does not settle.
    """

    def worth(at: Floats) -> float:
        return log_likelihood(features, positive, offset, at) - RIDGE / 2 * float(((at - prior) ** 2).sum())

    found, precision = prior.copy(), RIDGE * np.eye(len(prior))
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(features @ found + offset, -30, 30)))
        slope = features.T @ (positive - chance) - precision @ (found - prior)
        curve = (features * (chance * (1 - chance))[:, None]).T @ features + precision
        step = np.linalg.solve(curve, slope)
        while float(np.abs(step).max()) >= CLOSE and worth(found + step) <= worth(found):
            step /= 2
        if float(np.abs(step).max()) < CLOSE:
            return found
        found = found + step
    raise Fatal(f"a calibration's line did not settle in {STEPS} steps: are there captures without a score?")
