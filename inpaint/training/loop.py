"""The training loop: crops -> noise -> loss -> AdamW -> EMA, stopped and resumed at will."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import tqdm
from diffusers.training_utils import EMAModel

from inpaint.training.card import Progress, model_card
from inpaint.training.checkpoint import (
    STATE,
    in_one_step,
    load_state,
    save_model,
    save_state,
    weight_hashes,
)
from inpaint.training.data import Crops, Photographs, batches, load_photographs
from inpaint.training.loss import inpaint_loss, narrow_loss, random_timesteps, training_scheduler
from inpaint.training.samples import fixed_loss, save_sheet, to_unit
from inpaint.training.session import Machine, device_name, learning_rate, stop_signals
from inpaint.training.settings import TrainSettings
from inpaint.unet import PRESETS, InpaintUNet

log = logging.getLogger(__name__)

BETAS, WEIGHT_DECAY, CLIP = (0.9, 0.95), 0.01, 1.0
LOSS = "L2 of v; levels: min-SNR 5 with a floor; hole 1, known pixels 0.1"
NARROW_LOSS = "logarithm of each crop's mean square error in the hole, told by no noise"
LOOK_EVERY = 10  # steps between readings of the loss, each of which waits for the device


Watch = Callable[[float, str], bool]
"""(share of the run that is done, what to tell) -> whether to stop; called after every step."""


def no_watch(done: float, text: str) -> bool:
    """Look on without a word."""
    return False


def train(settings: TrainSettings, progress: Watch = no_watch) -> Progress:
    """Train a network and leave it in `settings.out`.

    Stops when its time is over, when `progress` says so, or on SIGINT or SIGTERM; in any case, and
    at every checkpoint, the folder holds the averaged weights as a pipeline that
    `InpaintPipeline.from_pretrained` loads.

    Raises
    ------
    ValueError
        If there are no photographs, nothing to start from or resume, or a run or a file that would
        be overwritten.
    """
    if not settings.resume and (settings.out / STATE).exists():
        raise ValueError(
            f"The folder {settings.out} already holds a training run: resume it, or choose another."
        )
    if settings.out.exists() and not settings.out.is_dir():
        raise ValueError(f"'{settings.out}' is a file; name a folder for the model.")
    if settings.init_from is not None and not settings.init_from.is_dir():
        raise ValueError(f"There is no folder '{settings.init_from}' to start from.")
    photographs, held_out = load_photographs(settings.data, settings.crop).split()
    with stop_signals() as stopped:
        run = Run(settings, photographs, held_out)
        run.accelerator.wait_for_everyone()  # all have looked at `out` before it is written to
        if not settings.resume:
            run.save()
        run.loop(stopped, progress)
        run.save()
    return run.progress()


class Run:
    """One session of a run: everything that changes while it trains."""

    def __init__(
        self, settings: TrainSettings, photographs: Photographs, held_out: Photographs
    ) -> None:
        self.settings, self.photographs = settings, photographs
        self.accelerator = Accelerator(mixed_precision="no")  # autocast is ours, around the loss
        self.device: torch.device = self.accelerator.device
        self.how = Machine.of(settings, self.device)
        self.has_held_out = len(held_out) > 0
        self.step, self.seconds, self.loss = 0, 0.0, math.nan
        self.held_out: float | None = None
        init = settings.init_from
        self.origin = "random weights" if init is None else f"the weights of `{init.name}`"

        torch.manual_seed(settings.seed)
        state = load_state(settings.out) if settings.resume else None
        self.unet = self._network(state)
        self.narrow: bool = self.unet.config.narrow
        crops = partial(Crops, size=settings.crop, whole=settings.whole, narrow=self.narrow)
        self.crops = crops(photographs, seed=settings.seed)
        # Unseen pictures where there are any, under another seed in any case.
        watched = held_out if len(held_out) else photographs
        self.watched = crops(watched, seed=settings.seed + 1)
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(), betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
        )
        total = self.how.batch * self.accelerator.num_processes
        # The average's window also grows with the run, (1 + n)/(10 + n), so short runs are usable.
        self.ema = EMAModel(
            self.unet.parameters(), decay=0.5 ** (total / settings.ema_images), foreach=True
        )
        if state is not None:
            self._restore(state)
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
        if settings.compile:
            self.unet.compile()
        self.model, self.prepared = self.accelerator.prepare(self.unet, self.optimizer)

    def _network(self, state: dict[str, Any] | None) -> InpaintUNet:
        unet: InpaintUNet
        if state is not None:
            unet = InpaintUNet.from_config(state["config"])
        elif self.settings.init_from is not None:
            folder = self.settings.init_from
            unet = InpaintUNet.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32)
            # A model that is given away must not tell where its start lay on this machine.
            unet.register_to_config(_name_or_path="")
        else:
            unet = InpaintUNet(**PRESETS[self.settings.preset])
        unet.to(self.device, memory_format=torch.channels_last).train()
        return unet

    def _choices(self) -> dict[str, int | str]:
        """Return what a run cannot change when it is resumed."""
        s = self.settings
        return {"preset": s.preset, "size": s.crop, "batch_size": self.how.batch, "seed": s.seed}

    def _restore(self, state: dict[str, Any]) -> None:
        for name, now in self._choices().items():
            if (before := state["choices"][name]) != now:
                raise ValueError(f"The run to resume has {name} {before}, not {now}.")
        self.unet.load_state_dict(state["unet"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.ema.to(self.device)
        self.step, self.seconds, self.loss = state["step"], state["seconds"], state["loss"]
        self.origin = state["origin"]

    def done(self) -> float:
        """Return the fraction of the run that is behind, in [0, 1]."""
        limit = self.settings.max_steps
        part = self.step / limit if limit else self.seconds / (60 * self.settings.minutes)
        return min(part, 1.0)

    def loop(self, stopped: threading.Event, progress: Watch) -> None:
        """Train until the run is done or `stopped` is set."""
        accelerator, how = self.accelerator, self.how
        ranks, rank = accelerator.num_processes, accelerator.process_index
        alphas_cumprod = training_scheduler().alphas_cumprod.to(self.device)
        gpu = self.device.type == "cuda"
        stream = batches(self.crops, how.batch, self.step, rank, ranks, how.workers, pin=gpu)
        base, began = self.seconds, time.monotonic()
        saved, first = began, self.step
        bar = tqdm(
            total=100,
            initial=round(100 * self.done(), 1),
            bar_format="{percentage:5.1f}% |{bar:20}| {elapsed}<{remaining}{postfix}",
            mininterval=1 if sys.stderr.isatty() else 60,
        )
        recent: list[torch.Tensor] = []
        text = ""
        while True:
            seconds = base + time.monotonic() - began
            self.seconds, stop = self._agree(seconds, stopped.is_set())
            if stop or self.done() >= 1:
                break
            crops, masks = next(stream)
            recent.append(self._update(crops, masks, alphas_cumprod))
            self.step += 1
            if self.step % LOOK_EVERY == 0:
                seen = torch.stack(recent).mean().item()
                self.loss = seen if math.isnan(self.loss) else 0.8 * self.loss + 0.2 * seen
                recent.clear()
                rate = (self.step - first) * how.batch * ranks / (time.monotonic() - began)
                text = f"step {self.step}, loss {self.loss:.4f}, {rate:.0f} images/s"
                bar.set_postfix_str(text, refresh=False)
                bar.update(round(100 * self.done(), 1) - bar.n)
            if progress(self.done(), text):
                stopped.set()
            if time.monotonic() - saved > 60 * self.settings.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
        bar.close()
        stream.close()  # type: ignore[attr-defined]

    def _agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """Return the mean clock of all processes, for one rate, and whether any wants to stop."""
        if self.accelerator.num_processes == 1:
            return seconds, stop
        mine = torch.tensor([seconds, float(stop)], device=self.device)
        clock, stops = self.accelerator.reduce(mine, "mean").tolist()
        return clock, stops > 0

    def _update(
        self, crops: torch.Tensor, masks: torch.Tensor, alphas_cumprod: torch.Tensor
    ) -> torch.Tensor:
        """Take one optimizer step; return the loss, still on the device."""
        # Noise depends on (seed, step, process) alone, so a resumed run needs no generator's state.
        key = [self.settings.seed, self.step, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))
        x0 = to_unit(crops.to(self.device, non_blocking=True))
        mask = masks.to(self.device, non_blocking=True).float()
        eps = torch.randn(x0.shape, device=self.device)
        t = random_timesteps(len(x0), self.settings.noisiest).to(self.device, non_blocking=True)

        def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.how.bf16):
                out: torch.Tensor = self.model(
                    x.to(memory_format=torch.channels_last), t, return_dict=False
                )[0]
            return out

        for group in self.prepared.param_groups:
            group["lr"] = learning_rate(self.settings, self.done())
        if self.narrow:
            loss = narrow_loss(predict, x0, mask)
        else:
            loss = inpaint_loss(predict, x0, mask, eps, t, alphas_cumprod)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.unet.parameters(), CLIP)
        self.prepared.step()
        self.prepared.zero_grad()
        self.ema.step(self.unet.parameters())
        return loss.detach()

    def progress(self) -> Progress:
        """Return how far the run has come."""
        return Progress(
            step=self.step,
            images=self.step * self.how.batch * self.accelerator.num_processes,
            seconds=self.seconds,
            device=device_name(self.device),
            parameters=sum(p.numel() for p in self.unet.parameters()),
            loss=self.loss,
            held_out=self.held_out,
            origin=self.origin,
            loss_text=NARROW_LOSS if self.narrow else LOSS,
        )

    def save(self) -> None:
        """Write model, card, sheet and state, from the main process."""
        if not self.accelerator.is_main_process:
            return
        out: Path = self.settings.out
        averaged = InpaintUNet.from_config(self.unet.config).to(self.device).eval()
        self.ema.copy_to(averaged.parameters())
        averaged.to(memory_format=torch.channels_last)
        save_model(averaged, out)
        if self.has_held_out:
            noisiest = self.settings.noisiest
            self.held_out = fixed_loss(averaged, self.watched, noisiest)
        if self.step:
            noisiest = self.settings.noisiest
            save_sheet(averaged, self.watched, out / "samples" / f"{self.step:07d}.png", noisiest)
        card = model_card(
            self.settings,
            self.progress(),
            self.photographs.paths,
            self.how.batch,
            weight_hashes(out),
        )
        with in_one_step(out / "README.md") as partial:
            partial.write_text(card, encoding="utf-8")
        state = {
            "choices": self._choices(),
            "config": {k: v for k, v in self.unet.config.items() if not k.startswith("_")},
            "unet": self.unet.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "loss": self.loss,
            "origin": self.origin,
        }
        save_state(state, out)
        log.info("step %d: loss %.4f, held out %s", self.step, self.loss, self.held_out)
