"""The `gva demos` commands: make, show, import, export."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro


@dataclasses.dataclass(frozen=True)
class DemosMake:
    """Record what an expert sees and does, into a directory with a manifest of hashes."""

    out: Path
    """Directory of the set; it must not hold one."""
    task: str = "Walker2d-v4"
    """gymnasium id."""
    expert: Path | None = None
    """Policy file; the shipped expert if not given."""
    episodes: int | None = None
    """Number of episodes; 100 unless pairs are given."""
    pairs: int | None = None
    """Number of observation-action pairs instead."""
    stochastic: bool = True
    """Draw actions from the expert's stochastic policy rather than taking its mean."""
    action_noise: float = 0.0
    """Standard deviation of noise on the executed actions; the recorded ones are clean."""
    seed: int = 10_000
    """Of the first episode and of all noise; `gva clone` records its own from this one."""
    fresh: bool = False
    """Take a new seed from the operating system instead; the manifest says which."""
    max_steps: int | None = None
    """Environment steps per episode, at most."""

    def run(self) -> int:
        import secrets

        from neural.control.demonstrations import DemonstrationSpec, make
        from paper_figs.progress import stage_bars

        same = ("task", "pairs", "stochastic", "action_noise", "max_steps")
        spec = DemonstrationSpec(
            **{name: getattr(self, name) for name in same},
            expert=None if self.expert is None else str(self.expert),
            episodes=100 if self.episodes is None and self.pairs is None else self.episodes,
            seed=secrets.randbelow(2**31) if self.fresh else self.seed,
        )
        with stage_bars() as report:
            make(spec, self.out, progress=lambda done, total: report("demonstrating", done, total))
        return _show(self.out)


@dataclasses.dataclass(frozen=True)
class DemosShow:
    """Print the manifest of a set, after checking every file against it."""

    directory: tyro.conf.Positional[Path]
    """Of the set."""

    def run(self) -> int:
        return _show(self.directory)


@dataclasses.dataclass(frozen=True)
class DemosImport:
    """Make a set of a Minari dataset that lies in a directory (needs the minari extra)."""

    dataset: tyro.conf.Positional[str]
    """Its id, such as mujoco/walker2d/expert-v0."""
    root: Path
    """Directory that holds Minari's datasets; nothing is downloaded."""
    out: Path
    """Directory of the set; it must not hold one."""

    def run(self) -> int:
        from neural.control.demonstrations import save
        from neural.control.minari_exchange import import_minari

        save(self.out, import_minari(self.dataset, self.root))
        return _show(self.out)


@dataclasses.dataclass(frozen=True)
class DemosExport:
    """Write a set as a Minari dataset (needs the minari extra)."""

    directory: tyro.conf.Positional[Path]
    """Of the set."""
    dataset: str
    """Id of the dataset to write, such as walker2d/expert-v0."""
    root: Path
    """Directory that holds Minari's datasets."""

    def run(self) -> int:
        from neural.control.demonstrations import load
        from neural.control.minari_exchange import export_minari

        print(f"wrote {export_minari(load(self.directory), self.dataset, self.root)}")
        return 0


def _show(directory: Path) -> int:
    """Print a set's manifest without the lists of hashes, and say that they are right."""
    import json

    from neural.control.demonstrations import load

    manifest: dict[str, Any] = dict(load(directory).manifest)
    files = manifest.pop("files")
    manifest["policy"] = {"sha256": manifest["policy"].get("sha256", "unknown")}
    print(json.dumps(manifest, indent=1))
    print(f"{len(files)} files in {directory}, {sum(f['bytes'] for f in files.values()):,} bytes, all as recorded")
    return 0


@dataclasses.dataclass(frozen=True)
class Demonstrations:
    """Record, look at, import or export demonstrations."""

    action: (
        Annotated[DemosMake, tyro.conf.subcommand("make")]
        | Annotated[DemosShow, tyro.conf.subcommand("show")]
        | Annotated[DemosImport, tyro.conf.subcommand("import")]
        | Annotated[DemosExport, tyro.conf.subcommand("export")]
    )

    def run(self) -> int:
        return self.action.run()
