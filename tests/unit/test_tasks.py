import tracemalloc

import numpy as np
import pytest

from inpaint import edit, guides, pictures
from inpaint.pictures import Picture
from inpaint.preparing import PREPARE, Request, sides
from inpaint.settings import OPTIONS, Settings
from inpaint.tasks import TASKS, settled

RNG = np.random.default_rng(0)
PICTURE = Picture(RNG.integers(0, 256, (21, 25, 3), np.uint8))


@pytest.mark.parametrize("grow", [0, 1, 2, 5])
def test_fill_widens_the_mask_by_a_disc(grow):
    mask = np.zeros((21, 25), bool)
    mask[10, 12] = mask[0, 0] = True
    ys, xs = np.mgrid[:21, :25]
    wanted = np.hypot(ys - 10, xs - 12) <= grow
    wanted |= np.hypot(ys, xs) <= grow
    before = mask.copy()
    out = PREPARE["fill"].prepare(Request(PICTURE, mask, None, Settings(grow=grow))).mask
    assert np.array_equal(out, wanted) and np.array_equal(mask, before)


def test_every_task_is_prepared():
    assert list(TASKS) == list(PREPARE)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_have_words_for_people_and_settings_that_exist(name):
    task = TASKS[name]
    assert 0 < len(task.title.split()) <= 2 and task.tip.endswith(".")
    assert (task.guide == "unused") == (task.guide_tip == "")
    assert set(task.controls) | set(task.defaults) <= set(OPTIONS)
    assert settled({"task": name}).task == name


def test_a_task_decides_what_the_user_leaves_open():
    for name, task in TASKS.items():
        for field, value in task.defaults.items():
            assert getattr(settled({"task": name}), field) == value
    assert settled({"task": "fill", "grow": 9}).grow == 9


@pytest.mark.parametrize("bad", ["paint", "", None, ["fill"], 3])
def test_an_unknown_task_is_named(bad):
    with pytest.raises(ValueError, match="^there is no task .*; choose fill, "):
        settled({"task": bad})


# Extend


@pytest.mark.parametrize(
    "settings, wanted",
    [
        ({"left": 3, "bottom": 4}, (3, 0, 0, 4)),
        ({"aspect": "1:1"}, (0, 25, 0, 25)),
        ({"aspect": "2:1", "top": 30}, (30, 30, 30, 0)),
        ({"aspect": "100:50"}, (0, 0, 0, 0)),
        ({"aspect": "2.5:1"}, (12, 0, 13, 0)),
    ],
)
def test_sides_and_aspect(settings, wanted):
    assert sides((100, 50), Settings(**settings)) == wanted


def test_extend_lays_the_picture_on_a_larger_canvas():
    sixteen = RNG.integers(0, 65536, (9, 12, 3), np.uint16)
    alpha = RNG.integers(0, 65536, (9, 12), np.uint16)
    settings = Settings(task="extend", left=5, top=2, grow=1)
    made = PREPARE["extend"].prepare(Request(Picture(sixteen, alpha=alpha), None, None, settings))
    assert made.picture.size == (17, 11) and made.mask.shape == (11, 17)
    assert np.array_equal(made.picture.pixels[2:, 5:], sixteen)
    assert np.array_equal(made.picture.alpha[2:, 5:], alpha)
    assert (made.picture.alpha[:2] == 65535).all()
    assert made.bare[:2].all() and made.bare[:, :5].all() and not made.bare[2:, 5:].any()
    assert made.mask[:3].all() and made.mask[:, :6].all() and not made.mask[3:, 6:].any()


@pytest.mark.parametrize("size", [(60, 6), (60, 5), (2, 40), (1, 1), (1, 7), (300, 2)])
@pytest.mark.parametrize("settings", [{"left": 9, "right": 9, "top": 9, "bottom": 9}, {"right": 9}])
@pytest.mark.parametrize("grow", [3, 256])
def test_a_narrow_picture_is_extended(size, settings, grow):
    narrow = np.full((size[1], size[0], 3), 90, np.uint8)
    result = edit(narrow, task="extend", grow=grow, steps=1, device="cpu", **settings)
    assert (~result.mask).any() and (result.picture.pixels == 90).all()


@pytest.mark.parametrize(("aspect", "told"), [("", "how far"), ("25:21", "sides 25:21 already")])
def test_extend_wants_to_know_how_far(aspect, told):
    wanted = Settings(task="extend", aspect=aspect)
    with pytest.raises(ValueError, match=told):
        PREPARE["extend"].prepare(Request(PICTURE, None, None, wanted))


def test_a_model_decides_what_user_and_task_leave_open():
    assert settled({"model": "faces"}).sampler == "repaint"
    assert settled({"model": "faces", "sampler": "ddnm"}).sampler == "ddnm"
    assert settled({"model": "blend"}) == settled({})


def test_models_and_tasks_fit_together():
    with pytest.raises(ValueError, match="^restore only restores; choose another model"):
        settled({"task": "fill", "model": "restore"})
    with pytest.raises(ValueError, match="^self can only fill holes; denoise needs a network"):
        settled({"task": "denoise", "model": "self"})


# Sizes


def peak_of(work):
    """Megabytes of arrays that a call holds at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("settings", [{"aspect": "9999:1"}, {"right": 8192, "bottom": 8192}])
def test_too_large_a_canvas_is_refused_before_it_is_made(settings):
    def ask():
        with pytest.raises(pictures.PictureError, match="the limit is"):
            edit(np.zeros((100, 100, 3), np.uint8), task="extend", **settings)

    assert peak_of(ask) < 10
    with pytest.raises(pictures.PictureError, match=r"the limit is 0\.015 million"):
        edit(np.zeros((100, 100, 3), np.uint8), task="extend", right=80, max_pixels=15_000)


def test_of_a_huge_object_only_what_shows_is_made():
    thing = Picture(RNG.integers(0, 256, (50, 50, 3), np.uint8))
    at, canvas = "-9000,-9000,9999,9999", Picture(np.zeros((100, 100, 3), np.uint8))
    assert peak_of(lambda: guides.laid(canvas, thing, None, at)) < 10
