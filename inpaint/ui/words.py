"""Every text of the page, in every language.

English stands here and in the tables of tasks, settings, samplers, models and examples; each other
language in a file of `languages/`, under the keys of `english`. What the package itself says of a
run, its notes, promises and errors, is English.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import gradio as gr
from gradio.context import LocalContext

from inpaint.models import MODELS
from inpaint.settings import OPTIONS, SAMPLERS
from inpaint.tasks import TASKS
from inpaint.ui.examples import examples

TITLE = "Inpaint"
FOLDER = Path(__file__).with_name("languages")
LANGUAGES = ("en", *sorted(file.stem for file in FOLDER.glob("*.json")))
WORDS: dict[str, str] = {
    # Starting
    "task": "What to do",
    "examples": "Or try one: it is filled at once",
    "open_project": "Open a project",
    "open_clip": "Open a clip",
    "private": "Pictures and results stay on the computer that serves this page, no other visitor "
    "sees them, and they are deleted about an hour after you leave.",
    "keys": "Ctrl+Enter starts, Escape stops, and ? lists the keys of the canvas.",
    # Controls
    "stop": "Stop",
    "advanced": "Advanced",
    "roll": "Roll",
    "keep_seed": "Keep",
    "find": "Find damage",
    "see_through": "Mask the transparent part",
    "guide": "Choose a second picture",
    "guide_remove": "Remove it",
    "no_mask": "Nothing needs to be painted for this.",
    "maybe_mask": "Paint to choose a part, or nothing for the whole picture.",
    "link": "Copy a link to these settings",
    "linked": "Link copied.",
    "automatic": "automatic",
    # Running
    "starting": "Starting",
    "ahead": "Busy: {count} ahead of you",
    "step": "{stage}: step {number} of {total}, {left} left",
    "downloading": "Downloading the model: {done} of {total} MB, {left} left",
    "cost": "{evaluations} evaluations in {places}, about {time}",
    "one_place": "1 place",
    "places": "{count} places",
    "a_second": "a second",
    "seconds": "{count} s",
    "minutes": "{count} min",
    "done": "Done in {time}.",
    "stopped": "Stopped; this is the latest after {time}.",
    "stopped_waiting": "Stopped before it began.",
    "stage_filling": "Filling",
    "stage_finding_the_structure": "Finding the structure",
    "stage_adding_detail": "Adding detail",
    "stage_finishing_the_texture": "Finishing the texture",
    "stage_restoring": "Restoring",
    "stage_filling_from_other_frames": "Filling from other frames",
    "stage_inventing_what_no_frame_shows": "Inventing what no frame shows",
    # Clips
    "clip_told": "{frames} frames of {width} × {height}: paint over the first what should go from "
    "all of them, or choose masks.",
    "clip_masks": "Masks: a clip, or a picture for each frame",
    "clip_masked": "{count} mask files are here and count in place of what is painted.",
    "clip_masks_remove": "Back to what is painted",
    "clip_which_masks": "Choose one mask clip, one mask, or a picture for each frame.",
    "clip_fill": "Fill the clip",
    "clip_step": "{stage}: frame {number} of {total}, {left} left",
    "clip_done": "Other frames showed {borrowed} % of the hole, earlier fills gave {carried} %, "
    "and {invented} % is invented. Flicker {flicker} of 255, around it {around}.",
    "clip_view": "The filled clip",
    "clip_save": "Download the clip",
    # Results
    "receipt": "{changed} of {outside} pixels outside the mask changed",
    "previews": "Previews: the picture as it takes shape",
    "candidates": "Candidates, the smoothest seam first: click one to choose it",
    "best": "Best seam · seed {seed}",
    "seed": "seed {seed}",
    "merged": "Merged",
    "proceed": "Continue from this",
    "more": "More like this",
    "merge": "Merge candidates",
    "merge_keep": "Keep the merge",
    "merging": "Paint where another candidate should show, then click that candidate.",
    "merge_taken": "Taken. Paint more, or press “Keep the merge”.",
    "merge_nothing": "Nothing of it lies in the painted part.",
    "tight": "Something seems left around the mask: a rim or a shadow.",
    "grow_again": "Grow the mask and fill again",
    # History
    "history": "History: click a result to go back to it",
    "original": "Original",
    "delete": "Delete this result",
    "is_back": "This result is back, with its mask, settings and seed; “{task}” makes it again.",
    "is_seen": "This result is back, with its mask, settings and seed.",
    "original_back": "The original is back. The results stay in the history.",
    # Downloads
    "download": "Download {format}",
    "download_own": "Download",
    "around": "Saved as {format}, only the blocks around the edit are encoded again.",
    "reencoded": "Saved as {format} it is encoded again as a whole; as PNG it is exact.",
    "download_png": "Download PNG (exact)",
    "download_mask": "Download mask",
    "download_diversity": "Download diversity",
    "download_project": "Download project",
    "with_recipe": "Embed the recipe, which can make it again",
    "manifest": "This picture carries content credentials (C2PA). They hold for the exact file "
    "alone: an edited copy goes without them.",
    # Specialising
    "special": "Specialise a model",
    "special_tip": "Trains the model photo further on pictures of your own: medical, satellite, "
    "paintings, or a style. The command does it, and the model is in the list afterwards.",
    "special_name": "Name",
    "special_minutes": "Minutes",
    "special_command": "The command",
    "special_pictures": "Your pictures; every visitor can use the model",
    "special_start": "Start training",
    "special_none": "Choose pictures to learn from first.",
    "special_done": "The model “{name}” is in the list; starting again trains it further.",
    # What is wrong
    "nothing_painted": "Nothing is painted; paint over what should be filled.",
    "open_first": "Open a picture first: drop one on the canvas or take an example.",
    "other_mask": "The mask belongs to another picture; paint it again.",
    "which_model": "Choose a model of the list: {models}.",
    "running": "A run is going on; wait for it or press Stop.",
    "full": "Too many people are waiting; try again in a minute.",
    "failed": "Something went wrong; the picture is unchanged. Try again.",
    "disk_full": "The disk of this server is full; try again in a while.",
    "memory_full": "There is not enough memory for this; paint a smaller area or take a smaller "
    "picture.",
    "cannot_vary": "This task has no variations.",
    "too_large": "This file is larger than 1 GB.",
}
TIP = "button_tip_"
BUTTON_TIPS = {
    "fill": "Starts with what is painted and the settings below (Ctrl+Enter).",
    "stop": "Ends the run at its next step and keeps the latest (Escape).",
    "proceed": "Makes this result the picture to paint on, with an empty mask; Undo comes back.",
    "download": "Saves this result in the picture's own format.",
    "download-exact": "Saves this result without loss, in the picture's own depth.",
    "download-mask": "Saves a mask as a picture, white where this result may be invented.",
    "download-diversity": "Saves where the candidates disagree, as a grey picture of 16 bits.",
    "download-project": "Saves the picture, the mask and all results in one file, to go on later.",
    "with-recipe": "Writes settings, seed and digests into the file, so that it can be replayed.",
    "more": "Varies this result: other seeds, half of the noise.",
    "merge": "Paint which candidate shows where.",
    "grow-again": "Widens the mask by a step that Undo takes back, and starts again.",
    "delete": "Forgets the result that is on show.",
    "find": "Masks the damage that is found, for you to correct.",
    "see-through": "Adds the pixels that are less than half opaque to the mask.",
    "guide": "Takes a second picture for this task.",
    "guide-remove": "Goes on without the second picture.",
    "dice": "Takes another seed.",
    "lock": "Holds the seed, so that the next run makes the same.",
    "link": "The address holds the task and the settings, but no picture.",
    "open-project": "Opens a project that was saved here or elsewhere.",
    "open-clip": "Opens a video: what you paint on its first frame goes from every frame.",
    "clip-fill": "Fills what is masked in every frame.",
    "clip-masks": "Takes masks from files in place of what is painted.",
    "clip-masks-remove": "Goes on without the masks of files: what is painted counts again.",
    "clip-save": "Saves the filled video.",
    "special-start": "Trains a model of your own on these pictures.",
    "special-stop": "Ends the training and keeps the model as far as it is.",
}
"""What a button does, for whoever points at it; by the button's id."""
MASK_WORDS = {"needed": "", "optional": "maybe_mask", "unused": "no_mask"}


