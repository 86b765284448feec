"""A network's layers as graphs of OpenVINO, where those run faster on this processor than torch.

OpenVINO compiles a graph for the processor, and on some that ends the process. So another process
turns the network into graphs, compiles them and times them beside torch, once: what came of it lies
in the cache, and where the process ended, or OpenVINO is slower or wrong, torch goes on computing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inpaint import layers, machine
from inpaint.layers import Layers, cosine_abar

VARIABLE = "INPAINT_OPENVINO"
"""Set to 0, OpenVINO is left alone."""
FASTER = 1.1
"""How many times as fast as torch OpenVINO has to be."""
ERROR = {"float32": 1e-4, "bfloat16": 0.01}
"""Most that x₀ may differ from torch's in float32, for each precision: ‖difference‖/‖x₀‖."""
SIDE, TIMESTEP = 128, 300
"""The picture that is tried, in pixels, and its place on the schedule."""
TURNS = 7
PATIENCE = 120
"""Seconds after which the other process is given up."""
KEPT = 8
"""Compiled graphs that are kept, two for each shape of picture."""
RUN, RERUN = "run.xml", "rerun.xml"


@dataclass(frozen=True, slots=True)
class Trial:
    """How OpenVINO did with a network.

    Attributes
    ----------
    precision : str
        float32 or bfloat16, what it computes in; "" where torch does better.
    torch, openvino : float
        Milliseconds of an evaluation; 0 where it could not be run.
    error : float
        Of x₀, relative to torch in float32.
    """

    precision: str = ""
    torch: float = 0.0
    openvino: float = 0.0
    error: float = 0.0

    def __post_init__(self) -> None:
        """Check what comes from a file."""
        numbers = (self.torch, self.openvino, self.error)
        if self.precision not in ("", *ERROR) or any(type(n) is not float for n in numbers):
            raise ValueError("not a trial")

    def __str__(self) -> str:
        """Return it as a sentence."""
        if not self.openvino:
            return "by torch; OpenVINO does not run here."
        who = f"by OpenVINO in {self.precision}" if self.precision else "by torch"
        return (
            f"{who}; {self.openvino:.0f} ms an evaluation by OpenVINO, {self.torch:.0f} by torch."
        )


