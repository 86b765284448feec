"""What a network computes in on this processor: measured when one is first needed, and remembered.

bfloat16 halves what is moved, and on processors with instructions for it (AMX, AVX512-BF16, ARM's
BF16) the arithmetic too; on others it is emulated, and slow, and some have kernels that are wrong.
So a small network is run in both, and the answers are compared.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import diffusers
import torch
from torch import Tensor, nn

from inpaint import machine
from inpaint.denoiser import unet_denoiser
from inpaint.devices import CPU_DTYPES, Device
from inpaint.unet import PRESETS, InpaintUNet

FASTER = 1.25
"""How many times as fast as float32 bfloat16 has to be."""
ERROR = 0.01
"""Most that x₀ in bfloat16 may differ from x₀ in float32: ‖difference‖/‖x₀‖ in the hole."""
EXACT = 1e-3
"""Most that x₀ in float32 may differ from x₀ in float64."""
LITTLE, SIDE = 32, 128
"""Sides of the two pictures, in pixels."""
HOPELESS = 1.5
"""How many times as slow as float32 bfloat16 is on the little picture where that is enough."""
SECONDS = 0.4
"""How long the other picture is worked on, about."""
LEVEL, HEAD = 0.9, 0.03
"""ᾱ of the evaluations, and the deviation of the last layer's weights: so chosen that bfloat16 is
as far off as it is with the shipped networks on a photograph, by 0.3 to 0.6 %."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What networks compute in, and why.

    Attributes
    ----------
    dtype : str
        float32 or bfloat16.
    float32, bfloat16 : float
        Milliseconds of an evaluation; 0 where nothing was measured.
    error : float
        Of x₀ in bfloat16, relative to float32.
    inexact : float
        Of x₀ in float32, relative to float64.
    """

    dtype: str
    float32: float
    bfloat16: float
    error: float
    inexact: float

    def __post_init__(self) -> None:
        """Check what comes from a file."""
        numbers = (self.float32, self.bfloat16, self.error, self.inexact)
        if self.dtype not in CPU_DTYPES or not all(type(number) is float for number in numbers):
            raise ValueError("not a choice")

    def __str__(self) -> str:
        """Return it as sentences."""
        if not self.float32:
            return (
                f"{self.dtype}; {machine.cache_folder()} is not writable, so nothing was measured."
            )
        text = (
            f"{self.dtype}; {self.float32:.0f} ms an evaluation in float32, {self.bfloat16:.0f} in "
            f"bfloat16, which differs by {100 * self.error:.2g} %."
        )
        if self.inexact > EXACT:
            text += (
                f" Float32 is itself off by {100 * self.inexact:.2g} %: torch computes wrongly on "
                "this processor, and so will every network."
            )
        return text


UNMEASURED = Choice("float32", 0.0, 0.0, 0.0, 0.0)


def dtype_on(device: Device) -> torch.dtype:
    """Return what networks compute in on a device; on a processor what `choice` says."""
    return device.dtype or CPU_DTYPES[choice().dtype]


@cache
def choice() -> Choice:
    """Return what was measured, by this process or by the first one on this machine that did.

    All processes have to agree, or the same seed would give other bytes in the next one. So what
    cannot be remembered is not measured, but float32.
    """
    found = machine.remembered(
        f"cpu-{machine.processor()}", Choice, lambda folder: machine.note(folder, measured())
    )
    return found or UNMEASURED


def measured() -> Choice:
    """Run a small network in float32 and bfloat16, in turns, for about a second.

    First on a little picture: there float64 tells how exact float32 is, and bfloat16 that is
    emulated takes a second and not a minute.
    """
    single, others = network(), (torch.float64, torch.bfloat16)
    # Not as diffusers would have it, which complains of a network that is cast.
    double, half = (nn.Module.to(copy.deepcopy(single), dtype) for dtype in others)
    works = [_asking(single, LITTLE), _asking(half, LITTLE)]
    inexact = machine.apart(works[0](), _asking(double, LITTLE)())
    slow, fast = machine.seconds(works, 0)
    if fast < HOPELESS * slow:
        works = [_asking(single, SIDE), _asking(half, SIDE)]
        slow, fast = machine.seconds(works, SECONDS)
    error = machine.apart(works[1](), works[0]())
    wins = slow >= FASTER * fast and error <= ERROR and inexact <= EXACT
    return Choice("bfloat16" if wins else "float32", 1e3 * slow, 1e3 * fast, error, inexact)


def network() -> InpaintUNet:
    """Make a network with random weights, the same in every process.

    A new one has layers of zeros, which would hide what the others compute; here none has.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: InpaintUNet = InpaintUNet(**PRESETS["restore"])
        for layer in made.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
        nn.init.normal_(made.head.weight, std=HEAD)
    made.eval().to(memory_format=torch.channels_last)
    return made


def _asking(network: InpaintUNet, side: int) -> Callable[[], Tensor]:
    """Make a function that returns the network's x₀ in the hole of a square picture."""
    known, mask, noise = machine.sample(side)
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"
    )
    x = math.sqrt(LEVEL) * known + math.sqrt(1 - LEVEL) * noise
    # A denoiser that was asked before would not run all layers again.
    return lambda: unet_denoiser(network, scheduler, known, mask)(x, LEVEL) * mask
