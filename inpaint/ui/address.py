"""Settings in the page's address, so that a link restores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from inpaint.settings import OPTIONS, Option, Settings
from inpaint.tasks import TASKS
from inpaint.ui.controls import NAMES, SAMPLER_DEFAULTS, defaults, is_shown, offered

LEADING = ("model", "sampler")
FOLLOWING = ("sampler", *SAMPLER_DEFAULTS, "guidance", "scheduler")
"""The settings that follow the choice of those that lead."""


def settings_in(
    query: Mapping[str, Any], remembered: Mapping[str, Any], model: str = Settings().model
) -> tuple[str, dict[str, Any]]:
    """Return the task and the settings that a query string names, over those remembered.

    What is unknown, out of its range or not offered is passed over: an old link shall still open
    the page. A link that names its task means the same to everybody: nothing is remembered then.
    A project names them likewise. `model` is the one to begin with.
    """
    task = query.get("task", "")
    wanted = _usable(query)
    if task not in TASKS:
        task = next(iter(TASKS))
        wanted = _usable(remembered) | wanted
    if not TASKS[task].restores:
        wanted = {"model": model} | wanted
    values = defaults(task)
    for name in sorted(wanted, key=(*LEADING, *NAMES).index):
        if is_shown(name, task, values["model"]):
            with suppress(ValueError):
                values = defaults(task, **_kept(values, name), **{name: wanted[name]})
    return task, values


def script(model: str) -> str:
    """JavaScript from the task and the controls' values to the query string.

    `model` is the one that the page begins with. What follows another model or sampler is named
    even where it is as usual.
    """
    about = {task: settings_in({"task": task}, {}, model)[1] for task in TASKS}
    return f"""(task, ...values) => {{
        const names = {json.dumps(NAMES)}, following = {json.dumps(FOLLOWING)};
        const usual = {json.dumps(about)}[task], query = new URLSearchParams({{ task }});
        const unlike = (name) => (values[names.indexOf(name)] ?? "") !== (usual[name] ?? "");
        const led = {json.dumps(LEADING)}.some(unlike);
        names.forEach((name, at) => {{
            const value = values[at] ?? "";
            const follows = led && value !== "" && following.includes(name);
            if (follows || unlike(name)) query.set(name, value);
        }});
        if (location.search !== `?${{query}}`) history.replaceState(null, "", `?${{query}}`);
    }}"""


def _usable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a control can stand at, of what is given."""
    found = {}
    for name in NAMES:
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            found[name] = _typed(given[name], OPTIONS[name])
    if found.get("model") not in offered():
        found.pop("model", None)
    return found


def _typed(value: Any, option: Option) -> Any:
    """Convert what the address says; a slider would refuse, with an error, what is beyond it."""
    if value is None:
        raise ValueError("nothing is said")
    value = option.kind(value)
    if option.usual and value > option.usual:
        raise ValueError("beyond the slider")
    return value


def _kept(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what was settled before a choice, but for what follows it."""
    gone = {"model": values, "sampler": ("sampler", *SAMPLER_DEFAULTS)}.get(name, (name,))
    return {key: value for key, value in values.items() if key not in ("task", *gone)}
