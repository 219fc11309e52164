"""Deterministic multilayer-perceptron policies as plain arrays, and their safetensors files.

A policy is data: weights, biases, an activation, an output map and an optional observation normalisation.
The same record serves experts trained here, experts trained by others and the learner's iterates.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import special

from gvatheory import validation
from neural.control.inference import columns, product, rows
from neural.runs import load_arrays, load_tensors, save_tensors

Activation = Literal["relu", "tanh", "silu"]
OutputMap = Literal["tanh", "identity"]

_ACTIVATIONS = ("relu", "tanh", "silu")
_OUTPUTS = ("tanh", "identity")


@dataclasses.dataclass(frozen=True)
class MLPPolicy:
    """A policy u = scale * output(W_L act(... act(W_0 x + b_0) ...) + b_L), clipped to the task's action range.

    Attributes:
        weights: one (n_in, n_out) array per layer, applied as ``x @ W``.
        biases: one (n_out,) array per layer.
        activation: nonlinearity of the hidden layers.
        output: ``"tanh"`` squashes to (-1, 1); ``"identity"`` leaves the last layer as it is.
        obs_mean, obs_std: (n_in,) normalisation ``(x - mean) / std`` of the observation, or None.
        log_std_head: ``(W, b)`` of the state-dependent log standard deviation of a stochastic policy (acting on the
            last hidden layer, before squashing), or None for a deterministic one.
        action_scale: factor on the output, positive: the bound of the task's range where a squashed action stands for
            a share of it.

    Raises:
        ValueError: naming the first array whose shape or content does not fit.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    activation: Activation = "relu"
    output: OutputMap = "tanh"
    obs_mean: np.ndarray | None = None
    obs_std: np.ndarray | None = None
    log_std_head: tuple[np.ndarray, np.ndarray] | None = None
    action_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {_ACTIVATIONS}, got {self.activation!r}")
        if self.output not in _OUTPUTS:
            raise ValueError(f"output must be one of {_OUTPUTS}, got {self.output!r}")
        if not self.weights or len(self.weights) != len(self.biases):
            counts = f"{len(self.weights)} and {len(self.biases)}"
            raise ValueError(f"weights and biases must be non-empty and of equal length, got {counts}")
        width = self.weights[0].shape[0]
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            _check_layer(f"layer {i}", w, b, width)
            width = w.shape[1]
        if (self.obs_mean is None) != (self.obs_std is None):
            raise ValueError("obs_mean and obs_std must be given together")
        for name, v in (("obs_mean", self.obs_mean), ("obs_std", self.obs_std)):
            if v is not None and v.shape != (self.observation_size,):
                raise ValueError(f"{name} must have shape ({self.observation_size},), got {v.shape}")
        if self.obs_std is not None and not np.all(self.obs_std > 0):
            raise ValueError(f"obs_std must be positive, smallest is {self.obs_std.min()}")
        if self.log_std_head is not None:
            w, b = self.log_std_head
            _check_layer("log_std_head", w, b, self.weights[-1].shape[0])
            if w.shape[1] != self.action_size:
                raise ValueError(f"log_std_head must have {self.action_size} outputs, got {w.shape[1]}")
        validation.positive("action_scale", self.action_scale)

    @property
    def observation_size(self) -> int:
        """Length of an observation, n_in of the first layer."""
        return self.weights[0].shape[0]

    @property
    def action_size(self) -> int:
        """Length of an action, n_out of the last layer."""
        return self.weights[-1].shape[1]

    @property
    def window(self) -> int:
        """1: an action depends on the present observation alone."""
        return 1

    @property
    def stochastic(self) -> bool:
        """Whether actions can be drawn."""
        return self.log_std_head is not None

    def actor(self) -> MLPActor:
        """The policy made ready for a rollout."""
        return MLPActor(self)

    def fingerprint(self) -> str:
        """SHA-256 of everything the policy computes with, as a hexadecimal string."""
        scale = "" if self.action_scale == 1.0 else f" {self.action_scale!r}"
        digest = hashlib.sha256(f"{self.activation} {self.output}{scale}".encode())
        for name, array in _tensors(self).items():
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def astype(self, dtype: Any) -> MLPPolicy:
        """The same policy with weights and arithmetic in `dtype`; its rounding differs, and its fingerprint."""
        arrays = {
            name: tuple(v.astype(dtype) for v in getattr(self, name))
            for name in ("weights", "biases", "log_std_head")
            if getattr(self, name) is not None
        }
        return dataclasses.replace(self, **arrays)

    def normalised(self, obs: np.ndarray) -> np.ndarray:
        """Observations (batch, n_in) as the first layer takes them, float64."""
        x = np.asarray(obs, dtype=np.float64)
        if self.obs_mean is not None and self.obs_std is not None:
            x = (x - self.obs_mean) / self.obs_std
        return x

    def hidden(self, obs: np.ndarray) -> np.ndarray:
        """Last hidden layer, shape (batch, width), in the weights' precision, of observations (batch, n_in)."""
        x = self.normalised(obs).astype(self.weights[0].dtype)
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = _activate(self, x @ w + b)
        return x

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Mean action, shape (batch, n_act), in the weights' precision, of observations of shape (batch, n_in)."""
        return _squash(self, self.hidden(obs) @ self.weights[-1] + self.biases[-1])

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An action drawn from the stochastic policy: squashed Gaussian around the pre-activation mean.

        Raises:
            ValueError: if the policy has no ``log_std_head``.
        """
        mean, std = self._gaussian(obs)
        return _squash(self, mean + std * rng.standard_normal(mean.shape, dtype=np.float32))

    def action_variance(self, obs: np.ndarray, low: Any = -np.inf, high: Any = np.inf) -> np.ndarray:
        """Variance of each entry of `sample`'s action clipped to [low, high], (batch, n_act), by the trapezoidal rule.

        Its sum over entries, averaged over states, is the part of the cloning loss that no policy can remove. The rule,
        with 257 nodes over ±8 standard deviations, is exact to rounding but where clipping puts a kink: 1e-3 there.

        Raises:
            ValueError: if the policy has no ``log_std_head``.
        """
        mean, std = self._gaussian(obs)
        nodes = np.linspace(-8.0, 8.0, 257)
        weights = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
        centre = np.clip(_squash(self, mean), low, high).astype(np.float64)
        first, second = np.zeros(centre.shape), np.zeros(centre.shape)
        for node, weight in zip(nodes.astype(std.dtype), weights, strict=True):
            apart = np.clip(_squash(self, mean + std * node), low, high) - centre
            first += weight * apart
            second += weight * apart**2
        return second - first**2

    def _gaussian(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation before squashing, each (batch, n_act)."""
        if self.log_std_head is None:
            raise ValueError("policy has no log_std_head: only its deterministic action is known")
        h = self.hidden(obs)
        w, b = self.log_std_head
        return h @ self.weights[-1] + self.biases[-1], _std(h @ w + b)


