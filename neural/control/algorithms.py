"""The reinforcement-learning algorithms of sbx-rl that can train an expert, and their actors as the project's policies.

What differs between them is gathered here: how a model is made, which of its actor's arrays mean what, and whether an
interrupted run can go on bit for bit.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neural.control.policies import MLPPolicy

if TYPE_CHECKING:
    from neural.control.expert_training import ExpertTraining

Algorithm = Literal["sac", "tqc", "crossq", "td3", "ddpg", "ppo"]

ALGORITHMS: tuple[Algorithm, ...] = ("sac", "tqc", "crossq", "td3", "ddpg", "ppo")

EXPLORATION_NOISE = 0.1
"""Standard deviation of the noise on a deterministic actor's actions while it learns (Fujimoto et al. 2018)."""

PPO_ROLLOUT, PPO_EPOCHS = 2048, 10
"""Environment steps between PPO's updates, and its passes over them (Schulman et al. 2017)."""

_NORM_EPSILON = 1e-3  # of sbx's batch renormalisation

_CLASSES = {"sac": "SAC", "tqc": "TQC", "crossq": "CrossQ", "td3": "TD3", "ddpg": "DDPG", "ppo": "PPO"}

Layer = tuple[np.ndarray, np.ndarray]


def title(algorithm: str) -> str:
    """An algorithm's name as a card has it."""
    return f"{_CLASSES[algorithm]} (sbx-rl)"


def resumable(algorithm: Algorithm) -> bool:
    """Whether a killed run goes on bit for bit: not PPO's, whose state in mid-rollout is not kept."""
    return algorithm != "ppo"


def make_model(config: ExpertTraining, env: Any) -> Any:
    """An untrained sbx model.

    Raises:
        ImportError: if the `experts` extra is not installed.
    """
    sbx: Any = importlib.import_module("sbx")  # by name: the extra may be absent
    make = getattr(sbx, _CLASSES[config.algorithm])
    shared = {"learning_rate": config.learning_rate, "batch_size": config.batch_size, "seed": config.seed}
    if config.algorithm == "ppo":
        return make("MlpPolicy", env, n_steps=PPO_ROLLOUT, n_epochs=PPO_EPOCHS, **shared)
    options: dict[str, Any] = {
        "train_freq": config.update_every,
        "gradient_steps": config.update_every,
        "learning_starts": config.learning_starts,
    }
    if config.algorithm != "ddpg":  # which updates its actor every time
        options["policy_delay"] = config.policy_delay
    if config.algorithm != "crossq":  # which has batch normalisation instead
        options["policy_kwargs"] = {"layer_norm": config.layer_norm}
    if config.algorithm in ("td3", "ddpg"):
        noise: Any = importlib.import_module("stable_baselines3.common.noise")
        size = env.action_space.shape[0]
        options["action_noise"] = noise.NormalActionNoise(np.zeros(size), np.full(size, EXPLORATION_NOISE))
    return make("MlpPolicy", env, **shared, **options)


def updates_per_block(config: ExpertTraining) -> float:
    """Gradient steps between two roll-outs."""
    if config.algorithm == "ppo":
        return PPO_EPOCHS * PPO_ROLLOUT / config.batch_size
    return config.update_every


def actor_variables(model: Any) -> dict[str, Any]:
    """The actor's parameters and, where it normalises, their running statistics, as flax's ``apply`` takes them."""
    state = model.policy.actor_state
    variables = state.params if "params" in state.params else {"params": state.params}
    return {**variables, **({"batch_stats": state.batch_stats} if hasattr(state, "batch_stats") else {})}


def actor_to_policy(variables: Any, algorithm: Algorithm = "sac", action_scale: float = 1.0) -> MLPPolicy:
    """The project's policy from an actor's variables.

    Args:
        variables: as `actor_variables` gives them.
        algorithm: whose actor it is.
        action_scale: bound of the task's action range, of which a squashed action is a share; PPO's is none.
    """
    arrays = dict(variables["params"])
    layers = [
        (np.asarray(arrays[f"Dense_{i}"]["kernel"]), np.asarray(arrays[f"Dense_{i}"]["bias"]))
        for i in range(sum(name.startswith("Dense_") for name in arrays))
    ]
    if algorithm == "crossq":
        layers = _without_normalisation(layers, arrays, variables["batch_stats"])
    if algorithm in ("sac", "tqc", "crossq"):  # the last two layers are heads: mean and log-std
        return _policy(layers[:-1], layers[-1], action_scale=action_scale)
    if algorithm in ("td3", "ddpg"):
        return _policy(layers, None, action_scale=action_scale)
    head = np.zeros_like(layers[-1][0]), np.asarray(arrays["log_std"])  # PPO's does not depend on the state
    return _policy(layers, head, activation="tanh", output="identity")


def _policy(layers: list[Layer], head: Layer | None, **options: Any) -> MLPPolicy:
    return MLPPolicy(
        weights=tuple(w for w, _ in layers), biases=tuple(b for _, b in layers), log_std_head=head, **options
    )


def _without_normalisation(layers: list[Layer], arrays: dict[str, Any], statistics: Any) -> list[Layer]:
    """CrossQ's layers with the normalisation before each taken into its weights, as it is fixed once trained."""
    heads = len(layers) - 2  # mean and log-std both follow the last normalisation
    out = []
    for i, (w, b) in enumerate(layers):
        name = f"BatchRenorm_{min(i, heads)}"
        norm, seen = arrays[name], statistics[name]
        factor = np.asarray(norm["scale"]) / np.sqrt(np.asarray(seen["var"]) + _NORM_EPSILON)
        shift = np.asarray(norm["bias"]) - factor * np.asarray(seen["mean"])
        out.append((factor[:, None] * w, b + shift @ w))
    return out
