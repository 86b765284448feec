"""The controls of a fill: one for each setting that the page offers."""

from __future__ import annotations

from typing import Any

import gradio as gr

from inpaint.catalog import MODELS
from inpaint.settings import SAMPLERS, Settings
from inpaint.ui import studio

DEFAULT = Settings()


def make_settings() -> dict[str, Any]:
    """Make the controls; their names are those of `Settings`."""
    made: dict[str, Any] = {
        "steps": gr.Slider(
            1,
            50,
            DEFAULT.steps,
            step=1,
            label="Steps",
            info="More steps take longer and settle more detail.",
            elem_id="steps",
        ),
        "strength": gr.Slider(
            0.05,
            1,
            DEFAULT.strength,
            step=0.05,
            label="Noise strength",
            info="1 invents the area anew; less keeps more of what is there.",
            elem_id="strength",
        ),
        "resample": gr.Slider(
            1,
            10,
            DEFAULT.resample,
            step=1,
            label="Resample count",
            info="Goes back and forth this often to fit the fill to its surroundings.",
            elem_id="resample",
        ),
        "candidates": gr.Slider(
            1,
            8,
            DEFAULT.candidates,
            step=1,
            label="Candidates",
            info="Different fills to choose from.",
            elem_id="candidates",
        ),
    }
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        names = [(spec.title, name) for name, spec in MODELS.items() if spec.here()]
        tips = " ".join(f"{spec.title}: {spec.tip}" for spec in MODELS.values() if spec.here())
        made["model"] = gr.Radio(names, value=DEFAULT.model, label="Model", info=tips)
        made["sampler"] = gr.Dropdown(
            [(sampler.title, name) for name, sampler in SAMPLERS.items()],
            value=DEFAULT.sampler,
            label="Sampler",
            info="How noise is turned into a picture, step by step.",
        )
        made["jump"] = gr.Slider(
            1, 50, DEFAULT.jump, step=1, label="Jump length", info="Steps it goes back each time."
        )
        made["eta"] = gr.Slider(
            0,
            1,
            DEFAULT.eta,
            step=0.05,
            label="Fresh noise (eta)",
            info="Noise added at every step; more gives livelier texture.",
        )
        made["grow"] = gr.Slider(
            0,
            64,
            DEFAULT.grow,
            step=1,
            label="Grow mask",
            info="Pixels by which the painted area is widened, to take in soft edges.",
        )
        made["feather"] = gr.Slider(
            0,
            64,
            DEFAULT.feather,
            step=1,
            label="Feather",
            info="Pixels over which the fill blends in, inside the widened area.",
        )
    return made


def make_seed() -> tuple[gr.Number, gr.Checkbox]:
    """Make the seed with its dice, and the lock that keeps it between runs."""
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(
            DEFAULT.seed,
            label="Seed",
            precision=0,
            minimum=0,
            maximum=2**32 - 1,
            info="The same seed gives the same fill.",
            elem_id="seed",
            scale=3,
        )
        dice = gr.Button("Roll", elem_id="dice", scale=0, min_width=70)
        locked = gr.Checkbox(False, label="Keep", elem_id="lock", scale=1, min_width=90)
    dice.click(
        lambda: studio.new_seed(False, 0),
        None,
        seed,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return seed, locked
