"""The table of the shipped experts, from their cards alone."""

from collections.abc import Sequence
from typing import Any

from neural.control.experts import load_expert
from paper_figs.experts import TASKS

_HEAD = (
    "task",
    "algorithm, steps",
    "mean return, 20 starts",
    "actions",
    "mean return, 100 further starts",
    "5 %, 25 %, 50 %, 75 %, 95 %",
    "fallen",
)


def expert_table(tasks: Sequence[str] = TASKS) -> str:
    """Markdown: per task two rows, for the mean action and for drawn ones, with 95 % intervals.

    Raises:
        FileNotFoundError: if no expert ships for a task.
    """
    rows = [_HEAD, ("---",) * len(_HEAD)]
    for task in tasks:
        _, card = load_expert(task)
        about = (task, f"{card['algorithm'].split()[0]}, {card['checkpoint']['step']:,}", _mean(card))
        for kind, name in (("deterministic", "mean"), ("stochastic", "drawn")):
            one = card["distribution"][kind]
            quantiles = ", ".join(f"{value:,.0f}" for value in one["return_quantiles"].values())
            share = f"{one['fallen']} of {one['episodes']}"
            rows.append((*about, name, _mean(one), quantiles, share))
            about = ("", "", "")
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _mean(summary: dict[str, Any]) -> str:
    low, high = summary["return_interval_95"]
    return f"{summary['return_mean']:,.0f} [{low:,.0f}, {high:,.0f}]"
