import dataclasses
import json
import math

import numpy as np
import pytest

from inpaint import samplers
from inpaint.settings import OPTIONS, SAMPLERS, Settings

WHOLE = {
    "steps": (1, 250),
    "resample": (1, 20),
    "jump": (1, 50),
    "seed": (0, 2**32 - 1),
    "candidates": (1, 8),
    "grow": (0, 256),
    "feather": (0, 256),
    "left": (0, 8192),
    "right": (0, 8192),
    "top": (0, 8192),
    "bottom": (0, 8192),
    "scale": (2, 4),
}
REAL = {
    "strength": (1e-9, 1),
    "eta": (0, 1),
    "guidance": (0, 50),
    "sensitivity": (0, 1),
    "noise": (0, 100),
    "blur": (0.3, 10),
}
TEXT = ("prompt", "negative", "scheduler", "aspect", "at")
BY_SAMPLER = ("steps", "resample", "jump", "eta")


def test_every_field_is_covered_here():
    rest = {"task", "model", "sampler"}
    assert {field.name for field in dataclasses.fields(Settings)} == set(WHOLE) | set(
        REAL
    ) | rest | set(TEXT)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_have_a_range(name):
    low, high = WHOLE[name]
    for good in (low, high, float(high)):
        value = getattr(Settings.of(**{name: good}), name)
        assert value == good and type(value) is int
    for bad in (low - 1, high + 1, low + 0.5, True, "3", math.nan, math.inf, -math.inf, [1], 1j):
        with pytest.raises(ValueError, match=rf"^{name} must be a whole number from {low} to"):
            Settings.of(**{name: bad})


@pytest.mark.parametrize("name", ["grow", "feather", "seed", "candidates"])
def test_only_what_a_sampler_decides_may_be_none(name):
    with pytest.raises(ValueError, match=name):
        Settings.of(**{name: None})


@pytest.mark.parametrize("name", REAL)
def test_numbers_have_a_range(name):
    low, high = REAL[name]
    for good in (low, high, np.float64((low + high) / 2)):
        value = getattr(Settings.of(**{name: good}), name)
        assert value == good and type(value) is float
    bad = [-0.1, 1.001 * high, math.nan, math.inf, -math.inf, True, "1", 10**400, [1]]
    for value in bad + ([0] if name == "strength" else []):
        with pytest.raises(ValueError, match=f"^{name} must be a number"):
            Settings.of(**{name: value})


@pytest.mark.parametrize("name", ["task", "model"])
@pytest.mark.parametrize("bad", ["", None, 3, b"fill", "x" * 1001, ["fill"]])
def test_names_are_strings(name, bad):
    with pytest.raises(ValueError, match=f"^{name} (must be a text|cannot be)"):
        Settings.of(**{name: bad})


@pytest.mark.parametrize("bad", ["", "DDIM", None, 3, ["ddim"], {}])
def test_an_unknown_sampler_is_told_the_known(bad):
    with pytest.raises(ValueError, match="^sampler must be one of ddim, dpmpp"):
        Settings(sampler=bad)


def test_the_two_tables_of_samplers_agree():
    assert list(SAMPLERS) == list(samplers.SAMPLERS)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_not_given_is_the_samplers_own(sampler):
    for settings in (
        Settings(sampler=sampler),
        Settings(sampler=sampler, **dict.fromkeys(BY_SAMPLER)),
    ):
        for name in BY_SAMPLER:
            assert getattr(settings, name) == getattr(SAMPLERS[sampler], name)
    given = {"steps": 7, "resample": 2, "jump": 3, "eta": 0.125}
    settings = Settings(sampler=sampler, **given)
    assert {name: getattr(settings, name) for name in given} == given


def test_an_unknown_setting_is_told_the_known():
    with pytest.raises(ValueError, match="there is no setting 'stepz'; there are task, model, "):
        Settings.of(stepz=3)


def test_settings_are_plain_frozen_and_replayable():
    settings = Settings(steps=5.0, sampler="repaint", seed=7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.steps = 3
    plain = json.loads(json.dumps(settings.as_dict()))
    assert plain == settings.as_dict() and Settings.of(**plain) == settings


def test_a_long_value_is_cut_short_in_the_message():
    with pytest.raises(ValueError) as caught:
        Settings.of(steps="x" * 10_000)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("bad", ["16/9", "0:1", "16:9:4", "-1:2", "a:b", "1e3:1", "16:9\n", 1.5])
def test_an_aspect_ratio_is_two_numbers(bad):
    assert Settings(aspect="16:9").aspect == "16:9" and Settings(aspect="").aspect == ""
    with pytest.raises(ValueError, match="^aspect "):
        Settings(aspect=bad)


@pytest.mark.parametrize("name", TEXT)
def test_texts_have_a_length(name):
    with pytest.raises(ValueError, match=f"^{name} must be a text"):
        Settings.of(**{name: "x" * 2001})


def test_there_are_two_scales():
    with pytest.raises(ValueError, match="^scale must be 2 or 4"):
        Settings(scale=3)


def test_every_option_speaks_to_people():
    for option in OPTIONS.values():
        assert option.title and option.tip.endswith(".") and len(option.tip) <= 90


@pytest.mark.parametrize("good", ["", "0,0", "-20,5", "10,20,30,40"])
def test_places(good):
    assert Settings(at=good).at == good


@pytest.mark.parametrize("bad", ["here", "1", "1,2,3", "1,2,0,4", "1.5,2", "1, 2", "1,2,3,4,5"])
def test_bad_places_are_refused(bad):
    with pytest.raises(ValueError, match="at cannot be"):
        Settings(at=bad)
