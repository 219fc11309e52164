"""The commands that look at what a policy does: lyapunov, divergence, landscape, video."""

import dataclasses
from pathlib import Path
from typing import Any


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
