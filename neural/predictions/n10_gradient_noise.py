"""N10: the gradient's noise falls with the loss and is flat after; what grows is its effect along the rollout.

For regression on Gaussian inputs the per-example gradient covariance is ΣMΣ + tr(ΣM)Σ + σ₁²Σ (theory section 3), the
excess loss being tr(ΣM): its trace is tr Σ times the loss but for the first term, which is smaller by tr Σ/λ_max at
least. So the trace is proportional to the loss, floor included, and flat once tr(ΣM) ≪ σ₁². Amplification is not in the
noise; it is in the closed loop.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from neural.predictions.arms import TASKS
from neural.predictions.decision import Criterion, Effect, Prediction, mean_effect
from neural.predictions.evidence import Evidence
from neural.predictions.n3_horizon import NEAR
from neural.predictions.spreads import slope
from neural.statistics import RAW

LASTING = 3
"""Episodes of a seed that a separation is taken of, at least."""


def _series(run: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Updates (U,), loss of raw (seeds, U) and trace of the per-example gradient covariance (seeds, U)."""
    loss = run["update_loss"].sel(kept=RAW).transpose("seed", "update").values.astype(np.float64)
    noise = run["update_gradient_noise"].transpose("seed", "update").values.astype(np.float64)
    return run["update"].values, loss, noise


def proportionality(evidence: Evidence) -> Effect:
    """Slope of the logarithm of the trace against that of the loss, along each run."""
    _, loss, noise = _series(evidence[f"{TASKS[0]} base"])
    return mean_effect([float(slope(x, y)) for x, y in zip(loss, noise, strict=True)])


def late_change(evidence: Evidence) -> Effect:
    """Trace averaged over the last quarter of a run over that of the third quarter."""
    updates, _, noise = _series(evidence[f"{TASKS[0]} base"])
    share = updates / updates.max()
    third, last = (noise[:, (share > low) & (share <= low + 0.25)].mean(axis=1) for low in (0.5, 0.75))
    return mean_effect(last / third, logarithmic=True)


def separation(evidence: Evidence, *, early: int = 5, late: int = 300) -> Effect:
    """Distance of the states of very near iterates at one step of an episode over that at an earlier one.

    Near by a millionth of an update: a whole update parts the states within a few steps. The late step is past the
    landing, in which all states come closer; where fewer than `LASTING` episodes of a seed get there, it is the last
    that so many reach. Of each seed the median over the episodes that do, of their own ratio.
    """
    distance = evidence[f"{TASKS[0]} base horizons"]["distance"].isel(pair=NEAR).transpose("seed", "episode", "step")
    at = distance["step"].values
    start = distance.sel(step=early).values
    found = []
    for own, first in zip(distance.values, start, strict=True):
        reached = np.flatnonzero((np.isfinite(own).sum(axis=0) >= LASTING) & (at > early) & (at <= late))
        found.append(np.nanmedian(own[:, reached[-1]] / first) if len(reached) else math.nan)
    return mean_effect(found, logarithmic=True)


PREDICTION = Prediction(
    id="N10",
    title="Gradient noise along training",
    statement="The trace of the per-example gradient covariance is proportional to the loss and flat at the end; what "
    "grows along the rollout is its effect on the state.",
    criteria=(
        Criterion("slope of ln trace against ln loss along a run", (0.5, 1.5), "1", proportionality),
        Criterion("trace in the last quarter / third quarter", (0.8, 1.25), "1", late_change),
        Criterion(
            "distance of neighbours' states, step 300 or the last / step 5",
            (10.0, math.inf),
            "≫ 1 in a loop that amplifies",
            separation,
        ),
    ),
    source="theory section 3; asked for by a reviewer of the paper",
)
