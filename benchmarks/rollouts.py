"""Environment steps per second of closed-loop Walker2d-v4: this engine against the physics and against its peers.

    python -m benchmarks.rollouts [--out FILE] [--turns N]

Every variant runs the shipped expert (256x256), which keeps walking, over episodes of 500 steps; the wide variants run
networks of three and four hidden layers of 1,024 that compute the same actions. The physics limit is MuJoCo's own
open-loop ``mujoco.rollout`` on all cores, replaying the very actions of the engine's episodes. The variants take turns;
a speed is the median over the turns, and a ratio the median of the ratios within a turn, so that a change of the
machine's load between turns hardly enters it. envpool and stable-baselines3 take part where they are installed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import gymnasium
import mujoco
import numpy as np
from mujoco import rollout as mujoco_rollout
from threadpoolctl import threadpool_limits

from benchmarks.output import emit, options
from neural.control.batch_env import model_of
from neural.control.experts import load_expert
from neural.control.policies import MLPPolicy
from neural.control.rollout import collect, evaluate
from neural.control.tasks import get_task

TASK = get_task("Walker2d-v4")
EPISODE = 500  # environment steps
SEEDS = range(100)
_mujoco: Any = mujoco  # its bindings carry no types


def widened(policy: MLPPolicy, width: int, depth: int) -> MLPPolicy:
    """A network of `depth` hidden layers of `width` with the policy's actions: its units, copied on, and idle ones."""
    rng = np.random.default_rng(0)
    sizes = [policy.observation_size, *[width] * depth, policy.action_size]
    shapes = itertools.pairwise(sizes)
    weights = [(rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]
    biases = [np.zeros(n, dtype=np.float32) for n in sizes[1:]]
    hidden, given = len(policy.weights) - 1, policy.weights[0].shape[1]
    for i, w in enumerate(weights):
        # Rectified units pass through an identity unchanged.
        source = policy.weights[i] if i < hidden else policy.weights[-1] if i == depth else np.eye(given)
        w[:, : source.shape[1]] = 0
        w[: source.shape[0], : source.shape[1]] = source
        if i < hidden or i == depth:
            bias = policy.biases[i if i < hidden else -1]
            biases[i][: len(bias)] = bias
    return MLPPolicy(tuple(weights), tuple(biases), policy.activation, policy.output)


def act(policy: MLPPolicy, observations: np.ndarray) -> np.ndarray:
    """What the peers execute."""
    return np.clip(policy(observations), TASK.action_low, TASK.action_high)


def engine(policy: MLPPolicy, count: int) -> Callable[[], float]:
    """Steps per second of `evaluate`."""

    def run() -> float:
        start = time.perf_counter()
        results = evaluate([policy], TASK, SEEDS[:count], max_steps=EPISODE)
        seconds = time.perf_counter() - start
        if results.fallen.any():
            raise RuntimeError("the benchmark's policy fell: the variants no longer run the same steps")
        return int(results.lengths.sum()) / seconds

    return run


def physics(policy: MLPPolicy, count: int) -> Callable[[], float]:
    """Steps per second of the same episodes without a policy: recorded actions, replayed by ``mujoco.rollout``."""
    model, whole = model_of(TASK), int(_mujoco.mjtState.mjSTATE_FULLPHYSICS)
    pairs = collect(policy, TASK, SEEDS[:count], max_steps=EPISODE)
    controls = np.repeat(pairs.actions.reshape(count, EPISODE, -1).astype(np.float64), TASK.frame_skip, axis=1)
    starts, data = np.zeros((count, _mujoco.mj_stateSize(model, whole))), _mujoco.MjData(model)
    for seed in SEEDS[:count]:
        _mujoco.mj_resetData(model, data)
        qpos, qvel = TASK.reset_noise(np.random.default_rng(seed), model.nq, model.nv)
        data.qpos += qpos
        data.qvel += qvel
        _mujoco.mj_getState(model, data, starts[seed], whole)
    cores = os.cpu_count() or 1
    threads = [_mujoco.MjData(model) for _ in range(cores)]

    def run() -> float:
        with mujoco_rollout.Rollout(nthread=cores) as pool:
            start = time.perf_counter()
            pool.rollout(model, threads, starts, controls)
            return count * EPISODE / (time.perf_counter() - start)

    return run


def gymnasium_vector(policy: MLPPolicy, count: int, asynchronous: bool = False) -> Callable[[], float]:
    """Steps per second of a gymnasium vector environment, the policy called with all observations."""
    kind = gymnasium.vector.AsyncVectorEnv if asynchronous else gymnasium.vector.SyncVectorEnv
    envs = kind([functools.partial(gymnasium.make, TASK.id) for _ in range(count)])

    def run() -> float:
        with threadpool_limits(1, user_api="blas"):
            start = time.perf_counter()
            obs, _ = envs.reset(seed=list(SEEDS[:count]))
            for _ in range(EPISODE):
                obs, *_ = envs.step(act(policy, obs))
            return count * EPISODE / (time.perf_counter() - start)

    return run


def envpool(policy: MLPPolicy, count: int, torch_policy: bool = False) -> Callable[[], float]:
    """Steps per second of envpool on all cores, the policy called with all observations.

    The policy is NumPy's on one BLAS thread, or torch's as it comes, with its own threads.
    """
    envs = importlib.import_module("envpool").make_gymnasium(TASK.id, num_envs=count, num_threads=os.cpu_count())
    choose = _torch(policy) if torch_policy else functools.partial(act, policy)

    def run() -> float:
        with threadpool_limits(None if torch_policy else 1, user_api="blas"):
            start = time.perf_counter()
            obs, _ = envs.reset()
            for _ in range(EPISODE):
                obs, *_ = envs.step(choose(obs))
            return count * EPISODE / (time.perf_counter() - start)

    return run


def _torch(policy: MLPPolicy) -> Callable[[np.ndarray], np.ndarray]:
    torch = importlib.import_module("torch")
    layers = []
    for w, b in zip(policy.weights, policy.biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        layer.load_state_dict({"weight": torch.tensor(w.T.copy()), "bias": torch.tensor(b)})
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1], torch.nn.Tanh())

    def choose(observations: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.as_tensor(observations, dtype=torch.float32)).numpy()

    return choose


