"""How many threads a program may start: in a container with a quota, fewer than it sees cores.

Torch counts the cores, or those that it is pinned to, and never asks for the quota: with eight
threads on two cores' worth of time, each waits for the others while the kernel holds them back.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "OMP_NUM_THREADS"
"""Read by torch and numpy when they are first imported."""


def limit(root: Path = Path("/")) -> None:
    """Hold torch to the quota; for programs, before torch is imported.

    Who has set the variable, or has imported torch already, has decided.
    """
    allowed = quota(root)
    if allowed is not None and allowed < cores(root) and "torch" not in sys.modules:
        os.environ.setdefault(VARIABLE, str(allowed))


def cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may run on; two hardware threads of one count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    mine = os.sched_getaffinity(0)
    places = (root / f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list" for n in mine)
    try:
        return len({place.read_text() for place in places})
    except OSError:
        return len(mine)


def quota(root: Path = Path("/")) -> int | None:
    """Return how many cores' worth of time the control groups allow, rounded up; None for any."""
    shares = [share for folder in _groups(root) if (share := _share(folder)) is not None]
    return max(1, math.ceil(min(shares))) if shares else None


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups, of versions 1 and 2, and of those around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)  # version 2 names no controllers
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inner = top / path.strip("/")  # in a container often not there, but its top is
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top))


def _share(folder: Path) -> float | None:
    """Return the quota over the period in a group's folder, if it has one."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((folder / name).read_text("ascii") for name in names)
        return float(quota) / float(period) if float(quota) > 0 else None  # -1: none
    except (OSError, ValueError, ZeroDivisionError):  # no such group; "max" is no quota
        return None
