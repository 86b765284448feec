"""What a training run is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inpaint.unet import PRESETS

PRECISIONS = ("auto", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of one training run.

    Attributes
    ----------
    data
        Folder of photographs, searched with its subfolders. A MANIFEST.csv in it with columns
        file, licence and author is credited in the model card.
    out
        Model folder to write: a diffusers pipeline, its model card, `samples/` and `training/`.
    preset
        A key of `unet.PRESETS`.
    minutes
        Time for the whole run, earlier sessions of a resumed run included.
    max_steps
        Length of the run in optimizer steps, instead of minutes. Then a run depends on its
        settings alone, however often it was stopped and resumed.
    init_from
        Model folder to start from; its network replaces the preset's, size and batch stay.
    resume
        Continue the run in `out`.
    size
        Side of the crops in pixels, a multiple of 16; None: the preset's.
    batch_size
        Crops per step and process; None: 256 on a GPU, 32 on a CPU.
    learning_rate
        Its peak, reached after 2 % of the run and followed by half a cosine down to 0.
    ema_images
        Half-life of the averaged weights, in images; shorter at the start of a run.
    seed
        Decides weights, crops, masks and noise.
    precision
        bf16 autocast, fp32, or auto: bf16 where the hardware has it.
    workers
        Processes that make crops; None: what the cores allow on a GPU, 0 on a CPU.
    compile
        Whether to compile the network; pays on a GPU after some minutes.
    checkpoint_minutes
        Time between checkpoints.
    noisiest
        Highest noise trained on, as a fraction of the schedule, (0, 1]. Below 1 the network is a
        restorer: it cannot start from pure noise, and converges in a fraction of the time.
    whole
        Share of crops of which nothing is told to the network, [0, 1]; None: as often as
        `masks.random_mask` draws a full mask.
    """

    data: Path
    out: Path
    preset: str = "tiny"
    minutes: float = 60.0
    max_steps: int | None = None
    init_from: Path | None = None
    resume: bool = False
    size: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-3
    ema_images: float = 500_000
    seed: int = 0
    precision: str = "auto"
    workers: int | None = None
    compile: bool = False
    checkpoint_minutes: float = 5.0
    noisiest: float = 1.0
    whole: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        for name in ("minutes", "max_steps", "batch_size", "learning_rate", "ema_images"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.checkpoint_minutes < 0 or (self.workers or 0) < 0:
            raise ValueError("checkpoint_minutes and workers must not be negative")
        if not 0 < self.noisiest <= 1:
            raise ValueError(f"noisiest must be above 0 and at most 1, got {self.noisiest}")
        if self.whole is not None and not 0 <= self.whole <= 1:
            raise ValueError(f"whole must be from 0 to 1, got {self.whole}")
        if self.size is not None and (self.size < 16 or self.size % 16):
            raise ValueError(f"size must be a multiple of 16, got {self.size}")
        if self.resume and self.init_from is not None:
            raise ValueError("resume continues from its own checkpoint; leave out init_from")

    @property
    def crop(self) -> int:
        """Side of the crops in pixels."""
        return int(self.size or PRESETS[self.preset]["sample_size"])
