"""Policies trained elsewhere: zips of stable-baselines3 and plain npz files, made into the project's policies.

Nothing is unpickled. Of a zip, the weights are read by PyTorch's restricted reader (``weights_only``), which makes
tensors and nothing else, and of its description only what is plain JSON: the serialised objects in it are left alone.
Observation normalisation comes as an npz of its own, since stable-baselines3 stores VecNormalize as a pickle.

What becomes of an action: SAC, TQC, TD3 and DDPG squash it by tanh to a share of the task's range, which
`MLPPolicy.action_scale` restores; PPO, A2C and TRPO give it in the task's own units, to be clipped.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gvatheory import validation
from neural.control.policies import Activation, MLPPolicy, OutputMap, load_npz_policy
from neural.control.tasks import Task, action_bound
from neural.manifests import file_facts
from neural.runs import load_arrays

VEC_NORMALIZE_EPSILON = 1e-8
"""What stable-baselines3's VecNormalize adds to the variance unless told otherwise."""

_LARGEST = 2**30  # bytes unpacked; a policy of this size is a mistake or worse

_FILE_FORMATS = {".zip": "stable-baselines3 zip", ".npz": "npz of W0,b0,..."}

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """What a file does not say of itself.

    Attributes:
        activation: of the hidden layers; None to take it from a zip's description. An npz needs it.
        output: map of an npz's last layer, which needs it; a zip's algorithm decides its own.
        action_scale: factor on the output, positive; None for the bound of the task's range where the output is
            squashed, else 1.
        normalisation: npz of obs_mean and either obs_std or obs_var, (n,) each, to be used with a zip.
        obs_eps: what is added to obs_std, or to obs_var before the root is taken; at least 0. None for 0 and
            `VEC_NORMALIZE_EPSILON`.
        zero_pad: take observation entries that the policy reads and the task lacks as zeros at the end.
    """

    activation: Activation | None = None
    output: OutputMap | None = None
    action_scale: float | None = None
    normalisation: Path | str | None = None
    obs_eps: float | None = None
    zero_pad: bool = False

    def __post_init__(self) -> None:
        if self.action_scale is not None:
            validation.positive("action_scale", self.action_scale)
        if self.obs_eps is not None:
            validation.real("obs_eps", self.obs_eps, 0.0, np.inf)


