"""The controls, drawn from the tables: one for each setting, shown where the task has a use for it.

The title, tip and range of a control are those of its row in `inpaint.settings.OPTIONS`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from inpaint import hub, models
from inpaint.settings import OPTIONS, SAMPLERS, Option, SamplerDefaults
from inpaint.tasks import TASKS, settled
from inpaint.ui.words import mark

MAIN = ("model", "steps", "strength", "resample", "candidates")
ADVANCED = ("sampler", "jump", "eta", "grow", "feather")
COMMON = (*MAIN, *ADVANCED)
"""The settings that every task has."""
APART = ("task", "seed")
PARTICULAR = tuple(name for name in OPTIONS if name not in (*COMMON, *APART))
"""The settings that only some tasks or models have a use for."""
FOR_MODELS: dict[str, Callable[[models.ModelSpec], bool]] = {
    "prompt": lambda spec: spec.prompt,
    "negative": lambda spec: spec.negative,
    "guidance": lambda spec: bool(spec.pipeline),
    "scheduler": lambda spec: bool(spec.pipeline),
}
"""Those that depend on the model."""
NAMES = (*PARTICULAR, *COMMON)
"""The settings that the page sends with a run, in this order."""
CHOICES: dict[str, tuple[Any, ...]] = {"scale": (2, 4)}
ASPECTS = ("", "1:1", "4:3", "3:2", "16:9", "3:4", "2:3", "9:16")
SAMPLER_DEFAULTS = tuple(SamplerDefaults.__slots__[1:])
"""The settings that follow the choice of a sampler."""


class Slider(gr.Slider):
    """A slider whose number can be cleared: None, which leaves a setting at its default."""

    is_template = True  # to the browser it is Gradio's own

    def preprocess(self, payload: float | None) -> float | None:  # type: ignore[override]
        """Return the number, if there is one."""
        return None if payload is None else super().preprocess(payload)


def defaults(task: str, **values: Any) -> dict[str, Any]:
    """Return the values that the controls begin with for a task, and for a model if given."""
    own = models.defaults(values["model"]) if "model" in values else {}
    return settled({"task": task, **own, **values}).as_dict()


def for_task(task: str, model: str, candidates: int | None, usual: str) -> dict[str, Any]:
    """Return the values for a task that is chosen; a model that can do it is kept.

    `usual` is the model to return to from one that only restores.
    """
    values = {"candidates": candidates or 1, **TASKS[task].defaults}
    if not TASKS[task].restores:
        spec = models.listed().get(model)
        values["model"] = model if spec is None or spec.fills else usual
    return defaults(task, **values)


def is_shown(name: str, task: str, model: str) -> bool:
    """Whether a task with a model has a use for a setting."""
    if name in COMMON or name in TASKS[task].controls:
        return True
    spec = models.listed().get(model)
    return spec is not None and name in FOR_MODELS and FOR_MODELS[name](spec)


def offered() -> dict[str, models.ModelSpec]:
    """Return the models that are on this machine or may be downloaded."""
    can_come = hub.allowed()
    return {
        name: spec
        for name, spec in models.listed().items()
        if spec.here() or (can_come and spec.download)
    }


def make_particular(task: str) -> dict[str, Any]:
    """Make the controls that only some tasks have."""
    return {name: _control(name, task) for name in PARTICULAR}


def make_main(task: str) -> dict[str, Any]:
    """Make the controls that are always in sight."""
    return {name: _control(name, task) for name in MAIN}


def make_advanced(task: str) -> dict[str, Any]:
    """Make the controls for those who want to know."""
    return {name: _control(name, task) for name in ADVANCED}


def updates(task: str, values: Mapping[str, Any]) -> list[Any]:
    """Show a task's controls with these values, in the order of `NAMES`."""
    return [
        gr.update(
            value=values[name],
            visible=is_shown(name, task, values["model"]),
            **model_tip(name, values[name]),
        )
        for name in NAMES
    ]


def make_seed() -> tuple[gr.Number, gr.Checkbox]:
    """Make the seed with its dice, and the lock that keeps it between runs."""
    option = OPTIONS["seed"]
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(
            0,
            label=mark("setting_seed"),
            precision=0,
            minimum=option.low,
            maximum=option.high,
            info=mark("setting_seed_tip"),
            elem_id="seed",
            scale=3,
            min_width=120,
        )
        dice = gr.Button(mark("roll"), elem_id="dice", scale=0, min_width=64)
        locked = gr.Checkbox(
            False, label=mark("keep_seed"), elem_id="lock", scale=1, min_width=84, container=False
        )
    dice.click(
        lambda: new_seed(False, 0),
        None,
        seed,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return seed, locked


def new_seed(locked: bool, seed: float | None) -> float | None:
    """Return the seed to use: the same if there is one and it is locked, else another."""
    return seed if locked and seed is not None else random.randrange(2**32)


def kept_seed(kept: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the seed of a project, and whether it was locked; one that is out of range is 0."""
    seed, option = kept.get("seed"), OPTIONS["seed"]
    if not isinstance(seed, int) or not option.low <= seed <= option.high:
        seed = 0
    return int(seed), kept.get("locked") is True


def sampler_defaults(name: str) -> list[float]:
    """Return the settings that suit a sampler, in the order of `SAMPLER_DEFAULTS`."""
    return [getattr(SAMPLERS[name], setting) for setting in SAMPLER_DEFAULTS]


def _control(name: str, task: str) -> Any:
    option, values = OPTIONS[name], defaults(task)
    value = values[name]
    common: dict[str, Any] = {
        "label": mark(f"setting_{name}"),
        "info": mark(f"setting_{name}_tip"),
        "elem_id": name,
        "visible": is_shown(name, task, values["model"]),
    }
    if name in CHOICES:
        return gr.Radio(list(CHOICES[name]), value=value, **common)
    if name == "model":
        common |= model_tip(name, value)
        return gr.Dropdown(value=value, filterable=False, **common)
    if name == "sampler":
        samplers = [(mark(f"sampler_{key}"), key) for key in SAMPLERS]
        return gr.Dropdown(samplers, value=value, filterable=False, **common)
    if name == "aspect":
        return gr.Dropdown(list(ASPECTS), value=value, allow_custom_value=True, **common)
    if option.kind is str:
        lines = 2 if name == "prompt" else 1
        return gr.Textbox(value, lines=lines, max_length=int(option.high), **common)
    if value is None:
        return gr.Number(
            None,
            minimum=option.low,
            maximum=option.high,
            placeholder=mark("automatic"),
            **common,
        )
    high, step = option.usual or option.high, _step(option)
    low = option.low + step if option.above else option.low
    return Slider(low, high, value, step=step, buttons=["reset"], **common)


def _step(option: Option) -> float:
    if option.kind is int:
        return 1
    return 0.01 if option.high <= 1 else 0.1


def model_tip(name: str, value: Any) -> dict[str, Any]:
    """Return the models that can be chosen, and a tip for the one that is; nothing for others."""
    if name != "model":
        return {}
    here = offered()
    if value not in here:
        info = mark("setting_model_tip")
    elif here[value] == models.MODELS.get(value):
        info = mark(f"model_{value}_tip")
    else:
        info = here[value].tip  # the operator's or the user's own
    return {"choices": [(_title(spec), key) for key, spec in here.items()], "info": info}


def _title(spec: models.ModelSpec) -> str:
    """Name a model, with the size of what is still to be downloaded."""
    return spec.title if spec.here() else f"{spec.title} · ↓ {spec.download:g} GB"
