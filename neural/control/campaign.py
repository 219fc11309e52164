"""Many cloning experiments: interventions x tasks x seeds, each in a directory of its own, run by a joblib backend.

A cell is one training. Interventions that differ in their average alone share it: the run's bank keeps the average of
each. A finished cell is never computed again, nor one whose training a finished run did with the same averages among
others; an interrupted cell goes on where it stopped. A training that diverges is an outcome, recorded as such.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import joblib

from gvatheory import validation
from gvatheory.grid_engines import ONE_THREAD, one_thread_each
from neural.control.catalogue_terms import Intervention, apply, training_fingerprint
from neural.control.design import CloningExperiment
from neural.control.experiment import run as run_experiment
from neural.control.experts import load_expert
from neural.control.tasks import get_task
from neural.runs import atomic

EngineName = Literal["loky", "ray", "dask"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_DIVERGED = "diverged.json"


@dataclasses.dataclass(frozen=True)
class Engine:
    """What carries the cells out.

    Attributes:
        name: loky (processes of this machine), ray or dask, with the package of that name installed.
        workers: cells at a time, ≥ 1; each has one thread for linear algebra, one for XLA and one for its roll-outs.
        address: of a running cluster, as `ray.init` or `dask.distributed.Client` takes it; None starts a local one. The
            machines of a cluster must see the campaign's directory under one path, and have this package installed.
    """

    name: EngineName = "loky"
    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(EngineName):
            raise ValueError(f"engine must be one of {get_args(EngineName)}, got {self.name!r}")
        validation.integer("workers", self.workers, 1)
        if self.name == "loky" and self.address is not None:
            raise ValueError(f"address is for the engines ray and dask, got {self.address!r} with loky")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training and what is measured of it.

    Attributes:
        task: gymnasium id.
        seed: of the learner.
        members: the interventions that this training serves.
        experiment: what is run, with the average of every member in its bank.
        directory: its place within the campaign's directory.
    """

    task: str
    seed: int
    members: tuple[Intervention, ...]
    experiment: CloningExperiment
    directory: str


