"""The commands that look at what a policy does: lyapunov, divergence, landscape, video."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro


def _task_and_policy(name: str, policy: Path | None) -> tuple[Any, Any]:
    """The task, and the policy file's or the shipped expert's policy; ValueError if they do not fit."""
    from neural.control.experts import load_expert
    from neural.control.tasks import get_task

    return get_task(name), load_expert(name, policy)[0]


def _write(dataset: Any, out: Path, command: Any, module: Any) -> None:
    """The dataset with its provenance, its figure beside it, and the caption on standard output."""
    import json

    from gvatheory.sweep import PACKAGES, provenance
    from neural.runs import save_dataset
    from paper_figs import style

    config = json.dumps({k: str(v) for k, v in dataclasses.asdict(command).items()}, sort_keys=True)
    dataset = dataset.assign_attrs(provenance((*PACKAGES, "mujoco"), config=config))
    save_dataset(out, dataset)
    print(f"wrote {out}")
    for file in style.save(module.draw(dataset), out.with_suffix("")):
        print(f"wrote {file}")
    print(module.caption(dataset))


def _check_out(out: Path, *suffixes: str) -> None:
    if out.suffix not in suffixes or out.is_dir():
        raise ValueError(f"out must be a file ending in {' or '.join(suffixes)}, got {out}")


@dataclasses.dataclass(frozen=True)
class Lyapunov:
    """Lyapunov exponents of a policy's closed loop, with intervals: spectrum, convergence, dependence on the size."""

    task: str = "Walker2d-v4"
    """gymnasium id."""
    policy: Path | None = None
    """Policy file; the shipped expert if not given."""
    count: int | None = None
    """Number of exponents; all if not given."""
    steps: int = 1000
    """Environment steps per episode that count."""
    every: int = 10
    """Environment steps between renormalisations."""
    size: float = 1e-6
    """Distance of the displaced copies, over positions (m, rad) and velocities (m/s, rad/s)."""
    sizes: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    """Distances at which the largest exponent is measured again."""
    seeds: int = 8
    """Episodes, of the initial conditions 0, 1, ...; at least 2 for an interval."""
    out: Path = Path("runs/lyapunov.nc")
    """Dataset to write; the figure goes beside it."""

    def run(self) -> int:
        from gvatheory import validation
        from neural.control.lyapunov import spectrum_dataset
        from paper_figs import lyapunov
        from paper_figs.progress import stage_bars

        validation.integer("seeds", self.seeds, 2)
        _check_out(self.out, ".nc")
        task, policy = _task_and_policy(self.task, self.policy)
        options = {name: getattr(self, name) for name in ("count", "steps", "every", "size", "sizes")}
        with stage_bars() as report:
            dataset = spectrum_dataset(policy, task, range(self.seeds), progress=report, **options)
        _write(dataset, self.out, self, lyapunov)
        return 0


@dataclasses.dataclass(frozen=True)
class Landscape:
    """Return and loss around the end of a cloning run and around its averages, in one and two dimensions."""

    run_directory: tyro.conf.Positional[Path | None] = None
    """Directory of a finished cloning run; without one, the policy is looked at alone."""
    averages: tuple[str, ...] = ("EMA 0.001",)
    """Averages of the run looked at beside the last iterate."""
    task: str = "Walker2d-v4"
    """gymnasium id, for a policy."""
    policy: Path | None = None
    """Policy file, for a look without a run; the shipped expert if not given."""
    gradients: int = 4
    """Directions that are stochastic gradients of fresh batches."""
    random: int = 2
    """Random directions, normalised by filter."""
    batch_size: int = 16
    """Pairs per gradient."""
    ahead: int = 100
    """Updates from the last iterate to the one that the training path leads to."""
    extent: float = 2.0
    """Largest step either way, in lengths of an update (for a policy, thousandths of its parameters' norm)."""
    points: int = 41
    """Points of a line."""
    plane: int = 13
    """Points of each side of the plane; 0 for none."""
    episodes: int = 8
    """Initial conditions of every point, seeds 30000, 30001, ..."""
    plane_episodes: int = 4
    """The same on the plane."""
    max_steps: int | None = None
    """Environment steps per episode, at most; the task's limit if not given."""
    seed: int = 0
    """Seed of batches and random directions."""
    out: Path = Path("runs/landscape.nc")
    """Dataset to write; the figure goes beside it."""

    def run(self) -> int:
        import numpy as np

        from gvatheory import validation
        from neural.control.experiment import EVALUATION_SEED
        from neural.control.landscape import lines, planes
        from neural.control.neighbourhood import Directions
        from paper_figs import landscape
        from paper_figs.progress import stage_bars

        _check_out(self.out, ".nc")
        validation.positive("extent", self.extent)
        validation.integer("points", self.points, 11)
        validation.integer("plane", self.plane, 2 if self.plane else 0)
        validation.integer("episodes", self.episodes, 3)
        validation.integer("plane_episodes", self.plane_episodes, 1)
        if self.plane and self.gradients < 2:
            raise ValueError(f"gradients must be at least 2 for a plane, got {self.gradients}")
        directions = Directions(self.gradients, self.random, self.batch_size, self.seed)
        with stage_bars() as report:
            report("setting up", 0, 1)
            task, centres, held_out, unit = self._centres(directions)
            report("setting up", 1, 1)
            common = {"unit": unit, "progress": report, "max_steps": self.max_steps}
            pairs = held_out.observations, held_out.actions
            seeds = range(EVALUATION_SEED, EVALUATION_SEED + self.episodes)
            scales = np.linspace(-self.extent, self.extent, self.points).tolist()
            dataset = lines(centres, scales, task, seeds, pairs, **common)
            if self.plane:
                scales = np.linspace(-self.extent, self.extent, self.plane).tolist()
                seeds = range(EVALUATION_SEED, EVALUATION_SEED + self.plane_episodes)
                plane = planes(centres, ("gradient 1", "gradient 2"), scales, task, seeds, pairs, **common)
                names = {name: f"plane_{name}" for name in (*plane.data_vars, "s0", "s1", "episode")}
                dataset = dataset.merge(plane.rename(names), combine_attrs="drop_conflicts")
        _write(dataset, self.out, self, landscape)
        return 0

    def _centres(self, directions: Any) -> tuple[Any, Any, Any, float]:
        """The task, centres with their directions, held-out demonstrations, and the length of a step."""
        from neural.control.experiment import DEMONSTRATION_SEED, HELD_OUT_SEED
        from neural.control.experts import load_expert
        from neural.control.landscape import norm
        from neural.control.neighbourhood import run_centres
        from neural.control.rebuild import rebuild
        from neural.control.rollout import collect

        if self.run_directory is not None:
            if self.policy is not None:
                raise ValueError(f"policy must not be given beside a run, got {self.policy}")
            run = rebuild(self.run_directory, beyond=self.ahead)
            centres, unit = run_centres(run, self.averages, directions, self.ahead)
            return run.task, centres, run.held_out, unit
        task, policy = _task_and_policy(self.task, self.policy)
        expert, _ = load_expert(self.task)
        train, held_out = (
            collect(expert, task, range(seed, seed + 10), stochastic=expert.stochastic, noise_seed=seed)
            for seed in (DEMONSTRATION_SEED, HELD_OUT_SEED)
        )
        centres = {"policy": (policy, directions.around(policy, train))}
        return task, centres, held_out, 1e-3 * norm((policy.weights, policy.biases))