def import_policy(
    path: Path | str, task: Task, options: ImportOptions | None = None
) -> tuple[MLPPolicy, dict[str, Any]]:
    """Read a policy trained elsewhere.

    Args:
        path: a stable-baselines3 .zip (SAC, TQC, TD3, DDPG, PPO, A2C or TRPO with an MLP policy, without gSDE), or an
            .npz of W0, b0, ... acting as ``x @ W + b``, with optional obs_mean and obs_std.
        task: what it is to act on.

    Returns:
        the policy, and what its card says of where it is from: file name, SHA-256, format, and every choice made.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds no such policy, leaves open what `options` does not say, or does not fit the task.
        ImportError: for a zip, if torch is not installed.
    """
    path, options = Path(path), options or ImportOptions()
    if path.suffix not in _FILE_FORMATS:
        raise ValueError(f"path must end in one of {sorted(_FILE_FORMATS)}, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"no policy file at {path}")
    policy = _from_zip(path, options) if path.suffix == ".zip" else _from_npz(path, options)
    scale = options.action_scale
    if scale is None:
        scale = action_bound(task) if policy.output == "tanh" else 1.0
    policy = dataclasses.replace(policy, action_scale=float(scale))
    padded = max(policy.observation_size - task.observation_size, 0) if options.zero_pad else 0
    if padded:
        policy = _without_last_inputs(policy, padded)
    for size in ("observation_size", "action_size"):
        if getattr(policy, size) != getattr(task, size):
            hint = "; zero_pad takes what is missing at the end as zeros" if size == "observation_size" else ""
            raise ValueError(f"{path} has {size} {getattr(policy, size)}, {task.id} needs {getattr(task, size)}{hint}")
    origin = {
        "file": path.name,
        "sha256": file_facts(path)["sha256"],
        "format": _FILE_FORMATS[path.suffix],
        "activation": policy.activation,
        "output": policy.output,
        "action_scale": policy.action_scale,
        "observations_normalised": policy.obs_mean is not None,
        "observations_padded": padded,
    }
    if options.normalisation is not None:
        origin["normalisation"] = {
            "file": Path(options.normalisation).name,
            "sha256": file_facts(options.normalisation)["sha256"],
        }
    return policy, origin


def _from_npz(path: Path, options: ImportOptions) -> MLPPolicy:
    if options.activation is None or options.output is None:
        raise ValueError(f"activation and output must be given: {path} does not say how its layers are used")
    if options.normalisation is not None:
        raise ValueError("normalisation is for zips; an npz holds its own obs_mean and obs_std")
    return load_npz_policy(path, options.activation, options.output, options.obs_eps or 0.0)


def _without_last_inputs(policy: MLPPolicy, count: int) -> MLPPolicy:
    """The policy that acts as `policy` does when the last `count` entries of the observation are zero."""
    kept = policy.observation_size - count
    constant = np.zeros(count)
    normalisation = {"obs_mean": None, "obs_std": None}
    if policy.obs_mean is not None and policy.obs_std is not None:
        constant = -policy.obs_mean[kept:] / policy.obs_std[kept:]
        normalisation = {"obs_mean": policy.obs_mean[:kept], "obs_std": policy.obs_std[:kept]}
    first = policy.weights[0]
    shift = constant.astype(first.dtype) @ first[kept:]
    return dataclasses.replace(
        policy,
        weights=(np.ascontiguousarray(first[:kept]), *policy.weights[1:]),
        biases=(policy.biases[0] + shift, *policy.biases[1:]),
        **normalisation,
    )


def _from_zip(path: Path, options: ImportOptions) -> MLPPolicy:
    if options.output is not None:
        raise ValueError(f"output is for npz files, a zip's algorithm decides it; got {options.output!r}")
    tensors, described = _read_zip(path)
    hidden, mean, log_std, output = _actor(tensors, str(path))
    layers = [*hidden, mean]
    obs_mean, obs_std = _normalisation(options)
    return MLPPolicy(
        weights=tuple(w for w, _ in layers),
        biases=tuple(b for _, b in layers),
        activation=options.activation or _activation(described, output, path),
        output=output,
        obs_mean=obs_mean,
        obs_std=obs_std,
        log_std_head=log_std,
    )


def _read_zip(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The tensors of the policy, as arrays, and the description's JSON (empty if there is none)."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if "policy.pth" not in sizes:
                raise ValueError(f"{path} is no zip of stable-baselines3: it lacks policy.pth, has {sorted(sizes)}")
            for name in ("policy.pth", "data"):
                if sizes.get(name, 0) > _LARGEST:
                    raise ValueError(f"{path}: {name} must be at most {_LARGEST} bytes, has {sizes[name]}")
            packed = archive.read("policy.pth")
            described = json.loads(archive.read("data")) if "data" in sizes else {}
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError) as e:
        raise ValueError(f"{path} is not a readable zip of stable-baselines3: {e}") from e
    torch: Any = importlib.import_module("torch")  # by name: the extra may be absent
    try:
        tensors = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as e:
        raise ValueError(f"{path}: policy.pth is not a file of plain tensors: {e}") from e
    if not isinstance(tensors, dict) or not all(isinstance(v, torch.Tensor) for v in tensors.values()):
        raise ValueError(f"{path}: policy.pth must hold named tensors")
    return {str(k): v.numpy() for k, v in tensors.items()}, described if isinstance(described, dict) else {}


Layer = tuple[np.ndarray, np.ndarray]


def _actor(tensors: Arrays, where: str) -> tuple[list[Layer], Layer, Layer | None, OutputMap]:
    """Hidden layers, last layer, log-std head and output map of the actor among a zip's tensors."""
    extractor = sorted(k for k in tensors if "features_extractor" in k or ".cnn." in k)
    if extractor:
        raise ValueError(f"{where} has a features extractor with weights ({extractor[0]}), only MLP policies are read")
    if "actor.latent_pi.0.weight" in tensors:  # SAC, TQC
        if "actor.mu.weight" not in tensors:
            raise ValueError(f"{where} was trained with gSDE, whose actions are not an MLP's")
        head = _layer(tensors, "actor.log_std", where)
        return _stack(tensors, "actor.latent_pi", where), _layer(tensors, "actor.mu", where), head, "tanh"
    if "actor.mu.0.weight" in tensors:  # TD3, DDPG
        *hidden, last = _stack(tensors, "actor.mu", where)
        return hidden, last, None, "tanh"
    if "action_net.weight" in tensors:  # PPO, A2C, TRPO
        # Older versions let policy and value share their first layers.
        shared = _stack(tensors, "mlp_extractor.shared_net", where)
        hidden = shared + _stack(tensors, "mlp_extractor.policy_net", where)
        last = _layer(tensors, "action_net", where)
        return hidden, last, _constant_head(tensors, last, where), "identity"
    raise ValueError(f"{where} holds no actor of SAC, TQC, TD3, DDPG, PPO, A2C or TRPO, has {sorted(tensors)[:8]}")


def _constant_head(tensors: Arrays, last: Layer, where: str) -> Layer:
    """PPO's log standard deviation is a parameter, a head without weights."""
    log_std = tensors.get("log_std")
    if log_std is None or log_std.shape != last[1].shape:
        shape = None if log_std is None else log_std.shape
        raise ValueError(f"{where}: log_std must have shape {last[1].shape}, got {shape} (discrete actions or gSDE?)")
    return np.zeros_like(last[0]), log_std.astype(np.float32)


def _layer(tensors: Arrays, name: str, where: str) -> Layer:
    if f"{name}.weight" not in tensors or f"{name}.bias" not in tensors:
        raise ValueError(f"{where} lacks {name}.weight or {name}.bias")
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    return np.ascontiguousarray(weight.T, dtype=np.float32), bias.astype(np.float32)


def _stack(tensors: Arrays, name: str, where: str) -> list[Layer]:
    """The linear layers of a torch Sequential, in order; between any two there must be one nonlinearity."""
    pattern = re.compile(re.escape(name) + r"\.(\d+)\.weight")
    numbers = sorted(int(match[1]) for match in map(pattern.fullmatch, tensors) if match)
    if numbers != list(range(0, 2 * len(numbers), 2)) or any(tensors[f"{name}.{i}.weight"].ndim != 2 for i in numbers):
        raise ValueError(f"{where}: {name} must be linear layers with a nonlinearity between them, has {numbers}")
    return [_layer(tensors, f"{name}.{i}", where) for i in numbers]


def _activation(described: dict[str, Any], output: OutputMap, path: Path) -> Activation:
    """The activation that the description's policy_kwargs name, or the algorithm's default where they name none."""
    kwargs = described.get("policy_kwargs")
    if not isinstance(kwargs, dict):
        raise ValueError(f"activation must be given: {path} does not describe its policy")
    named = kwargs.get("activation_fn")
    if named is None:
        return "relu" if output == "tanh" else "tanh"
    known: dict[str, Activation] = {"ReLU": "relu", "Tanh": "tanh", "SiLU": "silu"}
    match = re.search(r"torch\.nn\.modules\.activation\.(\w+)", str(named))
    if match is None or match[1] not in known:
        raise ValueError(f"{path}: the activation must be one of {sorted(known)}, the file has {named!r}")
    return known[match[1]]


def _normalisation(options: ImportOptions) -> tuple[np.ndarray | None, np.ndarray | None]:
    if options.normalisation is None:
        if options.obs_eps is not None:
            raise ValueError("obs_eps needs a normalisation to be added to")
        return None, None
    arrays = load_arrays(options.normalisation)
    if "obs_mean" not in arrays or ("obs_std" in arrays) == ("obs_var" in arrays):
        raise ValueError(
            f"{options.normalisation} must hold obs_mean and one of obs_std and obs_var, has {sorted(arrays)}"
        )
    if "obs_std" in arrays:
        std = arrays["obs_std"] + (options.obs_eps or 0.0)
    else:
        eps = VEC_NORMALIZE_EPSILON if options.obs_eps is None else options.obs_eps
        std = np.sqrt(arrays["obs_var"] + eps)
    return arrays["obs_mean"].astype(np.float64), std.astype(np.float64)
