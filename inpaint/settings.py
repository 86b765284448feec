"""What a user can set, validated once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class SamplerDefaults:
    """What a sampler is called on the page, and the settings that suit it."""

    title: str
    steps: int
    resample: int
    jump: int
    eta: float


SAMPLERS: dict[str, SamplerDefaults] = {
    "ddim": SamplerDefaults("DDIM: few steps, lively texture", 12, 1, 1, 1.0),
    "dpmpp": SamplerDefaults("DPM-Solver++: the fewest steps", 12, 1, 1, 0.0),
    "ddnm": SamplerDefaults("DDNM: quick with a model that never saw a hole", 24, 1, 1, 0.85),
    "repaint": SamplerDefaults("RePaint: walks back and forth; slow", 24, 3, 4, 1.0),
    "lanpaint": SamplerDefaults("LanPaint: the closest fit; slow", 12, 3, 1, 0.0),
}
"""The samplers of `inpaint.samplers.SAMPLERS`, described without torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a fill is made. Every field is checked on construction.

    Raises
    ------
    ValueError
        Naming the field, its range and the value given.
    """

    task: str = "fill"
    """Name of a task in `inpaint.tasks.TASKS`."""
    model: str = "self"
    """Name of a model in `inpaint.catalog.MODELS`, or a folder that holds a diffusers pipeline."""
    sampler: str = "ddim"
    """One of `SAMPLERS`."""
    steps: int = None  # type: ignore[assignment]
    """Denoising steps at the coarsest level, 1 to 250; finer levels take half as many. None, here
    and below, is replaced by the sampler's own default."""
    strength: float = 1.0
    """Noise to start from, (0, 1]: 1 ignores what the hole holds, less keeps more of it."""
    resample: int = None  # type: ignore[assignment]
    """Times each stretch of steps is walked (RePaint's r), 1 to 20; evaluations a level for
    lanpaint."""
    jump: int = None  # type: ignore[assignment]
    """Length of such a stretch in steps (RePaint's jump length), 1 to 50."""
    eta: float = None  # type: ignore[assignment]
    """Fresh noise per step, 0 (none) to 1 (ancestral)."""
    seed: int = 0
    """0 to 2³²−1. Candidate k draws from seed + k."""
    candidates: int = 1
    """Independent fills, 1 to 8."""
    grow: int = 3
    """Pixels by which the mask is widened first, 0 to 256."""
    feather: int = 2
    """Width of the blend inside the widened mask, in pixels, 0 to 256."""
    prompt: str = ""
    """What should be there, for models that read; at most 1000 characters, as `negative`."""
    negative: str = ""
    """What should not be there."""
    guidance: float | None = None
    """How closely to follow the prompt, 0 to 50; None leaves it to the model."""
    scheduler: str = ""
    """One of `inpaint.latent.families.SCHEDULERS` instead of the sampler; "" for none."""

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.sampler, str) or self.sampler not in SAMPLERS:
            names = ", ".join(SAMPLERS)
            raise ValueError(f"sampler must be one of {names}, got {_short(self.sampler)}")
        for name in ("steps", "resample", "jump", "eta"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(SAMPLERS[self.sampler], name))
        _whole(self, "steps", 1, 250)
        _whole(self, "resample", 1, 20)
        _whole(self, "jump", 1, 50)
        _whole(self, "seed", 0, 2**32 - 1)
        _whole(self, "candidates", 1, 8)
        _whole(self, "grow", 0, 256)
        _whole(self, "feather", 0, 256)
        _real(self, "strength", 0, 1, above=True)
        _real(self, "eta", 0, 1)
        if self.guidance is not None:
            _real(self, "guidance", 0, 50)
        for name in ("prompt", "negative", "scheduler"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > 1000:
                raise ValueError(f"{name} must be at most 1000 characters, got {_short(value)}")
        for name in ("task", "model"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 0 < len(value) <= 1000:
                raise ValueError(f"{name} must be a name, got {_short(value)}")

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Make settings from keywords; an unknown keyword is a ValueError that lists the known."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"there is no setting {name!r}; there are {', '.join(known)}")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, fit for JSON."""
        return asdict(self)


def _whole(settings: Settings, name: str, low: int, high: int) -> None:
    value = getattr(settings, name)
    # A slider sends 12.0 for 12; True is an int to Python and a slip everywhere else.
    if isinstance(value, float) and value.is_integer():
        object.__setattr__(settings, name, value := int(value))
    elif hasattr(value, "__index__") and not isinstance(value, bool):  # NumPy's integers too
        object.__setattr__(settings, name, value := value.__index__())
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {_short(value)}")


def _real(settings: Settings, name: str, low: float, high: float, above: bool = False) -> None:
    value = getattr(settings, name)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Of NaN and of the infinities `low <= value <= high` is false.
    if not number or not low <= value <= high or (above and value <= low):
        span = f"above {low} and at most {high}" if above else f"from {low} to {high}"
        raise ValueError(f"{name} must be a number {span}, got {_short(value)}")
    object.__setattr__(settings, name, float(value))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
