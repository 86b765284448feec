"""What a user can set: one table of options, validated once, from which every face is drawn."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class SamplerDefaults:
    """What a sampler is called on the page, and the settings that suit it."""

    title: str
    steps: int
    resample: int
    jump: int
    eta: float


DEVICES = ("auto", "cuda", "xpu", "mps", "cpu")
"""What may compute; `inpaint.devices` finds out what can."""
SAMPLERS: dict[str, SamplerDefaults] = {
    "ddim": SamplerDefaults("DDIM: few steps, lively texture", 12, 1, 1, 1.0),
    "dpmpp": SamplerDefaults("DPM-Solver++: the fewest steps", 12, 1, 1, 0.0),
    "ddnm": SamplerDefaults("DDNM: quick with a model that never saw a hole", 24, 1, 1, 0.85),
    "repaint": SamplerDefaults("RePaint: walks back and forth; slow", 24, 3, 4, 1.0),
    "lanpaint": SamplerDefaults("LanPaint: the closest fit; slow", 12, 3, 1, 0.0),
}
"""The samplers of `inpaint.samplers.SAMPLERS`, described without torch."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a setting may be, and what it is called.

    Attributes
    ----------
    kind : type
        int, float or str.
    title, tip : str
        For people: two words and a sentence.
    low, high : float
        The range of a number, or the longest text.
    above : bool
        Whether `low` itself is outside the range.
    usual : float or None
        The largest value that a slider offers; None for `high`.
    pattern : str
        What a text must match.
    """

    kind: type
    title: str
    tip: str
    low: float = 0
    high: float = 1000
    above: bool = False
    usual: float | None = None
    pattern: str = r"(?s).*"


def _whole(low: int, high: int, title: str, tip: str, usual: int | None = None) -> dict[str, Any]:
    return {"option": Option(int, title, tip, low, high, usual=usual)}


def _real(
    low: float, high: float, title: str, tip: str, usual: float | None = None, above: bool = False
) -> dict[str, Any]:
    return {"option": Option(float, title, tip, low, high, above, usual)}


def _text(title: str, tip: str, pattern: str = r"(?s).*", longest: int = 2000) -> dict[str, Any]:
    return {"option": Option(str, title, tip, high=longest, pattern=pattern)}


_NAME = r"(?s).{1,1000}"
_ASPECT = r"|0*[1-9]\d{0,3}(\.\d{1,3})?:0*[1-9]\d{0,3}(\.\d{1,3})?"
_PLACE = r"|-?\d{1,5},-?\d{1,5}(,[1-9]\d{0,3},[1-9]\d{0,3})?"
LARGEST_SIDE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an edit is made. Every field is checked on construction.

    A field of None takes the default of the sampler, or of the model, or is measured on the
    picture, as its comment says.

    Raises
    ------
    ValueError
        Naming the field, its range and the value given.
    """

    task: str = field(
        default="fill", metadata=_text("Task", "What is to be done.", _NAME)
    )  # of `inpaint.tasks.TASKS`
    model: str = field(
        default="blend",
        metadata=_text("Model", "A model of the list, or a folder that holds one.", _NAME),
    )
    sampler: str = field(
        default="ddim",
        metadata=_text("Sampler", "How noise is turned into a picture, step by step.", _NAME),
    )
    steps: int = field(  # type: ignore[assignment]
        default=None,  # the sampler's; finer levels take half as many
        metadata=_whole(1, 250, "Steps", "More steps take longer and settle more detail.", 50),
    )
    strength: float = field(
        default=1.0,
        metadata=_real(
            0,
            1,
            "Noise strength",
            "1 invents the area anew; less keeps more of what is there.",
            above=True,
        ),
    )
    resample: int = field(  # type: ignore[assignment]
        default=None,  # the sampler's: RePaint's r, LanPaint's moves
        metadata=_whole(
            1,
            20,
            "Resample count",
            "Goes back and forth this often to fit the fill to its surroundings.",
            10,
        ),
    )
    jump: int = field(  # type: ignore[assignment]
        default=None,  # the sampler's
        metadata=_whole(1, 50, "Jump length", "Steps it goes back each time."),
    )
    eta: float = field(  # type: ignore[assignment]
        default=None,  # the sampler's
        metadata=_real(
            0, 1, "Fresh noise (eta)", "Noise added at every step; more gives livelier texture."
        ),
    )
    seed: int = field(
        default=0,  # candidate k draws from seed + k
        metadata=_whole(0, 2**32 - 1, "Seed", "The same seed gives the same result."),
    )
    candidates: int = field(
        default=1, metadata=_whole(1, 8, "Candidates", "Different results to choose from.")
    )
    grow: int = field(
        default=3,
        metadata=_whole(
            0,
            256,
            "Grow mask",
            "Pixels by which the painted area is widened, to take in soft edges.",
            64,
        ),
    )
    feather: int = field(
        default=2,
        metadata=_whole(
            0,
            256,
            "Feather",
            "Pixels over which the fill blends in, inside the widened area.",
            64,
        ),
    )
    prompt: str = field(
        default="",
        metadata=_text("Prompt", "What should be there, in words; for pretrained models."),
    )
    negative: str = field(
        default="", metadata=_text("Negative prompt", "What should not be there, in words.")
    )
    guidance: float | None = field(
        default=None,  # the model's
        metadata=_real(0, 50, "Guidance", "How closely the prompt is followed.", 20),
    )
    scheduler: str = field(
        default="",  # the model's
        metadata=_text("Scheduler", "The pretrained model's own sampler; empty for its usual one."),
    )
    sensitivity: float = field(
        default=0.5,
        metadata=_real(0, 1, "Sensitivity", "How faint a scratch may be to be found."),
    )
    left: int = field(
        default=0, metadata=_whole(0, LARGEST_SIDE, "Left", "Pixels to add at the left.", 1024)
    )
    right: int = field(
        default=0, metadata=_whole(0, LARGEST_SIDE, "Right", "Pixels to add at the right.", 1024)
    )
    top: int = field(
        default=0, metadata=_whole(0, LARGEST_SIDE, "Top", "Pixels to add at the top.", 1024)
    )
    bottom: int = field(
        default=0, metadata=_whole(0, LARGEST_SIDE, "Bottom", "Pixels to add at the bottom.", 1024)
    )
    aspect: str = field(
        default="",
        metadata=_text("Aspect ratio", "Width to height to reach, such as 16:9.", _ASPECT, 20),
    )
    at: str = field(
        default="",
        metadata=_text(
            "Place",
            "Where a pasted object goes: x,y or x,y,width,height in pixels; empty for the middle.",
            _PLACE,
            50,
        ),
    )
    scale: int = field(
        default=2, metadata=_whole(2, 4, "Enlargement", "How many times larger: 2 or 4.")
    )
    noise: float | None = field(
        default=None,  # estimated from the picture
        metadata=_real(
            0, 100, "Noise level", "Standard deviation of the noise, of 255; empty to estimate it."
        ),
    )
    blur: float = field(
        default=2.0,
        metadata=_real(
            0.3, 10, "Blur radius", "Standard deviation of the blur to undo, in pixels."
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.sampler, str) or self.sampler not in SAMPLERS:
            names = ", ".join(SAMPLERS)
            raise ValueError(f"sampler must be one of {names}, got {short(self.sampler)}")
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.name in SamplerDefaults.__slots__:
                value = getattr(SAMPLERS[self.sampler], item.name)
            if value is not None or item.default is not None:
                value = _checked(item.name, value, OPTIONS[item.name])
            object.__setattr__(self, item.name, value)
        if self.scale not in (2, 4):
            raise ValueError(f"scale must be 2 or 4, got {self.scale}")

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Make settings from keywords; an unknown keyword is a ValueError that lists the known."""
        for name in values:
            if name not in OPTIONS:
                raise ValueError(
                    f"there is no setting {short(name)}; there are {', '.join(OPTIONS)}"
                )
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, fit for JSON."""
        return asdict(self)


def sides(size: tuple[int, int], settings: Settings) -> tuple[int, int, int, int]:
    """How many pixels to add at the left, top, right and bottom of a picture of `size`.

    An aspect ratio adds to what the sides ask for, evenly on both sides, as much as it takes.
    """
    width = size[0] + settings.left + settings.right
    height = size[1] + settings.top + settings.bottom
    more_x = more_y = 0
    if settings.aspect:
        across, down = map(float, settings.aspect.split(":"))
        more_x = max(round(height * across / down) - width, 0)
        more_y = max(round(width * down / across) - height, 0)
    return (
        settings.left + more_x // 2,
        settings.top + more_y // 2,
        settings.right + more_x - more_x // 2,
        settings.bottom + more_y - more_y // 2,
    )


OPTIONS: dict[str, Option] = {item.name: item.metadata["option"] for item in fields(Settings)}
"""What each field of `Settings` may be, in their order."""


def _checked(name: str, value: Any, option: Option) -> Any:
    """Return the value as its own type, or raise a ValueError."""
    if option.kind is str:
        if not isinstance(value, str) or not len(value) <= option.high:
            raise ValueError(
                f"{name} must be a text of at most {option.high:g} letters, got {short(value)}"
            )
        if not re.fullmatch(option.pattern, value):
            raise ValueError(f"{name} cannot be {short(value)}. {option.tip}")
        return value
    whole = option.kind is int
    # A slider sends 12.0 for 12; True is an int to Python and a slip everywhere else.
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)
    elif whole and hasattr(value, "__index__") and not isinstance(value, bool):  # NumPy's integers
        value = value.__index__()
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    low, high = option.low, option.high
    # Of NaN and of the infinities `low <= value <= high` is false.
    if not number or not low <= value <= high or (option.above and value <= low):
        span = f"above {low:g} and at most {high:g}" if option.above else f"from {low} to {high}"
        kind = "whole number" if whole else "number"
        raise ValueError(f"{name} must be a {kind} {span}, got {short(value)}")
    return option.kind(value)


def short(value: object, most: int = 40) -> str:
    """Return what a message shows of a wrong value: one line of at most that many letters."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
