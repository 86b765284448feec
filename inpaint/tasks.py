"""The tasks as people see them: one row each, from which every face draws its controls.

What a task does stands in the row of the same name in `inpaint.preparing.PREPARE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from inpaint.settings import Settings

Need = Literal["needed", "optional", "unused"]


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the table.

    Attributes
    ----------
    title, tip : str
        Two words at most, and a sentence.
    mask : str
        Whether something must be painted.
    guide : str
        Whether it takes a second picture; `guide_tip` says what that is.
    controls : tuple of str
        The fields of `Settings` that matter to it beyond those of every task.
    defaults : mapping
        Settings that suit it where the user has not chosen.
    """

    title: str
    tip: str
    mask: Need = "needed"
    guide: Need = "unused"
    guide_tip: str = ""
    controls: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


TASKS: dict[str, Task] = {
    "fill": Task(
        "Remove",
        "Paint over what should go, its shadow too, and it is replaced by what fits around it.",
    ),
    "extend": Task(
        "Extend",
        "Choose sides or an aspect ratio, and the picture is continued beyond its edges.",
        mask="unused",
        controls=("left", "right", "top", "bottom", "aspect"),
    ),
    "repair": Task(
        "Repair",
        "Scratches, cracks and dust are found and filled; correct what was found by painting.",
        mask="optional",
        controls=("sensitivity",),
    ),
    "replace": Task(
        "Replace",
        "Paint roughly in colour or paste a picture, and it becomes part of this one; a hub model "
        "with a prompt makes more of it.",
        mask="optional",
        guide="optional",
        guide_tip="A copy of the picture with something painted on it, or an object to paste.",
        controls=("at",),
        defaults={"strength": 0.2},
    ),
    "create": Task(
        "Create",
        "Makes a new picture from this one's textures, or variations of it at a lower strength; a "
        "hub model with a prompt can make anything.",
        mask="optional",
    ),
    "restyle": Task(
        "Restyle",
        "The picture is painted anew in the manner of a second one; a hub model with a prompt "
        "understands what it paints.",
        mask="optional",
        guide="optional",
        guide_tip="A picture that shows the style: its colours and textures are used.",
        defaults={"strength": 0.2},
    ),
}


def settled(values: Mapping[str, Any]) -> Settings:
    """Make settings from keywords; what is left out takes the task's default, then the general.

    Raises
    ------
    ValueError
        With one sentence.
    """
    name = values.get("task", "fill")
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"there is no task {name!r}; choose {', '.join(TASKS)}")
    return Settings.of(**{**TASKS[name].defaults, **values})
