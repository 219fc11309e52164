"""Training of a language model by AdamW, with a bank of averages kept at every update.

Update t's batch is a function of the seed and t, so a run resumes to the bit-identical end on the same kind of machine
with the same number of threads, whatever the stretches it is advanced by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from gvatheory import validation
from gvatheory.schedules import Schedule
from neural.language.bank import TorchBank
from neural.language.batches import LAST_SEED
from neural.language.models import FlatModel, ModelSpec
from neural.language.processes import ALONE, Processes

Precision = Literal["float32", "bfloat16"]
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW, as torch names them


@dataclasses.dataclass(frozen=True)
class Trainer:
    """How a model is trained (Loshchilov & Hutter 2019), beside its step sizes.

    Attributes:
        batch_size: windows of `ModelSpec.context` tokens per update, ≥ 1.
        parts: that a batch is worked through in, one after another, so that a large one fits the memory (gradient
            accumulation); a divisor of the batch size.
        weight_decay: decoupled, of matrices alone, ≥ 0.
        beta1, beta2: decay of the first and second moments, in [0, 1).
        epsilon: added to the root of the second, > 0.
        clip_norm: the gradient's norm is cut to this, > 0; None for no cut.
        precision: of the forward and backward pass; parameters, averages and the optimiser's state are float32.
        compiled: run the model through torch.compile, which pays on a GPU.
        seed: of the initial weights and the batches, from 0 to 2⁶² − 2.
    """

    batch_size: int = 8
    parts: int = 1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    clip_norm: float | None = 1.0
    precision: Precision = "float32"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        validation.integer("batch_size", self.batch_size, 1)
        validation.integer("parts", self.parts, 1, self.batch_size)
        if self.batch_size % self.parts:
            raise ValueError(f"parts must divide the batch size {self.batch_size}, got {self.parts}")
        validation.real("weight_decay", self.weight_decay, 0.0, np.inf)
        for name in ("beta1", "beta2"):
            validation.real(name, getattr(self, name), 0.0, 1.0, open_high=True)
        validation.positive("epsilon", self.epsilon)
        if self.clip_norm is not None:
            validation.positive("clip_norm", self.clip_norm)
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {get_args(Precision)}, got {self.precision!r}")
        validation.integer("seed", self.seed, 0, LAST_SEED)


class PretrainingRun:
    """One run of training: call `advance`, look at `losses` and `vectors`, store `tensors` and `restore` them.

    Attributes:
        t: updates made so far.
        steps: T, the length of the run.
        model: at the current iterate.
        bank: of averages.
        training_loss: (T,) float64, loss on update t's batch before it, in nats per token; NaN for those to come.
        gradient_norm: (T,) float64, norm of that batch's gradient before it is cut.
    """

    def __init__(
        self,
        spec: ModelSpec,
        trainer: Trainer,
        schedule: Schedule,
        rates: np.ndarray,
        batches: Callable[[int], np.ndarray],
        *,
        device: torch.device | str = "cpu",
        processes: Processes = ALONE,
    ) -> None:
        """Set up at t = 0.

        Args:
            spec, trainer: what is trained and how.
            schedule: step sizes.
            rates: γ_t, (T, A), as made by `neural.averages.rate_table`; A may be 0.
            batches: function of the update 0..T−1 to (batch_size, context + 1) ids.
            device: where to train.
            processes: that share every batch.
        """
        self.spec, self.trainer, self.batches, self.processes = spec, trainer, batches, processes
        processes.require_shares(trainer.parts)
        self.t, self.steps = 0, len(rates)
        self.model = FlatModel(spec, trainer.seed, device)
        self.bank = TorchBank(rates, self.model.vector)
        self.previous = self.model.vector.clone()
        self.training_loss = np.full(self.steps, np.nan)
        self.gradient_norm = np.full(self.steps, np.nan)
        self._step_sizes = schedule.step_sizes(self.steps)
        self._forward: Callable[..., Any] = torch.compile(self.model.module) if trainer.compiled else self.model.module
        self._optimiser = self._new_optimiser()

    def _new_optimiser(self) -> torch.optim.AdamW:
        """Over two views of the vector: matrices, which are decayed, and the rest."""
        cut, vector, gradient = self.spec.matrix_parameters, self.model.vector, self.model.gradient
        groups = []
        for part, decay in ((slice(None, cut), self.trainer.weight_decay), (slice(cut, None), 0.0)):
            parameter = torch.nn.Parameter(vector[part])
            parameter.grad = gradient[part]
            groups.append({"params": [parameter], "weight_decay": decay})
        betas = self.trainer.beta1, self.trainer.beta2
        return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=self.trainer.epsilon, fused=True)

    def advance(self, updates: int) -> None:
        """Make `updates` more updates.

        Raises:
            ValueError: if that is negative or leads past the end of the run.
            FloatingPointError: if a batch's loss or gradient is not finite, naming the update; the state is then that
                before it.
        """
        validation.integer("updates", updates, 0, self.steps - self.t)
        for _ in range(updates):
            self._update()

    def _update(self) -> None:
        loss = self._gradient(self.batches(self.t))
        gradient, clip = self.model.gradient, self.trainer.clip_norm
        norm = float(gradient.norm())
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise FloatingPointError(f"update {self.t + 1} diverged: its loss is {loss}, its gradient's norm {norm}")
        if clip is not None and norm > clip:
            gradient.mul_(clip / norm)
        for group in self._optimiser.param_groups:
            group["lr"] = float(self._step_sizes[self.t])
        self.previous.copy_(self.model.vector)
        self._optimiser.step()
        self.training_loss[self.t], self.gradient_norm[self.t] = loss, norm
        self.t += 1
        self.bank.add(self.model.vector)

    def _gradient(self, batch: np.ndarray) -> float:
        """Put the batch's mean gradient into the model's, and return its mean loss."""
        gradient, parts = self.model.gradient, self.trainer.parts
        gradient.zero_()
        total = torch.zeros((), dtype=torch.float64, device=self.model.device)
        for i, part in enumerate(np.split(batch, parts)):
            if self.processes.owns(i):
                loss = self._loss(part).mean()
                (loss / parts).backward()
                total += loss.detach() / parts
        self.processes.sum(gradient)
        self.processes.sum(total)
        return float(total)

    def _loss(self, windows: np.ndarray) -> torch.Tensor:
        """(n, context) loss of every token of (n, context + 1) ids, float32."""
        ids = torch.from_numpy(windows).to(self.model.device)
        half = self.trainer.precision == "bfloat16"
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=half):
            logits = self._forward(input_ids=ids[:, :-1]).logits
        return cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")

    def losses(self, windows: np.ndarray, members: Sequence[int]) -> np.ndarray:
        """Mean loss of each window in nats per token, (len(members), n) float64, for the iterate (0) and averages.

        Args:
            windows: (n, context + 1) ids.
            members: 0 for the iterate, 1..A for averages.
        """
        out = np.empty((len(members), len(windows)))
        for row, member in zip(out, members, strict=True):  # one by one: a large model fits the memory few times
            with self.model.holding(self.vectors([member])[0]), torch.no_grad():
                for at in range(0, len(windows), self._together):
                    part = slice(at, at + self._together)
                    row[part] = self._loss(windows[part]).double().mean(dim=1).cpu().numpy()
        return out

    @property
    def _together(self) -> int:
        """Windows that fit the memory if a part of a batch does."""
        return self.trainer.batch_size // self.trainer.parts

    def gradient_noise(self, windows: np.ndarray) -> np.ndarray:
        """Inner products (n, n) float64 of the windows' gradients at the iterate, from which `noise_scale` follows."""
        gradients = torch.empty((len(windows), self.spec.parameters), device=self.model.device)
        for i in range(len(windows)):
            self.model.gradient.zero_()
            self._loss(windows[i : i + 1]).mean().backward()
            gradients[i].copy_(self.model.gradient)
        return (gradients @ gradients.T).double().cpu().numpy()

    def vectors(self, members: Sequence[int]) -> torch.Tensor:
        """(len(members), P) parameters of the iterate (0) and of averages (1..A), copies."""
        averages = self.bank.read([m - 1 for m in members if m])
        rows = iter(averages)
        return torch.stack([next(rows) if m else self.model.vector.clone() for m in members])

    def steps_taken(self, members: Sequence[int]) -> np.ndarray:
        """(len(members),) norm of the change that the last update made; NaN before the first.

        An average moves by γ_t (θ_t − θ̃_{t−1}) = γ_t/(1 − γ_t) (θ_t − θ̃_t), and by the iterate's own change where
        γ_t = 1 in the update before, too; that, and γ_t = 1 after another rate, cannot be had afterwards: NaN.
        """
        if self.t == 0:
            return np.full(len(members), np.nan)
        moved, out = float((self.model.vector - self.previous).norm()), []
        for m, vector in zip(members, self.vectors(members), strict=True):
            if m == 0:
                out.append(moved)
                continue
            rate = float(self.bank.rates[self.t - 1, m - 1])
            before = 1.0 if self.t == 1 else float(self.bank.rates[self.t - 2, m - 1])
            if rate < 1.0:
                out.append(rate / (1.0 - rate) * float((self.model.vector - vector).norm()))
            else:
                out.append(moved if before == 1.0 else np.nan)
        return np.array(out)

    def tensors(self) -> dict[str, np.ndarray]:
        """The whole state as named arrays, for a checkpoint."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in self._state().items()}
        return {
            "t": np.asarray(self.t),
            "training_loss": self.training_loss,
            "gradient_norm": self.gradient_norm,
        } | arrays

    def _state(self) -> dict[str, torch.Tensor]:
        kept = self.t % self.bank.block if len(self.bank.latest) else 0
        out = {
            "vector": self.model.vector,
            "previous": self.previous,
            "averages": self.bank.averages,
            "latest": self.bank.latest[:kept],
        }
        for i, state in enumerate(self._optimiser.state[group["params"][0]] for group in self._optimiser.param_groups):
            for name in _MOMENTS if state else ():
                out[f"{name}{i}"] = state[name]
        return out

    def restore(self, stored: Mapping[str, np.ndarray]) -> None:
        """Go to a state given by `tensors`.

        Raises:
            ValueError: naming an array that is missing or does not fit this run.
        """
        bad = sorted(
            name
            for name, shape in self._shapes(int(stored.get("t", np.asarray(0)))).items()
            if name not in stored or stored[name].shape[-len(shape) :] != shape
        )
        if bad:
            raise ValueError(f"the checkpoint does not fit this run in {bad}")
        self.t = self.bank.t = int(stored["t"])
        self.training_loss, self.gradient_norm = stored["training_loss"].copy(), stored["gradient_norm"].copy()
        for target, name in (
            (self.model.vector, "vector"),
            (self.previous, "previous"),
            (self.bank.averages, "averages"),
        ):
            target.copy_(torch.from_numpy(stored[name]))
        self.bank.latest[: len(stored["latest"])].copy_(torch.from_numpy(stored["latest"]))
        for i, group in enumerate(self._optimiser.param_groups):
            if f"step{i}" in stored:
                self._optimiser.state[group["params"][0]] = {
                    name: torch.from_numpy(stored[f"{name}{i}"].copy()).to(self.model.device) for name in _MOMENTS
                }

    def _shapes(self, t: int) -> dict[str, tuple[int, ...]]:
        """Last dimensions of what a checkpoint of update t must hold."""
        cut, whole = self.spec.matrix_parameters, self.spec.parameters
        shapes: dict[str, tuple[int, ...]] = {"t": (), "training_loss": (self.steps,), "gradient_norm": (self.steps,)}
        shapes |= {"vector": (whole,), "previous": (whole,), "averages": tuple(self.bank.averages.shape)}
        shapes["latest"] = (whole,)
        for i, size in enumerate((cut, whole - cut) if t else ()):
            shapes |= {f"{name}{i}": () if name == "step" else (size,) for name in _MOMENTS}
        return shapes