def plan(
    interventions: Sequence[Intervention], base: CloningExperiment, tasks: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """The cells of a campaign, those with the most policies to roll out first.

    Args:
        interventions: with different names.
        base: what they change; its task and seed are replaced.
        tasks: gymnasium ids.
        seeds: of the learner, ≥ 0.

    Raises:
        ValueError: naming what is empty, repeated or invalid.
        FileNotFoundError: if a task has no expert.
    """
    for name, values in (("interventions", [i.name for i in interventions]), ("tasks", tasks), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{name} must be at least one, without repetition, got {list(values)}")
    cells = []
    for task in tasks:
        get_task(task)
        expert = load_expert(task, base.expert)[0].fingerprint()[:8]
        for seed in seeds:
            own = dataclasses.replace(base, task=task, learner=dataclasses.replace(base.learner, seed=seed))
            trainings: dict[str, list[tuple[Intervention, CloningExperiment]]] = {}
            for intervention in interventions:
                experiment = apply(intervention, own)
                trainings.setdefault(training_fingerprint(experiment), []).append((intervention, experiment))
            # Another expert under the same path is another run.
            cells += [_cell(task, seed, f"{key}-{expert}", members) for key, members in trainings.items()]
    return sorted(cells, key=lambda cell: -len(cell.experiment.evaluate))


def _cell(task: str, seed: int, key: str, members: list[tuple[Intervention, CloningExperiment]]) -> Cell:
    """One training for all of these interventions."""
    bank: dict[str, Any] = {}
    for _, experiment in members:
        bank |= experiment.bank
    names = tuple(dict.fromkeys(intervention.average_name for intervention, _ in members))
    experiment = dataclasses.replace(members[0][1], bank=bank, evaluate=names)
    title = re.sub(r"[^a-z0-9]+", "-", members[0][0].name.lower()).strip("-")
    # Banks of different averages are different runs, since only the averages of the bank can be measured.
    averages = hashlib.sha256(json.dumps(experiment.describe()["bank"]).encode()).hexdigest()[:8]
    directory = f"{task}/seed-{seed}/{title}-{key}/{averages}"
    return Cell(task, seed, tuple(intervention for intervention, _ in members), experiment, directory)


def finished(cell: Cell, out: Path | str) -> Path | None:
    """Directory of a finished run that holds all of a cell's averages; None if there is none."""
    place = Path(out) / cell.directory
    wanted = cell.experiment.describe()
    for directory in [place, *sorted(place.parent.glob("*"))]:
        config = directory / "config.json"
        if not config.is_file() or not any((directory / name).is_file() for name in ("run.nc", _DIVERGED)):
            continue
        found = json.loads(config.read_text())
        held = {name: found["bank"].get(name) for name in found["evaluate"]}
        if all(held.get(name) == wanted["bank"][name] for name in wanted["evaluate"]):
            return directory
    return None


def divergence(directory: Path) -> str | None:
    """How the run in a directory diverged; None if it did not."""
    file = directory / _DIVERGED
    return json.loads(file.read_text())["error"] if file.is_file() else None


def run_campaign(
    cells: Sequence[Cell], out: Path | str, engine: Engine | None = None, *, progress: Progress | None = None
) -> None:
    """Carry out the cells that are not finished. What is finished lies on disk, whatever happens to the others.

    `campaign_dataset.gather` makes one dataset of it.

    Args:
        cells: from `plan`.
        out: directory of the campaign.
        engine: what carries them out; one loky worker, in this process, if not given.
        progress: called with ("cells", done, total); with ray, which hands everything over at the end, only then.

    Raises:
        ValueError: if the engine's package is not installed.
        RuntimeError: if workers finished without leaving their files here.
    """
    out, engine = Path(out).absolute(), engine or Engine()
    report = progress or (lambda stage, done, total: None)
    pending = [cell for cell in cells if finished(cell, out) is None]
    done = len(cells) - len(pending)
    report("cells", done, len(cells))
    for _ in in_parallel([(_carry_out, (cell.experiment, out / cell.directory)) for cell in pending], engine):
        done += 1
        report("cells", done, len(cells))
    lost = [cell.directory for cell in pending if finished(cell, out) is None]
    if lost:
        raise RuntimeError(f"workers left no results of {lost[:3]}: is {out} the same directory on every machine?")


def _carry_out(experiment: CloningExperiment, directory: Path) -> None:
    """One cell, in a worker."""
    try:
        run_experiment(experiment, directory, threads=1)
    except FloatingPointError as e:
        with atomic(directory / _DIVERGED) as part:
            part.write_text(json.dumps({"error": str(e)}))


def in_parallel(calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], engine: Engine) -> Iterator[Any]:
    """What functions of arguments return, as they finish; with ray, which hands everything over at the end, only then.

    Raises:
        ValueError: if the engine's package is not installed.
    """
    with _backend(engine) as streams:
        # One call at a time goes to a worker: the next one may take a hundred times as long.
        how: dict[str, Any] = {"batch_size": 1, "return_as": "generator_unordered" if streams else "list"}
        yield from joblib.Parallel(**how)(joblib.delayed(function)(*arguments) for function, arguments in calls)


@contextlib.contextmanager
def _backend(engine: Engine) -> Iterator[bool]:
    """The joblib backend is the engine's within; yields whether it hands results over as they come."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(one_thread_each())
        # JAX would otherwise reserve most of a GPU for the first worker.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        try:
            if engine.name == "ray":
                _connect_ray(engine)
            elif engine.name == "dask":
                _connect_dask(engine, stack)
        except ImportError as e:
            package = {"ray": "ray", "dask": "dask[distributed]"}[engine.name]
            raise ValueError(f"engine {engine.name!r} needs a package that is missing: pip install '{package}'") from e
        inner = {"inner_max_num_threads": 1} if engine.name == "loky" and engine.workers > 1 else {}
        stack.enter_context(joblib.parallel_config(engine.name, n_jobs=engine.workers, **inner))
        yield engine.name != "ray"


def _connect_ray(engine: Engine) -> None:
    """Make joblib know ray, and join the cluster; its workers get this process's thread limits."""
    import ray  # pyright: ignore[reportMissingImports]
    from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]

    register_ray()
    if not ray.is_initialized():
        local = {"num_cpus": engine.workers} if engine.address is None else {}
        ray.init(engine.address, runtime_env={"env_vars": ONE_THREAD}, **local)


def _connect_dask(engine: Engine, stack: contextlib.ExitStack) -> None:
    """Join the cluster, or start one of processes with a thread each."""
    from dask.distributed import Client  # pyright: ignore[reportMissingImports]

    local = {"n_workers": engine.workers, "threads_per_worker": 1} if engine.address is None else {}
    stack.enter_context(Client(engine.address, **local))