def stable_baselines(policy: MLPPolicy, count: int) -> Callable[[], float]:
    """Steps per second of stable-baselines3's evaluate_policy with one episode per environment."""
    vec_env = importlib.import_module("stable_baselines3.common.vec_env")
    evaluation = importlib.import_module("stable_baselines3.common.evaluation")
    monitor = importlib.import_module("stable_baselines3.common.monitor").Monitor
    envs = vec_env.DummyVecEnv([lambda: monitor(gymnasium.make(TASK.id, max_episode_steps=EPISODE))] * count)

    class Predictor:
        def predict(self, observation: np.ndarray, **_: Any) -> tuple[np.ndarray, None]:
            return act(policy, observation), None

    def run() -> float:
        envs.seed(0)
        with threadpool_limits(1, user_api="blas"):
            start = time.perf_counter()
            _, lengths = evaluation.evaluate_policy(
                Predictor(), envs, n_eval_episodes=count, return_episode_rewards=True
            )
            return sum(lengths) / (time.perf_counter() - start)

    return run


def measure(turns: int) -> dict[str, Any]:
    """Median speeds in environment steps per second, their ranges, and ratios."""
    policy, _ = load_expert(TASK.id)
    wide = [f"this engine x100, {depth} x 1024" for depth in (3, 4)]
    variants = {
        "physics limit x20": physics(policy, 20),
        "this engine x20": engine(policy, 20),
        "physics limit x100": physics(policy, 100),
        "this engine x100": engine(policy, 100),
        wide[0]: engine(widened(policy, 1024, 3), 100),
        wide[1]: engine(widened(policy, 1024, 4), 100),
        "gymnasium SyncVectorEnv x20": gymnasium_vector(policy, 20),
        "gymnasium AsyncVectorEnv x20": gymnasium_vector(policy, 20, asynchronous=True),
    }
    if importlib.util.find_spec("envpool") is not None:
        variants["envpool x20"] = envpool(policy, 20)
        if importlib.util.find_spec("torch") is not None:
            variants["envpool, torch policy x20"] = envpool(policy, 20, torch_policy=True)
    if importlib.util.find_spec("stable_baselines3") is not None:
        variants["stable-baselines3 evaluate_policy x20"] = stable_baselines(policy, 20)
    names = list(variants)
    for run in variants.values():
        run()  # loads what is loaded once
    speeds = np.array([[run() for run in variants.values()] for _ in range(turns)])
    pairs = [("this engine x20", name) for name in names if name.endswith("x20") and not name.startswith("this")]
    pairs += [(ours, "physics limit x100") for ours in ("this engine x100", *wide)]
    ratios = {}
    for ours, theirs in pairs:
        each = speeds[:, names.index(ours)] / speeds[:, names.index(theirs)]
        ratios[f"{ours} / {theirs}"] = [round(float(v), 3) for v in (np.median(each), each.min(), each.max())]
    installed = [p for p in ("mujoco", "gymnasium", "numpy", "envpool", "torch", "stable_baselines3") if _installed(p)]
    return {
        "task": TASK.id,
        "policy": "shipped expert, MLP 17-256-256-6",
        "episode_steps": EPISODE,
        "turns": turns,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in installed},
        "steps_per_second": {
            name: [round(float(v)) for v in (np.median(s), s.min(), s.max())]
            for name, s in zip(names, speeds.T, strict=True)
        },
        "ratios": ratios,
    }


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def main() -> None:
    arguments = options("Closed-loop environment steps per second of Walker2d-v4.", 5)
    warnings.filterwarnings("ignore")  # gymnasium asks to move on to v5, stable-baselines3 to gymnasium's registry
    report = measure(arguments.turns)
    for title, rows in (("steps/s", report["steps_per_second"]), ("ratio", report["ratios"])):
        print(f"{title:60}{'median':>10}{'min':>10}{'max':>10}")
        for name, values in rows.items():
            print(f"{name:60}" + "".join(f"{value:>10,}" for value in values))
    emit(report, arguments.out)


if __name__ == "__main__":
    main()