@dataclass(slots=True)
class Graphs:
    """Runs the layers of a network, for one thread after another; see `inpaint.layers.Runner`.

    Parameters
    ----------
    folder : Path
        Where `convert` wrote them.
    precision : str
        float32 or bfloat16; what goes in and comes out is float32.

    Raises
    ------
    RuntimeError
        If a graph is not there or damaged.
    """

    folder: Path
    precision: str
    models: dict[str, Any] = field(init=False, repr=False)
    compiled: dict[tuple[str, torch.Size], Any] = field(default_factory=dict, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Read them while they are sure to be there."""
        self.models = {name: _core().read_model(self.folder / name) for name in (RUN, RERUN)}

    def run(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See `Layers.run`."""
        out, deep = self._answer(RUN, x, level)
        return out, deep

    def rerun(self, x: Tensor, level: Tensor, deep: Tensor) -> Tensor:
        """See `Layers.rerun`."""
        (out,) = self._answer(RERUN, x, level, deep)
        return out

    def _answer(self, name: str, *seen: Tensor) -> list[Tensor]:
        key, arrays = (name, seen[0].shape), [x.contiguous().numpy() for x in seen]
        with self.lock:  # a compiled graph has one place for what goes in and comes out
            compiled = self.compiled.pop(key, None)
            if compiled is None and len(self.compiled) == KEPT:
                self.compiled.pop(next(iter(self.compiled)))
            compiled = compiled or self._compile(name, [one.shape for one in seen])
            self.compiled[key] = compiled  # what was used last goes last
            return [torch.from_numpy(array) for array in compiled(arrays).values()]

    def _compile(self, name: str, shapes: list[torch.Size]) -> Any:
        graph = self.models[name].clone()
        graph.reshape({index: list(shape) for index, shape in enumerate(shapes)})
        wanted = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[self.precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "SNIPPETS_MODE": "DISABLE",  # these crash where instructions lack that it counts on
        }
        return _core().compile_model(graph, "CPU", wanted)


def attach(network: Layers, folder: Path) -> str:
    """Let OpenVINO compute a network's layers if it does so faster than torch.

    Parameters
    ----------
    network : Layers
        On the processor, in what torch would compute in; becomes float32 where OpenVINO computes.
    folder : Path
        Where its pipeline lies.

    Returns
    -------
    precision
        What it then computes in; "" where torch does.
    """
    dtype = network.head.weight.dtype
    name = _name(folder, dtype)
    found = _trial_at(name, folder, dtype)
    if name is None or not found.precision:
        return ""
    place = machine.cache_folder() / name
    try:
        network.instead = Graphs(place, found.precision)
    except RuntimeError:  # a graph is damaged: the next one who asks tries again
        shutil.rmtree(place, ignore_errors=True)
        return ""
    nn.Module.float(network)
    return found.precision


def suits(folder: Path) -> bool:
    """Say whether a folder holds a pipeline around a network of ours that `catalog` asks often."""
    config = layers.config_of(folder)
    return config.get("_class_name") == "InpaintUNet" and not config.get("narrow")


def trial(folder: Path, dtype: torch.dtype) -> Trial:
    """Return how OpenVINO does beside torch in a dtype, tried by the first process that asks."""
    return _trial_at(_name(folder, dtype), folder, dtype)


def _trial_at(name: str | None, folder: Path, dtype: torch.dtype) -> Trial:
    if name is None:
        return Trial()
    return machine.remembered(name, Trial, partial(_try_apart, folder, dtype)) or Trial()


def _try_apart(folder: Path, dtype: torch.dtype, out: Path) -> None:
    """Run `main` in a process of its own; whatever happens to it, leave a trial."""
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = str(torch.get_num_threads())
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": threads}
    name = str(dtype).removeprefix("torch.")
    command = [sys.executable, "-m", "inpaint.graph", str(folder.absolute()), name, str(out)]
    with subprocess.Popen(
        command,
        env=os.environ | own,
        stdin=subprocess.PIPE,  # which ends with this process, however that ends
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as other:
        try:
            other.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            other.kill()
    if not (out / machine.FOUND).exists():
        machine.note(out, Trial())


def main(folder: Path, dtype: torch.dtype, out: Path) -> None:
    """Convert a model's network, time it beside torch in a dtype, and write both down."""
    network = layers.load(folder)
    convert(network, out)
    sample = _sample()
    exact = _estimate(network, sample)
    nn.Module.to(network, dtype)
    works = {"torch": partial(_estimate, network, sample)}
    for precision in ERROR if _has_bfloat16() else ("float32",):
        other = layers.load(folder)
        other.instead = Graphs(out, precision)
        works[precision] = partial(_estimate, other, sample)
    apart = {name: machine.apart(work(), exact) for name, work in works.items()}
    seconds = dict(zip(works, machine.seconds([*works.values()], turns=TURNS), strict=True))
    good = [name for name in works if name in ERROR and apart[name] <= ERROR[name]]
    best = min(good, key=seconds.__getitem__, default="float32")
    wins = best in good and seconds["torch"] >= FASTER * seconds[best]
    times = 1e3 * seconds["torch"], 1e3 * seconds[best]
    found = Trial(best if wins else "", *times, apart[best])
    machine.note(out, found)


def convert(network: Layers, folder: Path) -> None:
    """Write a network's layers as graphs of OpenVINO, for pictures of any size."""
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    x = torch.zeros(1, network.stem.in_channels // 4, SIDE, SIDE)
    level = network.level(torch.tensor([float(TIMESTEP)]), torch.float32)
    with torch.no_grad():
        _, deep = network.run(x, level)
        for name, seen in {RUN: (x, level), RERUN: (x, level, deep)}.items():
            module = _Method(network, "run" if name == RUN else "rerun")
            traced = torch.jit.trace(module, seen, check_trace=False)  # type: ignore[no-untyped-call]
            decoder = TorchScriptPythonDecoder(traced, example_input=seen)
            graph = frontend.convert(frontend.load(decoder))
            openvino.save_model(graph, folder / name, compress_to_fp16=False)


class _Method(nn.Module):
    """A method of a network as a module, which can be traced."""

    def __init__(self, network: Layers, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, *seen: Tensor) -> Any:
        return getattr(self.network, self.name)(*seen)


def _sample() -> Tensor:
    """Make what a network sees of a picture of waves with a hole in its middle, (1, 7, S, S)."""
    known, mask, noise = machine.sample(SIDE)
    abar = cosine_abar(torch.tensor(TIMESTEP))
    noisy = abar.sqrt() * known + (1 - abar).sqrt() * noise
    return torch.cat([noisy, known * (1 - mask), mask], 1)


@torch.inference_mode()
def _estimate(network: Layers, sample: Tensor) -> Tensor:
    """Return x₀ = √ᾱ·x − √(1−ᾱ)·v in the hole."""
    v, _ = network.predict(sample.to(network.head.weight.dtype), TIMESTEP)
    abar = cosine_abar(torch.tensor(TIMESTEP))
    return sample[:, 6:] * (abar.sqrt() * sample[:, :3] - (1 - abar).sqrt() * v.float())


def _name(folder: Path, dtype: torch.dtype) -> str | None:
    """Name what is remembered of a network, by its weights and by what computes them.

    None where OpenVINO is not here, is to be left alone, or does not suit the network.
    """
    off = os.environ.get(VARIABLE) == "0" or find_spec("openvino") is None
    if off or not suits(folder):
        return None
    by = machine.processor(), torch.get_num_threads(), dtype, version("openvino")
    total = hashlib.sha256(repr(by).encode())
    for file in sorted((folder / "unet").glob("*")):
        if file.is_file():
            total.update(file.read_bytes())
    return f"graph-{total.hexdigest()[:16]}"


def _has_bfloat16() -> bool:
    """Say whether the processor computes in bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(Path(sys.argv[1]), getattr(torch, sys.argv[2]), Path(sys.argv[3]))
