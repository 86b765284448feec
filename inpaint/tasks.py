"""The tasks as people see them: one row each, from which every face draws its controls.

What a task does stands in the row of the same name in `inpaint.preparing.PREPARE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from inpaint import models
from inpaint.settings import Settings

Need = Literal["needed", "optional", "unused"]
PROJECTING = ("ddim", "dpmpp", "ddnm")
"""The samplers that can hold a picture to more than known pixels."""


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the table.

    Attributes
    ----------
    title, tip : str
        Two words at most, and a sentence.
    pretrained : str
        What a pretrained model would do better, in a sentence.
    mask : str
        Whether something must be painted.
    guide : str
        Whether it takes a second picture; `guide_tip` says what that is.
    controls : tuple of str
        The fields of `Settings` that matter to it beyond those of every task.
    defaults : mapping
        Settings that suit it where the user has not chosen.
    restores : bool
        Whether it works from what is known of the whole picture: it then needs a network, and a
        sampler of `PROJECTING`.
    proposes : bool
        Whether it can say itself what should be masked.
    """

    title: str
    tip: str
    pretrained: str
    mask: Need = "needed"
    guide: Need = "unused"
    guide_tip: str = ""
    controls: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    restores: bool = False
    proposes: bool = False


def _restoring(**defaults: Any) -> dict[str, Any]:
    whole = {"grow": 0, "feather": 0}
    return {"model": "restore", "sampler": "ddim", "eta": 0.0, **whole, **defaults}


TASKS: dict[str, Task] = {
    "fill": Task(
        "Remove",
        "Paint over what should go, its shadow too, and it is replaced by what fits around it.",
        "A pretrained model is better where a whole thing has to be invented.",
    ),
    "extend": Task(
        "Extend",
        "Choose sides or an aspect ratio, and the picture is continued beyond its edges.",
        "A pretrained model is better where more than texture has to go on.",
        mask="unused",
        controls=("left", "right", "top", "bottom", "aspect"),
    ),
    "repair": Task(
        "Repair",
        "Scratches, cracks, dust, folds and date stamps are found and filled; correct what was "
        "found by painting.",
        "A pretrained model is better where a whole thing has to be invented.",
        mask="optional",
        controls=("sensitivity",),
        proposes=True,
    ),
    "replace": Task(
        "Replace",
        "Paint roughly in colour or paste a picture, and it becomes part of this one.",
        "A pretrained model with a prompt and more noise makes more of it.",
        mask="optional",
        guide="optional",
        guide_tip="A copy of the picture with something painted on it, or an object to paste.",
        controls=("at",),
        defaults={"strength": 0.2},
    ),
    "create": Task(
        "Create",
        "Makes a new picture from this one's textures, or variations of it at a lower strength.",
        "A pretrained model with a prompt can make anything.",
        mask="optional",
    ),
    "restyle": Task(
        "Restyle",
        "The picture is made anew from a second one's colours and textures.",
        "A pretrained model with a prompt and more noise understands what it paints.",
        mask="optional",
        guide="optional",
        guide_tip="A picture that shows the style: its colours and textures are used.",
        defaults={"strength": 0.2},
    ),
    "enlarge": Task(
        "Enlarge",
        "The picture at 2 or 4 times its size; its edges become crisp, but lost detail does not "
        "return.",
        "A pretrained model of such pictures, faces say, invents more of it.",
        mask="unused",
        controls=("scale",),
        defaults=_restoring(steps=8, strength=0.5),
        restores=True,
    ),
    "colourise": Task(
        "Colourise",
        "Paint a few strokes of colour and they spread as far as the tones are alike; without "
        "strokes it stays all but grey, for this small network knows no colours.",
        "A pretrained model of such pictures, faces say, and more noise need no strokes.",
        mask="optional",
        guide="optional",
        guide_tip="Strokes of colour on a transparent ground, or a copy of the picture with "
        "colours painted on it.",
        defaults=_restoring(steps=2, strength=0.02),
        restores=True,
    ),
    "denoise": Task(
        "Denoise",
        "Removes grain and sensor noise; the noise level is measured if you leave it empty, and "
        "fine texture can be taken for noise.",
        "A pretrained model of such pictures, faces say, invents what is lost.",
        mask="optional",
        controls=("noise",),
        defaults=_restoring(steps=1),
        restores=True,
    ),
    "deblur": Task(
        "Deblur",
        "Sharpens a picture that is evenly out of focus; say how far, for a radius that is too "
        "large draws halos.",
        "A pretrained model of such pictures, faces say, invents what is lost.",
        mask="optional",
        controls=("blur", "noise"),
        defaults=_restoring(steps=6, strength=0.4),
        restores=True,
    ),
}


def settled(values: Mapping[str, Any]) -> Settings:
    """Make settings from keywords; what is left out takes the task's default, or the model's.

    Raises
    ------
    ValueError
        With one sentence.
    """
    name = values.get("task", "fill")
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"there is no task {name!r}; choose {', '.join(TASKS)}")
    chosen = {**TASKS[name].defaults, **values}
    model = chosen.get("model")
    suited = models.defaults(model) if isinstance(model, str) else {}
    settings = Settings.of(**{**suited, **chosen})
    if TASKS[name].restores and settings.model in ("self", "blend"):
        raise ValueError(
            f"{settings.model} can only fill holes; {name} needs a network, such as restore"
        )
    if TASKS[name].restores and settings.sampler not in PROJECTING:
        raise ValueError(
            f"{settings.sampler} can only fill holes; choose {', '.join(PROJECTING)} to {name}"
        )
    spec = models.listed().get(settings.model)
    if spec is not None and not spec.fills and not TASKS[name].restores:
        raise ValueError(f"{settings.model} only restores; choose another model, such as self")
    return settings
