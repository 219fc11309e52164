"""A causal transformer policy as plain arrays, its rollout arithmetic, and its safetensors file.

The network is that of `attention.transform`. In a rollout activations are (window, features, COLUMNS) and products
with weights are those of `inference`, so that a row's action does not depend, bit for bit, on the other rows; attention
takes each row by itself.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy import special

from gvatheory import validation
from neural.control.attention import EPSILON
from neural.control.inference import COLUMNS, product
from neural.control.policies import Activation, OutputMap
from neural.runs import load_tensors, save_tensors

KIND = "transformer"
"""Under "kind" in the metadata of its file."""

_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": functools.partial(np.maximum, np.float32(0)),
    "tanh": np.tanh,
    "silu": lambda x: x * special.expit(x),
}


@dataclasses.dataclass(frozen=True, eq=False)
class TransformerPolicy:
    """A policy that acts on the latest observations, at most `window` of them.

    Attributes:
        params: weights, float32, as `attention.initial_transformer` names them.
        heads: of the attention, ≥ 1; divides the width.
        activation: of the wider networks.
        output: ``"tanh"`` squashes the action to (-1, 1); ``"identity"`` leaves it as it is.
        obs_mean, obs_std: (observation_size,) normalisation ``(x - mean) / std`` of an observation.

    Raises:
        ValueError: naming the first array or option that does not fit.
    """

    params: Any
    heads: int
    activation: Activation
    output: OutputMap
    obs_mean: np.ndarray
    obs_std: np.ndarray

    def __post_init__(self) -> None:
        for name, known in (("activation", Activation), ("output", OutputMap)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {getattr(self, name)!r}")
        width = self.params["positions"].shape[1]
        validation.integer("heads", self.heads, 1, width)
        if width % self.heads:
            raise ValueError(f"heads must divide the width {width}, got {self.heads}")
        for name, shape in _shapes(self).items():
            array = self.tensors().get(name)
            if array is None or array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {None if array is None else array.shape}")
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{name} must be finite")
        if not np.all(self.obs_std > 0):
            raise ValueError(f"obs_std must be positive, smallest is {self.obs_std.min()}")

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        return self.params["embed"]["W"].shape[0]

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.params["head"]["W"].shape[1]

    @property
    def window(self) -> int:
        """Number of latest observations an action depends on."""
        return self.params["positions"].shape[0]

    @property
    def stochastic(self) -> bool:
        """False: only a mean action is known."""
        return False

    def actor(self) -> TransformerActor:
        """The policy made ready for a rollout."""
        return TransformerActor(self)

    def tensors(self) -> dict[str, np.ndarray]:
        """Every array under the name it has in the policy's file, such as "blocks.0.query.W"."""
        return {**_flatten(self.params), "obs_mean": self.obs_mean, "obs_std": self.obs_std}

    def fingerprint(self) -> str:
        """SHA-256 of everything the policy computes with, as a hexadecimal string."""
        digest = hashlib.sha256(f"{KIND} {self.heads} {self.activation} {self.output}".encode())
        for name, array in sorted(self.tensors().items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


class TransformerActor:
    """A transformer's arithmetic on blocks of columns, float32; see `inference`."""

    def __init__(self, policy: TransformerPolicy) -> None:
        self._policy, params = policy, policy.params
        self._embed, self._head = _Columns(params["embed"]), _Columns(params["head"])
        names = ("query", "key", "value", "mix", "widen", "narrow")
        self._layers = [{name: _Columns(block[name]) for name in names} for block in params["blocks"]]
        self._activate = _ACTIVATIONS[policy.activation]

    def act(self, observations: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """See `inference.Actor`.

        Raises:
            ValueError: if the observations are not (n ≤ COLUMNS, window, observation_size).
        """
        policy, count = self._policy, len(observations)
        wanted = (policy.window, policy.observation_size)
        if count > COLUMNS or observations.shape[1:] != wanted:
            raise ValueError(
                f"observations must be (n, {', '.join(map(str, wanted))}) with n <= {COLUMNS}, got {observations.shape}"
            )
        x = np.zeros((*wanted, COLUMNS), dtype=np.float32)
        x[..., :count] = ((observations - policy.obs_mean) / policy.obs_std).transpose(1, 2, 0)
        allowed = self._allowed(np.asarray(valid))
        h = self._embed(x) + policy.params["positions"][..., None]
        for block, layer in zip(policy.params["blocks"], self._layers, strict=True):
            h += self._attention(layer, _norm(block["attention_norm"], h), allowed)
            h += layer["narrow"](self._activate(layer["widen"](_norm(block["network_norm"], h))))
        u = self._head(_norm(policy.params["norm"], h[-1]))[:, :count].T
        return np.tanh(u) if policy.output == "tanh" else u

    def sample(self, observations: np.ndarray, valid: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """ValueError: the policy is deterministic."""
        raise ValueError("a transformer policy is deterministic: only its mean action is known")

    def _allowed(self, valid: np.ndarray) -> np.ndarray:
        """(COLUMNS, 1, window, window): which entry (third axis) sees which (fourth)."""
        at = np.arange(self._policy.window)
        seen = np.zeros((COLUMNS, len(at)), dtype=bool)
        seen[: len(valid)] = at >= len(at) - valid[:, None]
        return ((at[:, None] >= at) & (seen[:, None, :] | (at[:, None] == at)))[:, None]

    def _attention(self, layer: dict[str, _Columns], x: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Of (window, width, COLUMNS)."""
        heads, window = self._policy.heads, x.shape[0]
        # One matrix per row and head, (COLUMNS, heads, window, width/heads): no row meets another in a product.
        query, key, value = (
            np.ascontiguousarray(layer[name](x).reshape(window, heads, -1, COLUMNS).transpose(3, 1, 0, 2))
            for name in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.float32(query.shape[3] ** 0.5)
        scores = np.where(allowed, scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(axis=3, keepdims=True))
        mixed = (weights / weights.sum(axis=3, keepdims=True)) @ value
        return layer["mix"](np.ascontiguousarray(mixed.transpose(2, 1, 3, 0)).reshape(x.shape))


class _Columns:
    """An affine layer on columns, (..., inputs, COLUMNS)."""

    def __init__(self, layer: dict[str, np.ndarray]) -> None:
        self._weights, self._bias = np.ascontiguousarray(layer["W"].T), layer["b"][:, None]
        self._multiply = product(*self._weights.shape, self._weights.dtype)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = self._multiply(self._weights, x)
        y += self._bias
        return y


def _norm(layer: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Layer norm over the features of (..., features, COLUMNS)."""
    x = x - x.mean(axis=-2, keepdims=True)
    spread = np.sqrt((x * x).mean(axis=-2, keepdims=True) + np.float32(EPSILON))
    return x / spread * layer["scale"][:, None] + layer["shift"][:, None]


def _flatten(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    if not isinstance(tree, (dict, list)):
        return {prefix: tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    parts = (_flatten(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in items)
    return {name: array for part in parts for name, array in part.items()}


def _shapes(policy: TransformerPolicy) -> dict[str, tuple[int, ...]]:
    """The shape every array must have, given those of the embedding, the positions and the head."""
    params, inputs, outputs = policy.params, policy.observation_size, policy.action_size
    window, width = params["positions"].shape
    affine = {"embed": (inputs, width), "head": (width, outputs)}
    norms = ["norm"]
    for i in range(len(params["blocks"])):
        affine |= {f"blocks.{i}.{name}": (width, width) for name in ("query", "key", "value", "mix")}
        affine |= {f"blocks.{i}.widen": (width, 4 * width), f"blocks.{i}.narrow": (4 * width, width)}
        norms += [f"blocks.{i}.attention_norm", f"blocks.{i}.network_norm"]
    shapes: dict[str, tuple[int, ...]] = {"positions": (window, width), "obs_mean": (inputs,), "obs_std": (inputs,)}
    for name, (n, m) in affine.items():
        shapes |= {f"{name}.W": (n, m), f"{name}.b": (m,)}
    return shapes | {f"{name}.{part}": (width,) for name in norms for part in ("scale", "shift")}


def save_transformer(path: Path | str, policy: TransformerPolicy, card: dict[str, Any] | None = None) -> None:
    """Write the policy as safetensors; `card` (JSON-able: how it came about) travels in the file's metadata."""
    meta = {"kind": KIND, "heads": str(policy.heads), "activation": policy.activation, "output": policy.output}
    meta["card"] = json.dumps(card or {}, sort_keys=True)
    save_tensors(path, policy.tensors(), meta)


def load_transformer(path: Path | str) -> tuple[TransformerPolicy, dict[str, Any]]:
    """Read a policy and its card from a file of `save_transformer`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not safetensors or holds no transformer.
    """
    tensors, meta = load_tensors(path)
    if meta.get("kind") != KIND:
        raise ValueError(f"{path} holds no transformer, its kind is {meta.get('kind', 'mlp')!r}")
    mean, std = (tensors.pop(name, np.zeros(0)) for name in ("obs_mean", "obs_std"))
    try:
        params = _unflatten(tensors)
        policy = TransformerPolicy(params, int(meta["heads"]), meta["activation"], meta["output"], mean, std)  # pyright: ignore[reportArgumentType]
    except (KeyError, AttributeError, TypeError) as e:
        raise ValueError(f"{path} lacks {e} of a transformer") from e
    return policy, json.loads(meta.get("card", "{}"))


def _unflatten(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, array in tensors.items():
        *path, last = name.split(".")
        place = out
        for part in path:
            place = place.setdefault(part, {})
        place[last] = array
    return {**out, "blocks": [out["blocks"][str(i)] for i in range(len(out.get("blocks", {})))]}
