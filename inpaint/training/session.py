"""What surrounds the loop: signals, the learning rate, and what the machine decides."""

from __future__ import annotations

import math
import os
import platform
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from inpaint.training.settings import TrainSettings

WARM_UP = 0.02  # of the run


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into an event; a second one acts as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # Python allows signal handlers in the main thread only
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: object) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, stop)
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def learning_rate(settings: TrainSettings, done: float) -> float:
    """Return the rate at a fraction of the run: linear warm-up, then half a cosine to 0."""
    return settings.learning_rate * min(1, done / WARM_UP) * (1 + math.cos(math.pi * done)) / 2


@dataclass
class Machine:
    """What the machine decides where the settings leave it open."""

    batch: int
    workers: int
    bf16: bool

    @classmethod
    def of(cls, settings: TrainSettings, device: torch.device) -> Machine:
        """Choose for a device."""
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported()
            batch, workers = 256, min((os.cpu_count() or 1) - 1, 16)
        else:
            native = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
            batch, workers = 32, 0
        return cls(
            batch=settings.batch_size or batch,
            workers=workers if settings.workers is None else settings.workers,
            bf16=settings.precision == "bf16" or (settings.precision == "auto" and native),
        )


def device_name(device: torch.device) -> str:
    """Name a device for the model card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type.upper()} ({platform.machine()}, {torch.get_num_threads()} threads)"
