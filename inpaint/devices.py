"""Which device does the arithmetic, how much of it at a time, and what happens when memory ends."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from inpaint.settings import DEVICES, short

T = TypeVar("T")
COMPILE = "INPAINT_COMPILE"
"""Variable; set to anything but 0, networks are compiled."""
CPU_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""What networks compute in on a CPU, one or the other."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where and how a model runs.

    Attributes
    ----------
    name : str
        A torch device: cuda, xpu, mps or cpu.
    dtype : torch.dtype or None
        What the network computes in; None where it is measured when one is needed, as
        `inpaint.backends` does. Samplers and patches stay float32.
    batch : int
        Candidates denoised at once. 1 on a CPU, where a batch of four takes about four times as
        long and would make a result depend on how many were asked for.
    why : str
        One sentence for `doctor` and the page.
    tile : float
        Side of a model's tiles as a fraction of its own choice; less when memory was short.
    turns : str
        What of a pretrained pipeline takes turns in the device's memory, at least: nothing (""),
        its "parts" or their "layers".
    compiled : bool
        Whether networks are compiled by torch.compile, which takes a minute for each new size.
    """

    name: str
    dtype: torch.dtype | None
    batch: int
    why: str
    tile: float = 1.0
    turns: str = ""
    compiled: bool = False


def available(name: str) -> bool:
    """Say whether torch can use the device here."""
    if name == "cuda":
        return torch.cuda.is_available()
    if name == "xpu":
        return hasattr(torch, "xpu") and torch.xpu.is_available()
    if name == "mps":
        return torch.backends.mps.is_available()
    return name == "cpu"


def pick(name: str | Device = "auto") -> Device:
    """Choose a device; `auto` takes the first of cuda, xpu, mps and cpu that is here.

    One that is chosen already is returned as it is. Where `COMPILE` is set, networks are compiled.

    Raises
    ------
    ValueError
        If the name is unknown or the device is not here.
    """
    if isinstance(name, Device):
        return name
    if name not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {short(name)}")
    if name == "auto":
        name = next(device for device in DEVICES[1:] if available(device))
        reason = "the fastest found here"
    elif available(name):
        reason = "asked for"
    else:
        raise ValueError(f"device {name} is not available here; use auto or cpu")
    return replace(_described(name, reason), compiled=os.environ.get(COMPILE, "0") != "0")


def _described(name: str, reason: str) -> Device:
    """Return a device that is here with what suits it."""
    if name == "cuda":
        # Before Ampere bfloat16 is emulated, and slow.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        dtype = torch.bfloat16 if native else torch.float16
        label = torch.cuda.get_device_name()
        return Device("cuda", dtype, 8, f"{label}, {reason}; 16-bit networks")
    if name in ("xpu", "mps"):
        return Device(name, torch.float32, 4, f"{name}, {reason}; 32-bit networks")
    threads = torch.get_num_threads()
    return Device("cpu", None, 1, f"CPU, {reason}; {threads} threads")


def computing_in(dtype: Any, device: Device) -> Device:
    """Return the device with its networks computing in what a recipe names, where it can."""
    can = device.name == "cpu" and isinstance(dtype, str) and dtype in CPU_DTYPES
    return replace(device, dtype=CPU_DTYPES[dtype]) if can else device


TURNS = ("", "parts", "layers")
"""Ever more of a pipeline takes turns in memory."""
THRIFT: tuple[tuple[dict[str, Any], str], ...] = (
    ({"batch": 1}, "one candidate at a time"),
    ({"turns": "parts"}, "with the model's parts in memory by turns"),
    ({"turns": "layers"}, "with the model's layers in memory by turns"),
    ({"tile": 0.5}, "with smaller tiles"),
)


def rungs(device: Device) -> Iterator[tuple[Device, str]]:
    """Yield the device as it is, then ever more frugal ways to do the same, with what changed."""
    yield device, ""
    for values, change in THRIFT:
        if device.name != "cuda" and "turns" in values:
            continue
        less = replace(device, **values)
        if less != device and TURNS.index(less.turns) >= TURNS.index(device.turns):
            yield less, change
            device = less
    if device.name != "cpu":
        yield pick("cpu"), "on the CPU"


def with_fallback(device: Device, work: Callable[[Device], T]) -> tuple[T, str]:
    """Do the work, stepping down the rungs while memory runs out.

    Returns
    -------
    result, note
        The note is empty if the first try succeeded, else one sentence that says what was done.

    Raises
    ------
    MemoryError
        If the last rung fails too.
    """
    for rung, change in rungs(device):
        try:
            return work(rung), f"Memory ran out, so this was made {change}." if change else ""
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        free_unused()
    raise MemoryError("There is not enough memory for this fill; paint a smaller area.")


def free_unused() -> None:
    """Give memory back that nothing refers to any more."""
    gc.collect()  # errors, and the hooks that take turns, refer in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif available("xpu"):
        torch.xpu.empty_cache()
    elif available("mps"):
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell memory's end from other errors: on a CPU torch raises a bare RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error)
    return "not enough memory" in text or "can't allocate memory" in text
