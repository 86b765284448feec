"""What `bench` measures with: turns, rows, and processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One number.

    Attributes
    ----------
    what : str
        What was measured.
    value : float
        In `unit`: "s", "ms", "MB", "×", "%" or "".
    least, most : float or None
        The bar, where there is one.
    """

    what: str
    value: float
    unit: str = "s"
    least: float | None = None
    most: float | None = None

    def measured(self) -> str:
        """Return the number with its unit."""
        digits = 0 if abs(self.value) >= 100 else 2
        return f"{self.value:.{digits}f} {self.unit}".rstrip()

    def verdict(self) -> str:
        """Return the bar and whether it is met."""
        if self.least is None and self.most is None:
            return ""
        met = (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )
        bar = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return f"{bar}: {'met' if met else 'not met'}"


def in_turns(works: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Return the median seconds of each work, done in turns after one round of warming up."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(some) for name, some in seconds.items()}


def apart(case: str, **values: Any) -> dict[str, float]:
    """Run a function of `inpaint.tools.bench_case` in a process of its own; returns its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "inpaint.tools.bench_case", case, json.dumps(values)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"The case {case} failed: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer
