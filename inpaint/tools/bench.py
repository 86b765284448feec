"""`python -m inpaint bench`: how fast this is here, next to others, in one run.

Each section is a function that returns rows; what is compared runs in turns, and a row holds
medians and their ratio. What needs a process of its own runs `inpaint.tools.bench_case`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import inpaint
from inpaint.tools import bench_edits, bench_network, bench_page
from inpaint.tools.bench_rows import Row

SECTIONS: dict[str, Callable[[bool], list[Row]]] = {
    "evaluation": bench_network.evaluation,
    "overhead": bench_edits.overhead,
    "picture": bench_edits.picture,
    "hole": bench_edits.hole,
    "candidates": bench_edits.candidates,
    "cold": bench_edits.cold,
    "page": bench_page.page,
    "repaint": bench_network.repaint,
    "gpu": bench_network.gpu,
}
"""By name, in the order in which they run. Each takes whether to be brief."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure; the fields are the command's options.

    Attributes
    ----------
    section : tuple of str
        Names of `SECTIONS`; none for all.
    brief : bool
        Small pictures and few turns: whether it runs, not how fast.
    json, plot : Path or None
        Files to write the rows to, and a drawing of how time and memory grow.
    """

    section: tuple[str, ...] = ()
    brief: bool = False
    json: Path | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        """Check what would otherwise fail after minutes."""
        for name in self.section:
            if name not in SECTIONS:
                raise ValueError(f"sections are some of {', '.join(SECTIONS)}, got {name!r}")
        for path in (self.json, self.plot):
            if path is not None and not path.absolute().parent.is_dir():
                raise ValueError(f"The folder {path.absolute().parent} does not exist.")


def bench(wanted: Bench, progress: Progress = lambda done, total, text: None) -> str:
    """Measure, write what was asked for, and return the tables."""
    names = wanted.section or tuple(SECTIONS)
    found: dict[str, list[Row]] = {}
    for done, name in enumerate(names):
        progress(done, len(names), name)
        found[name] = SECTIONS[name](wanted.brief)
    if wanted.json is not None:
        rows = {name: [asdict(row) for row in some] for name, some in found.items()}
        wanted.json.write_text(json.dumps({"machine": machine(), "sections": rows}, indent=2))
    if wanted.plot is not None:
        from inpaint.tools.bench_plot import draw

        draw(found).save(wanted.plot)
    return "\n\n".join([machine(), *(table(name, rows) for name, rows in found.items())])


def machine() -> str:
    """Describe this machine in a line."""
    return (
        f"inpaint {inpaint.__version__}, torch {torch.__version__}, "
        f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads"
    )


def table(name: str, rows: Sequence[Row]) -> str:
    """Draw a section as a table."""
    lines = [f"| {name} | measured | bar |", "| --- | --- | --- |"]
    lines += [f"| {row.what} | {row.measured()} | {row.verdict()} |" for row in rows]
    return "\n".join(lines)
