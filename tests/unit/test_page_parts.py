"""What the page is put together from: its controls, its address, its line of waiting people."""

import threading
import time

import gradio as gr
import numpy as np
import pytest

from inpaint import edit
from inpaint.settings import OPTIONS, Settings
from inpaint.tasks import TASKS, settled
from inpaint.ui import address, controls, studio, words
from inpaint.ui.job import Job
from inpaint.ui.turns import Line, LineFull


def test_every_setting_has_a_control_or_its_own_place():
    assert {*controls.NAMES, *controls.APART} == set(OPTIONS)
    made = (
        controls.make_particular("fill")
        | controls.make_main("fill")
        | controls.make_advanced("fill")
    )
    assert set(made) == set(controls.NAMES)
    for name, control in made.items():
        assert f"setting_{name}" in str(control.label)
        assert words.english()[f"setting_{name}"] == OPTIONS[name].title
        assert control.visible == controls.is_shown(name, "fill", "self")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_shows_what_it_has_a_use_for_at_its_defaults(task):
    values = controls.defaults(task)
    seen = dict(zip(controls.NAMES, controls.updates(task, values), strict=True))
    assert all(seen[name]["visible"] for name in (*controls.COMMON, *TASKS[task].controls))
    hidden = set(controls.PARTICULAR) - set(TASKS[task].controls)
    assert not any(seen[name]["visible"] for name in hidden)
    for name, value in TASKS[task].defaults.items():
        assert seen[name]["value"] == value


@pytest.mark.parametrize("task", TASKS)
def test_a_slider_can_stand_at_a_tasks_defaults(task):
    values = controls.defaults(task)
    for control in (controls.make_particular(task) | controls.make_main(task)).values():
        if isinstance(control, gr.Slider):
            steps = (values[control.elem_id] - control.minimum) / control.step
            assert steps == pytest.approx(round(steps)), control.elem_id


def test_a_number_that_is_cleared_leaves_the_setting_at_its_default():
    steps = controls.make_main("fill")["steps"]
    assert (steps.preprocess(None), steps.preprocess(7), steps.get_block_name()) == (
        None,
        7,
        "slider",
    )
    values = dict.fromkeys(controls.NAMES) | {"model": "sd15"}
    named = studio.settings_of("fill", tuple(values[name] for name in controls.NAMES))
    assert settled(named).as_dict() == controls.defaults("fill", model="sd15")
    assert controls.for_task("fill", "self", None, "self")["candidates"] == 1
    assert controls.new_seed(True, 5.0) == 5.0 and controls.new_seed(True, None) is not None


def test_any_task_can_be_chosen_after_any_other():
    for before in TASKS:
        model = controls.defaults(before)["model"]
        for task in TASKS:
            values = controls.for_task(task, model, 3, "blend")
            assert values["task"] == task and values["candidates"] == 3
            wanted = {"restore": "blend"}.get(model, model)
            assert values["model"] == ("restore" if TASKS[task].restores else wanted)
    assert controls.for_task("denoise", "photo", 1, "self")["model"] == "restore"
    assert controls.for_task("extend", "photo", 1, "self")["model"] == "photo"


def test_what_a_restoring_run_tells_has_words():
    said = set()
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    edit(picture, task="denoise", progress=lambda m: said.add(studio.progress_text(m)))
    assert said and all(text.startswith("Restoring: step ") for text in said)


def test_a_model_that_reads_a_prompt_gets_one():
    assert not controls.is_shown("prompt", "fill", "self")
    assert controls.is_shown("prompt", "fill", "sd15")
    assert not controls.is_shown("negative", "fill", "flux-fill")
    assert controls.defaults("fill", model="sd15-fast")["steps"] == 4


def test_a_link_restores_the_settings():
    query = {"task": "extend", "left": "40", "aspect": "16:9", "sampler": "repaint", "steps": "30"}
    task, values = address.settings_in(query, {})
    assert task == "extend"
    wanted = Settings(task="extend", left=40, aspect="16:9", sampler="repaint", steps=30)
    assert values == wanted.as_dict()


@pytest.mark.parametrize(
    "query",
    [
        {"task": "nothing"},
        {"steps": "many"},
        {"steps": "1e99"},
        {"steps": "100"},  # sound, but beyond the slider
        {"strength": "nan"},
        {"sampler": "<script>"},
        {"sensitivity": "0.9"},
        {"seed": "5"},
        {"model": "gone"},
        {"": ""},
    ],
    ids=str,
)
def test_what_makes_no_sense_in_a_link_is_passed_over(query):
    assert address.settings_in(query, {}) == ("fill", controls.defaults("fill"))


def test_a_link_counts_more_than_what_is_remembered():
    _, values = address.settings_in({"candidates": "2"}, {"candidates": 5, "model": "self"})
    assert values["candidates"] == 2
    assert address.settings_in({}, {"candidates": 5})[1]["candidates"] == 5


def test_what_is_remembered_and_of_no_use_is_passed_over():
    odd = {"candidates": None, "steps": [], "strength": float("inf"), "model": "gone"}
    assert address.settings_in({}, odd) == ("fill", controls.defaults("fill"))
    assert address.settings_in({}, odd, "self")[1]["model"] == "self", "the operator's"


def test_a_model_in_a_link_brings_what_suits_it():
    for query, remembered in (({}, {"model": "sd15"}), ({"model": "sd15"}, {})):
        _, values = address.settings_in(query, remembered)
        assert values == controls.defaults("fill", model="sd15")
        assert (values["sampler"], values["steps"], values["eta"]) == ("dpmpp", 25, 0)
    link = {"model": "sd15", "steps": "7", "sampler": "ddim"}
    _, values = address.settings_in(link, {"candidates": 3})
    wanted = controls.defaults("fill", model="sd15", steps=7, sampler="ddim", candidates=3)
    assert values == wanted


def test_a_link_that_names_its_task_means_the_same_to_everybody():
    kept = {"candidates": 5, "model": "sd15"}
    assert address.settings_in({"task": "fill"}, kept) == ("fill", controls.defaults("fill"))
    for task in TASKS:
        _, values = address.settings_in({"task": task}, kept, "photo")
        assert values == controls.for_task(task, "photo", 1, "photo")


def test_people_are_served_in_the_order_they_came():
    line = Line(longest=2)
    with line.place() as first:
        with line.place() as second:
            with line.place() as third:
                assert (first(), second(), third()) == (0, 1, 2)
                with pytest.raises(LineFull), line.place():
                    pass
        with line.place() as third:
            assert third() == 1, "who leaves makes room"


def test_one_works_while_the_others_wait():
    line, at_work, most = Line(longest=8), [0], [0]

    def work():
        with line.place() as ahead:
            while ahead():
                time.sleep(0.001)
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            time.sleep(0.005)
            at_work[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1] and not any(thread.is_alive() for thread in threads)


def test_who_is_stopped_while_waiting_does_not_wait_on():
    job = Job(lambda progress: None)
    threading.Timer(0.01, job.stop).start()
    began = time.perf_counter()
    while not job.stopped:
        job.wait()
    assert time.perf_counter() - began < 0.2
