"""What this machine is, and where what was measured on it is remembered."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import torch


def cache_folder() -> Path:
    """Return where it is remembered: $XDG_CACHE_HOME/inpaint, or ~/.cache/inpaint."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "inpaint"


def processor() -> str:
    """Name the processor, its cores and torch in a few letters."""
    parts = [torch.__version__, torch.backends.cpu.get_cpu_capability(), str(os.cpu_count())]
    try:
        first = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
        names = ("model", "cpu family", "flags", "Features", "CPU implementer", "CPU part")
        parts += [line for line in first.splitlines() if line.startswith(names)]
    except OSError:  # not Linux
        parts += [platform.machine(), platform.processor()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
