"""Settings in the page's address, so that a link restores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inpaint.settings import OPTIONS, Option
from inpaint.tasks import TASKS
from inpaint.ui.controls import NAMES, defaults, is_shown


def settings_in(
    query: Mapping[str, str], remembered: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the task and the settings that a query string names, over those remembered.

    What is unknown or out of its range is passed over: an old link shall still open the page.
    """
    task = query.get("task", "")
    task = task if task in TASKS else next(iter(TASKS))
    values = defaults(task)
    wanted = {**remembered, **query}
    # The sampler first: others follow it.
    for name in sorted(wanted, key=lambda name: name != "sampler"):
        if name not in NAMES or not is_shown(name, task, str(wanted.get("model", values["model"]))):
            continue
        try:
            value = _typed(wanted[name], OPTIONS[name])
            values = defaults(task, **_chosen(values, name), **{name: value})
        except ValueError:
            continue
    return task, values


def script() -> str:
    """JavaScript from the task and the controls' values to the query string."""
    about = {task: defaults(task) for task in TASKS}
    return f"""(task, ...values) => {{
        const names = {json.dumps(NAMES)};
        const usual = {json.dumps(about)}[task], query = new URLSearchParams({{ task }});
        names.forEach((name, at) => {{
            const value = values[at] ?? "";
            if (value !== (usual[name] ?? "")) query.set(name, value);
        }});
        if (location.search !== `?${{query}}`) history.replaceState(null, "", `?${{query}}`);
    }}"""


def _typed(value: Any, option: Option) -> Any:
    """Convert what the address says; a slider would refuse, with an error, what is beyond it."""
    value = value if isinstance(value, option.kind) else option.kind(value)
    if option.usual and value > option.usual:
        raise ValueError("beyond the slider")
    return value


def _chosen(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what was settled so far; a sampler's choice brings its own defaults."""
    if name == "sampler":
        return {}
    return {key: value for key, value in values.items() if key not in (name, "task")}