@cache
def english() -> dict[str, str]:
    """Return every text of the page by its key."""
    found = WORDS | {f"{TIP}{name}": tip for name, tip in BUTTON_TIPS.items()}
    for name, task in TASKS.items():
        found |= {f"task_{name}": task.title, f"task_{name}_tip": task.tip}
        found[f"task_{name}_pretrained"] = task.pretrained
        if task.guide_tip:
            found[f"task_{name}_guide"] = task.guide_tip
    for name, option in OPTIONS.items():
        found |= {f"setting_{name}": option.title, f"setting_{name}_tip": option.tip}
    found |= {f"sampler_{name}": sampler.title for name, sampler in SAMPLERS.items()}
    found |= {f"model_{name}_tip": spec.tip for name, spec in MODELS.items()}
    return found | {f"example_{example.picture.stem}": example.title for example in examples()}


@cache
def texts(language: str) -> dict[str, str]:
    """Return every text in a language; what its file lacks is English."""
    found = english()
    if language != "en":
        file = FOLDER / f"{language}.json"
        found = found | json.loads(file.read_text("utf-8"))
    for name, task in TASKS.items():
        parts = (f"task_{name}_tip", f"task_{name}_pretrained", MASK_WORDS[task.mask])
        tip = " ".join(found[key] for key in parts if key in found)
        found = found | {f"task_{name}_tip": tip}
    return found


def language() -> str:
    """Language that the visitor who is answered prefers; English if we lack it, or for nobody."""
    request = LocalContext.request.get(None)
    preferred = request.headers.get("accept-language", "")[:2].lower() if request else ""
    return preferred if preferred in LANGUAGES else "en"


def say(key: str, **values: object) -> str:
    """Return a text in the language of the visitor who is answered, with values put in."""
    return texts(language())[key].format(**values)


def mark(key: str) -> str:
    """Return what the page shows as a text in the browser's language: for the whole of a value."""
    assert key in english(), key
    return str(gr.I18n()(key))


def translations() -> gr.I18n:
    """Return the texts that marks stand for."""
    return gr.I18n(**{language: texts(language) for language in LANGUAGES})
