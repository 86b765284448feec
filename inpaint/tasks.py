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
    return Settings.of(**{**suited, **chosen})
