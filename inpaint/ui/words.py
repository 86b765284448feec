"""Every text of the page, in one place, for whoever translates it.

What the tasks, models and settings are called stands in their own tables.
"""

from __future__ import annotations

WORDS: dict[str, str] = {
    # Starting
    "title": "Inpaint",
    "task": "What to do",
    "examples": "Or try one: it is filled at once",
    "camera": "Use the camera",
    "open_project": "Open a project",
    "private": "Pictures and results stay on the computer that serves this page, no other visitor "
    "sees them, and they are deleted about an hour after you leave.",
    "keys": "Ctrl+Enter starts, Escape stops, and ? lists the keys of the canvas.",
    # Controls
    "stop": "Stop",
    "advanced": "Advanced",
    "particular": "For this task",
    "roll": "Roll",
    "keep_seed": "Keep",
    "find": "Find damage",
    "guide": "Choose a second picture",
    "guide_none": "No second picture yet.",
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
    "cost": "{evaluations} evaluations in {places}, about {time}",
    "one_place": "1 place",
    "places": "{count} places",
    "a_second": "a second",
    "seconds": "{count} s",
    "minutes": "{count} min",
    "done": "Done in {time}.",
    "stopped": "Stopped; this is the latest after {time}.",
    "stopped_waiting": "Stopped before it began.",
    # Results
    "view": "View",
    "paint": "Paint",
    "compare": "Compare",
    "sure": "How sure",
    "sure_tip": "Black: all candidates agree. Yellow: they differ, so the fill is a guess.",
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
    "grow_again": "Grow by {pixels} and fill again",
    # History
    "history": "History: click a result to go back to it",
    "original": "Original",
    "delete": "Delete this result",
    "is_back": "This result is back, with its mask, settings and seed; “{task}” makes it again.",
    "original_back": "The original is back. The results stay in the history.",
    # Downloads
    "download": "Download {format}",
    "around": " (only around the edit re-encoded)",
    "reencoded": " (re-encoded)",
    "download_png": "Download PNG (exact)",
    "download_mask": "Mask",
    "download_project": "Project",
    "with_recipe": "Embed the recipe, which can make it again",
    "manifest": "This picture carries content credentials (C2PA). They hold for the exact file "
    "alone: an edited copy goes without them.",
    # What is wrong
    "open_first": "Open a picture first: drop one on the canvas or take an example.",
    "other_mask": "The mask belongs to another picture; paint it again.",
    "which_model": "Choose a model of the list: {models}.",
    "running": "A run is going on; wait for it or press Stop.",
    "full": "Too many people are waiting; try again in a minute.",
    "failed": "Something went wrong; the picture is unchanged. Try again.",
    "cannot_vary": "This task has no variations.",
    "too_large": "This file is larger than 1 GB.",
}


def say(key: str, **values: object) -> str:
    """Return a text of the page, with values put in."""
    return WORDS[key].format(**values)
