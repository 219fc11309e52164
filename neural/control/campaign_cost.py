"""What an experiment costs: a model of its time, and the measurement of the model's unit costs on this machine.

    seconds = start + updates · (update + P · (weight · batch · W + average · averages + optimiser))
              + environment steps · (physics + P · policy · W)

with P the number of weights and W the number of observations that the network looks at each time, 1 but for a
transformer. Environment steps are counted as if nobody fell, so roll-outs are an upper bound. Seconds
are processor time of one core, so that whatever else runs here while they are measured hardly enters.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from gvatheory import validation
from neural.averages import rate_table
from neural.control.campaign import Cell
from neural.control.cloning import CloningRun
from neural.control.design import CloningExperiment
from neural.control.experts import load_expert
from neural.control.inference import COLUMNS
from neural.control.learner import Learner, parameter_count
from neural.control.rollout import collect, evaluate
from neural.control.tasks import get_task


@dataclasses.dataclass(frozen=True)
class UnitCosts:
    """Processor seconds.

    Attributes:
        start: of a run: loading, compiling, writing.
        update: of an update, whatever the network.
        weight: per weight and pair of an update's batch.
        average: per weight and average kept, in an update.
        optimiser: per weight, in an update.
        physics: task → per environment step.
        policy: per weight and environment step.
    """

    start: float
    update: float
    weight: float
    average: float
    optimiser: float
    physics: dict[str, float]
    policy: float


def weights(experiment: CloningExperiment) -> int:
    """Number of weights of the experiment's network."""
    task = get_task(experiment.task)
    return parameter_count(experiment.learner, task.observation_size, task.action_size)


def rolled_out(experiment: CloningExperiment) -> int:
    """Environment steps of the evaluation, if nobody falls."""
    episode = experiment.rollout_steps or get_task(experiment.task).time_limit
    policies = (1 + len(experiment.evaluate)) * len(experiment.probes()[0])
    return policies * experiment.rollouts * episode


def cost(experiment: CloningExperiment, units: UnitCosts) -> float:
    """Seconds of one core that an experiment takes at most.

    Raises:
        ValueError: if the task's physics was not measured.
    """
    if experiment.task not in units.physics:
        raise ValueError(f"task must be among those measured, {sorted(units.physics)}, got {experiment.task!r}")
    size, physics = weights(experiment), units.physics[experiment.task]
    history = experiment.learner.history  # a transformer looks at so many observations each time
    update = units.update + size * (
        units.weight * experiment.learner.batch_size * history + units.average * len(experiment.bank) + units.optimiser
    )
    demonstrated = (experiment.episodes + experiment.held_out) * get_task(experiment.task).time_limit
    return (
        units.start
        + experiment.steps * update
        + demonstrated * physics
        + rolled_out(experiment) * (physics + units.policy * size * history)
    )


def campaign_cost(cells: Sequence[Cell], units: UnitCosts, workers: int) -> tuple[float, float]:
    """Seconds of one core in all, and of the clock with that many workers; both at most.

    The clock is bounded below by the longest cell; otherwise workers are taken to be busy all the time.
    """
    validation.integer("workers", workers, 1)
    each = [cost(cell.experiment, units) for cell in cells]
    return sum(each), max(sum(each) / workers, max(each, default=0.0))


_TRIALS = ((64, 16, 1), (256, 16, 1), (256, 128, 1), (256, 16, 10), (512, 32, 1))
"""Width, batch size and averages of the updates that are timed."""


def calibrate(
    tasks: Sequence[str], *, updates: int = 300, episodes: int = 4, progress: Callable[[int, int], None] | None = None
) -> UnitCosts:
    """Measure the unit costs here, in about twenty seconds and a few more per task.

    Args:
        tasks: gymnasium ids whose physics is timed, by the shipped expert, which keeps going.
        updates: per timed training, ≥ 1.
        episodes: per task, ≥ 1.
        progress: called with (measurements done, measurements in all).

    Raises:
        ValueError: naming an argument out of range.
        FileNotFoundError: if a task has no expert.
    """
    validation.integer("updates", updates, 1)
    validation.integer("episodes", episodes, 1)
    report = progress or (lambda done, total: None)
    total = len(tasks) + len(_TRIALS) + 1
    experts = {task: load_expert(task)[0] for task in tasks}
    speeds, sizes = {}, {}
    for i, (task, expert) in enumerate(experts.items()):
        begun = time.process_time()
        steps = evaluate([expert], get_task(task), range(episodes), threads=1).lengths.sum()
        speeds[task] = (time.process_time() - begun) / int(steps)
        sizes[task] = sum(w.size for w in expert.weights)
        report(i + 1, total)
    rows, seconds, starts = [], [], []
    for i, (width, batch, averages) in enumerate(_TRIALS):
        size, started, each = _time_updates(width, batch, averages, updates)
        rows.append([1.0, size * batch, size * averages, size])
        seconds.append(each)
        starts.append(started)
        report(len(tasks) + i + 1, total)
    update, weight, average, optimiser = _non_negative(np.array(rows), np.array(seconds)).tolist()
    with threadpool_limits(1, user_api="blas"):  # waiting threads of BLAS would count as processor time
        policy = _time_policies()
    report(total, total)
    physics = {task: max(speeds[task] - policy * sizes[task], 0.0) for task in speeds}
    return UnitCosts(float(np.median(starts)), update, weight, average, optimiser, physics, policy)


def _non_negative(rows: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Least squares of relative errors with coefficients of at least 0."""
    from scipy.optimize import nnls

    return nnls(rows / seconds[:, None], np.ones(len(seconds)))[0]


def _time_updates(width: int, batch: int, averages: int, updates: int) -> tuple[int, float, float]:
    """Number of weights; processor seconds to set a run up and compile it, and of an update (median of three)."""
    from gvatheory.averaging import EMA
    from gvatheory.schedules import Constant

    rng = np.random.default_rng(0)
    data = rng.standard_normal((2000, 17)), np.zeros((2000, 6), dtype=np.float32)
    bank = {f"average {i}": EMA(0.001 * (i + 1)) for i in range(averages)}
    begun = time.process_time()
    learner = Learner(hidden=(width,) * 3, batch_size=batch)
    run = CloningRun(learner, Constant(1e-3), rate_table(bank, 3 * updates + 1), *data)
    run.advance(1)
    started, times = time.process_time() - begun, []
    for _ in range(3):
        begun = time.process_time()
        run.advance(updates)
        times.append((time.process_time() - begun) / updates)
    return parameter_count(learner, 17, 6), started, float(np.median(times))


def _time_policies() -> float:
    """Seconds per weight of a policy's forward pass per observation, in one block as roll-outs use it."""
    expert, _ = load_expert("Walker2d-v4")
    task = get_task("Walker2d-v4")
    seen = collect(expert, task, [0], max_steps=COLUMNS, threads=1).observations[:, None]
    actor, valid = expert.actor(), np.ones(COLUMNS, dtype=int)
    size = sum(w.size for w in expert.weights)
    calls = 300
    begun = time.process_time()
    for _ in range(calls):
        actor.act(seen, valid)
    return (time.process_time() - begun) / (calls * COLUMNS * size)