@dataclasses.dataclass(frozen=True)
class Divergence:
    """How fast the states of neighbouring policies part, beside the loop's largest Lyapunov exponent."""

    run_directory: tyro.conf.Positional[Path | None] = None
    """Directory of a finished cloning run: its last iterate and averages against themselves some updates later."""
    averages: tuple[str, ...] = ("EMA 0.01", "EMA 0.001")
    """Averages of the run beside its iterate."""
    between: int = 1
    """Updates between the neighbours of a run."""
    fraction: float = 1e-6
    """Of the iterate's step from one neighbour to the other, for a further pair: so near that the exponent shows."""
    task: str = "Walker2d-v4"
    """gymnasium id, for two policy files."""
    first: Path | None = None
    """Policy file."""
    second: Path | None = None
    """Policy file."""
    steps: int = 1000
    """Environment steps."""
    seeds: int = 16
    """Initial conditions, seeds 30000, 30001, ..."""
    out: Path = Path("runs/divergence.nc")
    """Dataset to write; the figure goes beside it."""

    def run(self) -> int:
        from gvatheory import validation
        from neural.control.divergence import add_exponents, divergence_dataset
        from neural.control.experiment import EVALUATION_SEED
        from paper_figs import divergence
        from paper_figs.progress import stage_bars

        _check_out(self.out, ".nc")
        validation.integer("seeds", self.seeds, 2)
        validation.integer("steps", self.steps, 1)
        task, pairs = self._pairs()
        seeds = range(EVALUATION_SEED, EVALUATION_SEED + self.seeds)
        with stage_bars() as report:
            dataset = divergence_dataset(pairs, task, seeds, steps=self.steps, progress=report)
            dataset = add_exponents(dataset, {name: pair[0] for name, pair in pairs.items()}, task, progress=report)
        _write(dataset, self.out, self, divergence)
        return 0

    def _pairs(self) -> tuple[Any, dict[str, Any]]:
        from neural.control.neighbourhood import neighbours
        from neural.control.policies import load_policy
        from neural.control.rebuild import rebuild
        from neural.control.tasks import get_task

        if self.run_directory is not None:
            if self.first is not None or self.second is not None:
                raise ValueError("first and second must not be given beside a run")
            run = rebuild(self.run_directory, beyond=self.between)
            return run.task, neighbours(run, self.averages, self.between, self.fraction)
        if self.first is None or self.second is None:
            raise ValueError("give the directory of a run, or both first and second")
        return get_task(self.task), {"policies": (load_policy(self.first)[0], load_policy(self.second)[0])}


@dataclasses.dataclass(frozen=True)
class Video:
    """Film one episode of a policy, the very one that an evaluation of that seed counts."""

    task: str = "Walker2d-v4"
    """gymnasium id."""
    policy: Path | None = None
    """Policy file; the shipped expert if not given."""
    seed: int = 0
    """Seed of the initial condition."""
    max_steps: int | None = None
    """Environment steps, at most; the task's limit if not given."""
    width: int = 480
    """Pixels."""
    height: int = 360
    """Pixels."""
    out: Path = Path("runs/episode.gif")
    """File to write: .gif, or .mp4 where imageio-ffmpeg is installed."""

    def run(self) -> int:
        import os

        from neural.control.rendering import choose_back_end
        from paper_figs.progress import stage_bars

        # MuJoCo reads this when it is imported, which the next line does.
        os.environ["MUJOCO_GL"] = choose_back_end()
        from neural.control.video import check_format, episode, film

        check_format(self.out)
        task, policy = _task_and_policy(self.task, self.policy)
        results = episode(policy, task, self.seed, max_steps=self.max_steps)
        with stage_bars() as report:
            film(
                self.out,
                results,
                task,
                width=self.width,
                height=self.height,
                progress=lambda done, total: report("drawing", done, total),
            )
        fell = ", fallen" if results.fallen[0, 0] else ""
        print(f"return {results.returns[0, 0]:.2f} over {results.lengths[0, 0]} steps{fell}")
        print(f"wrote {self.out}")
        return 0
