"""Sections of `bench` about the network: one evaluation, and diffusers' RePaint."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inpaint import catalog, devices
from inpaint.editing import edit
from inpaint.schedule import evaluations
from inpaint.tools.bench_case import box, texture
from inpaint.tools.bench_rows import Row, in_turns
from inpaint.tools.repaint import DEFAULT, RePaint

LEVEL = 0.3
"""Noise level ᾱ at which one evaluation is compared."""


def evaluation(brief: bool, device: str = "cpu", compiled: bool = False) -> list[Row]:
    """Compare one evaluation of `photo` with the plain network: fp32, as diffusers would run it.

    `compiled` adds what torch.compile makes of it, on CUDA with its kernels replayed as a graph.
    """
    plain = _network(device)
    side, turns = (32, 2) if brief else (128, 15)
    known = _picture(side)
    mask = torch.from_numpy(box(side, side, side // 3)).float()[None, None]
    x = known + torch.randn(known.shape, generator=torch.Generator().manual_seed(0))
    wanted, rows = plain.denoiser(known, mask)(x, LEVEL), []
    works: dict[str, Callable[[], object]] = {
        "plain": lambda: _finished(_plainly(plain, x, known, mask), device)
    }
    ours = {
        "fp32 channels-last": _pipeline(plain, torch.float32),
        "bf16": _pipeline(plain, torch.bfloat16),
    }
    if compiled:
        ours["bf16, compiled"] = _pipeline(plain, torch.bfloat16, compiled)
    used = "bf16"
    if device == "cpu":
        loaded: Any = catalog.load("photo", devices.pick("cpu")).filler
        used = "fp32 channels-last" if loaded.model.dtype == "float32" else used
        if loaded.model.graph:
            used = f"OpenVINO in {loaded.model.graph}"
            ours[used] = loaded.model.pipeline

    def asked(pipeline: Any) -> Tensor:
        """Ask a new denoiser: one that was asked before would not run all layers again."""
        return _finished(pipeline.denoiser(known, mask)(x, LEVEL), device)

    works |= {name: partial(asked, one) for name, one in ours.items()}
    errors = {name: float((asked(one) - wanted).norm()) for name, one in ours.items()}
    seconds = in_turns(works, turns)
    rows.append(Row(f"plain fp32, {side} px", 1e3 * seconds["plain"], "ms"))
    for name, error in errors.items():
        rows.append(Row(f"{name}", 1e3 * seconds[name], "ms"))
        rows.append(Row(f"{name}: error of x₀", 100 * error / float(wanted.norm()), "%", most=1))
    amx = device == "cpu" and "AMX" in torch.backends.cpu.get_cpu_capability()
    ratio = seconds["plain"] / seconds[used]
    rows.append(Row(f"plain over {used}, which is used", ratio, "×", least=4 if amx else 1.3))
    return rows


def repaint(brief: bool) -> list[Row]:
    """Compare a fill by `photo` with diffusers' RePaint at its defaults on the same network.

    Whether both are equally good is the business of `evaluate --methods photo,repaint`.
    """
    walk = (4, 2, 2) if brief else DEFAULT
    side = 64
    pixels, mask = texture(side, side), box(side, side, 24)
    peer = RePaint(_network("cpu").unet, _network("cpu").scheduler)
    settings: dict[str, Any] = {"model": "photo", "seed": 0, "grow": 0, "feather": 0}
    fill = {"ours": lambda: edit(pixels, mask, **settings)}
    before = in_turns(fill, 3)["ours"]
    began = time.perf_counter()
    peer(pixels, mask, 0, walk)
    theirs = time.perf_counter() - began
    ours = (before + in_turns(fill, 3)["ours"]) / 2
    steps, jump, times = walk
    return [
        Row(f"diffusers' RePaint, {evaluations(steps, times, jump)} evaluations", theirs),
        Row("photo, default settings", ours),
        Row("RePaint over photo, wall time", theirs / ours, "×", least=100),
    ]


def gpu(brief: bool) -> list[Row]:
    """Compare one evaluation on a GPU; nothing where there is none."""
    return evaluation(brief, "cuda", compiled=True) if torch.cuda.is_available() else []


def _network(device: str) -> Any:
    """Load `photo` afresh, in fp32 and plain layout."""
    exact = devices.computing_in("float32", devices.pick("cpu"))
    filler: Any = catalog.load("photo", exact).filler
    pipeline = filler.model.pipeline
    unet = copy.deepcopy(pipeline.unet).float().to(memory_format=torch.contiguous_format)
    return type(pipeline)(unet.to(device), pipeline.scheduler)


def _pipeline(plain: Any, dtype: torch.dtype, compiled: bool = False) -> Any:
    """Make a pipeline of the same network as our models run it."""
    unet = torch.nn.Module.to(copy.deepcopy(plain.unet), dtype)  # diffusers' own complains
    unet.to(memory_format=torch.channels_last)
    if compiled:
        catalog.compile_network(unet)
    return type(plain)(unet, plain.scheduler)


def _plainly(pipeline: Any, x: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    """Ask the network as a pipeline of diffusers does: without gradients, and that is all."""
    with torch.no_grad():
        seen = torch.cat([x, known * (1 - mask), mask], 1).to(pipeline.unet.device)
        out: Tensor = pipeline.unet(seen, torch.tensor(500.0)).sample
    return out


def _picture(side: int) -> Tensor:
    pixels = texture(side, side).astype(np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def _finished(out: Tensor, device: str) -> Tensor:
    if device == "cuda":
        torch.cuda.synchronize()
    return out