class MLPActor:
    """A policy's arithmetic on blocks of columns, in the weights' precision; see `inference`."""

    def __init__(self, policy: MLPPolicy) -> None:
        layers = [*zip(policy.weights, policy.biases, strict=True)]
        self._policy, self._dtype = policy, policy.weights[0].dtype
        *self._hidden, self._mean = [_Columns(w, b) for w, b in layers]
        self._log_std = None if policy.log_std_head is None else _Columns(*policy.log_std_head)

    def act(self, observations: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """See `inference.Actor`."""
        u = self._mean(self._features(observations))
        return rows(_squash(self._policy, u), len(observations))

    def sample(self, observations: np.ndarray, valid: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """See `inference.Actor`; as `MLPPolicy.sample`."""
        if self._log_std is None:
            raise ValueError("policy has no log_std_head: only its deterministic action is known")
        h = self._features(observations)
        u = self._mean(h) + _std(self._log_std(h)) * columns(normals, self._dtype)
        return rows(_squash(self._policy, u), len(observations))

    def _features(self, observations: np.ndarray) -> np.ndarray:
        x = columns(self._policy.normalised(observations[:, -1]), self._dtype)
        for layer in self._hidden:
            x = _activate(self._policy, layer(x))
        return x


class _Columns:
    """An affine layer on columns."""

    def __init__(self, w: np.ndarray, b: np.ndarray) -> None:
        self._weights, self._bias = np.ascontiguousarray(w.T), b[:, None]
        self._multiply = product(*self._weights.shape, w.dtype)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = self._multiply(self._weights, x)
        y += self._bias
        return y


def _activate(policy: MLPPolicy, x: np.ndarray) -> np.ndarray:
    """The hidden nonlinearity, in place."""
    if policy.activation == "silu":
        x *= special.expit(x)
        return x
    return np.maximum(x, 0, out=x) if policy.activation == "relu" else np.tanh(x, out=x)


def _squash(policy: MLPPolicy, u: np.ndarray) -> np.ndarray:
    u = np.tanh(u) if policy.output == "tanh" else u
    return u if policy.action_scale == 1.0 else u * u.dtype.type(policy.action_scale)


def _std(log_std: np.ndarray) -> np.ndarray:
    # -20..2 are the bounds that SAC puts on the log standard deviation (Haarnoja et al. 2018, appendix C).
    return np.exp(np.clip(log_std, -20.0, 2.0))


def _check_layer(name: str, w: np.ndarray, b: np.ndarray, n_in: int) -> None:
    if w.ndim != 2 or w.shape[0] != n_in:
        raise ValueError(f"{name}: weight must have shape ({n_in}, n_out), got {w.shape}")
    if b.shape != (w.shape[1],):
        raise ValueError(f"{name}: bias must have shape ({w.shape[1]},), got {b.shape}")
    if not (np.all(np.isfinite(w)) and np.all(np.isfinite(b))):
        raise ValueError(f"{name}: weights and biases must be finite")


def _tensors(policy: MLPPolicy) -> dict[str, np.ndarray]:
    """The policy's arrays under the names they have in its file."""
    tensors: dict[str, np.ndarray] = {}
    for i, (w, b) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        tensors[f"W{i}"], tensors[f"b{i}"] = w, b
    if policy.log_std_head is not None:
        tensors["W_log_std"], tensors["b_log_std"] = policy.log_std_head
    if policy.obs_mean is not None and policy.obs_std is not None:
        tensors["obs_mean"], tensors["obs_std"] = policy.obs_mean, policy.obs_std
    return tensors


def save_policy(path: Path | str, policy: MLPPolicy, card: dict[str, Any] | None = None) -> None:
    """Write a policy as safetensors; `card` (JSON-able: how it came about) travels in the file's metadata."""
    meta = {"activation": policy.activation, "output": policy.output, "card": json.dumps(card or {}, sort_keys=True)}
    if policy.action_scale != 1.0:
        meta["action_scale"] = repr(policy.action_scale)
    save_tensors(path, _tensors(policy), meta)


def load_policy(path: Path | str) -> tuple[MLPPolicy, dict[str, Any]]:
    """Read a policy and its card from a safetensors file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not safetensors or lacks what a policy needs.
    """
    tensors, meta = load_tensors(path)
    policy = _from_tensors(tensors, meta.get("activation", "relu"), meta.get("output", "tanh"), str(path))
    policy = dataclasses.replace(policy, action_scale=float(meta.get("action_scale", "1.0")))
    return policy, json.loads(meta.get("card", "{}"))


def load_npz_policy(path: Path | str, activation: Activation, output: OutputMap, obs_eps: float = 0.0) -> MLPPolicy:
    """Read a policy others trained from an npz of W0,b0,... and optional obs_mean, obs_std (never unpickled).

    `obs_eps` is added to obs_std, as some training codes do.
    """
    tensors = load_arrays(path)
    if "obs_std" in tensors:
        tensors["obs_std"] = tensors["obs_std"] + obs_eps
    return _from_tensors(tensors, activation, output, str(path))


def _from_tensors(tensors: dict[str, np.ndarray], activation: Any, output: Any, where: str) -> MLPPolicy:
    depth = 0
    while f"W{depth}" in tensors:
        depth += 1
    missing = [f"b{i}" for i in range(depth) if f"b{i}" not in tensors]
    missing += ["b_log_std"] if "W_log_std" in tensors and "b_log_std" not in tensors else []
    if depth == 0 or missing:
        raise ValueError(f"{where} holds no policy: needs W0,b0,..., has {sorted(tensors)}")
    head = (tensors["W_log_std"], tensors["b_log_std"]) if "W_log_std" in tensors else None
    return MLPPolicy(
        weights=tuple(tensors[f"W{i}"].astype(np.float32) for i in range(depth)),
        biases=tuple(tensors[f"b{i}"].astype(np.float32) for i in range(depth)),
        activation=activation,
        output=output,
        obs_mean=tensors.get("obs_mean"),
        obs_std=tensors.get("obs_std"),
        log_std_head=head,
    )
