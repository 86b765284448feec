"""The endpoints for programs, on a real server."""

import time

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import inpaint
from inpaint import masks, pictures
from inpaint.settings import OPTIONS
from inpaint.tasks import TASKS

QUICK = {"steps": 4, "seed": 7}


@pytest.fixture(scope="module")
def address(serve):
    return serve(queue=1, max_pixels=4000, max_upload=1)


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def raw(address, plain):
    return plain(address)


@pytest.fixture
def given(files):
    return {"picture": handle_file(files / "photo.jpg"), "mask": handle_file(files / "mask.png")}


def test_only_four_endpoints_are_public(address):
    info = httpx.get(f"{address}/gradio_api/info").json()
    assert set(info["named_endpoints"]) == {"/fill", "/tasks", "/models", "/estimate"}
    assert not info["unnamed_endpoints"]


def test_every_setting_is_a_documented_parameter(address):
    info = httpx.get(f"{address}/gradio_api/info").json()["named_endpoints"]
    for name in ("/fill", "/estimate"):
        rows = info[name]["parameters"]
        names = [row["parameter_name"] for row in rows]
        assert names == ["picture", "mask", "guide", *OPTIONS]
        assert [row["parameter_has_default"] for row in rows] == [False] + [True] * (len(rows) - 1)
        assert info[name]["description"]


def test_the_lists_are_those_of_the_tables(client):
    assert [row["name"] for row in client.predict(api_name="/tasks")] == list(TASKS)
    models = {row["name"]: row for row in client.predict(api_name="/models")}
    assert {"self", "photo", "restore"} <= set(models) and not models["restore"]["fills"]


def test_a_fill_is_streamed_and_keeps_format_and_pixels(client, given, files, tmp_path):
    job = client.submit(**given, **QUICK, candidates=2, api_name="/fill")
    told = [report for _, report in job]
    path, report = job.result()
    assert told[0] == {"ahead": 0}
    steps = [one["step"] for one in told if "step" in one]
    assert steps == sorted(set(steps)) and steps[-1] <= told[-2]["steps"]
    assert all(one["stage"] and one["seconds_left"] >= 0 for one in told[1:-1])

    assert report["receipt"]["changed"] == 0 and report["finished"]
    assert len(report["candidates"]) == 2 and report["candidates"][0] == path
    here = inpaint.edit(files / "photo.jpg", files / "mask.png", candidates=2, **QUICK)
    for candidate, made in zip(here.candidates, report["candidates"], strict=True):
        with open(made, "rb") as opened:
            assert opened.read() == candidate.encode("JPEG")
    assert report["recipes"] == [candidate.recipe for candidate in here.candidates]

    mask = pictures.read(report["mask"]).pixels[..., 0]
    assert np.array_equal(mask == 255, here.mask) and not mask[~here.mask].any()
    here.save_diversity(tmp_path / "diversity.png")
    spread = pictures.read(report["diversity"]).pixels
    assert spread.dtype == np.uint16 and spread.max() > 1000
    assert np.array_equal(spread, pictures.read(tmp_path / "diversity.png").pixels)


def test_the_mask_marks_every_pixel_that_changed(serve, tmp_path):
    """A fill with a rim, a repair of what is found, and a larger picture."""
    client = Client(serve(), verbose=False)
    scratched = np.add.outer(np.arange(90), np.arange(80)).astype(np.uint8)
    scratched = np.repeat(scratched[..., None], 3, axis=2)
    scratched[5:85, 40:42] = 250
    Image.fromarray(scratched).save(tmp_path / "old.png")
    hole = np.zeros((90, 80), bool)
    hole[30:40, 20:30] = True
    Image.fromarray(hole).save(tmp_path / "hole.png")
    given = {
        "fill": {"mask": handle_file(tmp_path / "hole.png"), "grow": 4},
        "repair": {},
        "extend": {"left": 8},
    }
    for task, settings in given.items():
        path, report = client.predict(
            handle_file(tmp_path / "old.png"), task=task, **settings, **QUICK, api_name="/fill"
        )
        after, mask = pictures.read(path).pixels, pictures.read(report["mask"]).pixels[..., 0] > 0
        assert mask.shape == after.shape[:2] and report["diversity"] is None
        if task == "extend":
            assert mask[:, :8].all() and not mask[:, 12:].any()
            after, mask = after[:, 8:], mask[:, 8:]
        changed = (after != scratched).any(axis=2)
        assert changed.any() and not (changed & ~mask).any() and mask.mean() < 0.3, task
        if task == "fill":
            assert np.array_equal(mask, masks.grow(hole, 4))
        elif task == "repair":
            assert mask[10:80, 40:42].all()


def test_the_files_of_a_report_are_fetched_by_their_addresses(raw, files):
    given = {"picture": raw.upload(files / "photo.jpg"), "mask": raw.upload(files / "mask.png")}
    picture, report = raw.call("fill", **given, **QUICK, candidates=2)[-1][1]
    for file in (picture, *report["candidates"], report["mask"], report["diversity"]):
        assert file["url"].startswith(raw.address) and httpx.get(file["url"]).status_code == 200


def test_a_deep_picture_stays_deep(client, files):
    path, report = client.predict(
        handle_file(files / "photo.png"), handle_file(files / "mask.png"), api_name="/fill", **QUICK
    )
    before, after = pictures.read(files / "photo.png"), pictures.read(path)
    assert after.format == "PNG" and after.pixels.dtype == np.uint16
    same = (before.pixels == after.pixels).all(axis=2)
    assert same[:12].all() and not same[18:24, 22:32].any()
    assert np.array_equal(before.alpha[:12], after.alpha[:12])
    assert (after.alpha >= before.alpha).all()


def test_a_task_without_a_mask_takes_its_own_settings(client, files):
    path, report = client.predict(
        handle_file(files / "photo.jpg"), task="extend", left=8, api_name="/fill", **QUICK
    )
    assert pictures.read(path).size == (72, 48)
    assert report["recipes"][0]["settings"]["task"] == "extend"


def test_the_estimate_is_what_the_fill_takes(client, given):
    cost = client.predict(**given, **QUICK, api_name="/estimate")
    _, report = client.predict(**given, **QUICK, api_name="/fill")
    assert cost["evaluations"] == report["evaluations"] and cost["regions"] == 1


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"steps": 0}, "steps must be a whole number from 1 to 250, got 0"),
        ({"steps": "many"}, "steps must be a whole number"),
        ({"strength": 99}, "strength must be a number above 0 and at most 1, got 99"),
        ({"task": "nothing"}, "there is no task 'nothing'"),
        ({"task": ["fill"]}, "there is no task"),
        ({"model": "/etc"}, "Choose a model of the list"),
        ({"model": "owner/name"}, "Choose a model of the list"),
        ({"prompt": "x" * 5000}, "prompt must be a text of at most 2000 letters"),
        ({"mask": "mask.png"}, "A file is given as"),
        ({"mask": None}, "Give a mask"),
        ({"picture": None}, "Upload a picture"),
        ({"task": "enlarge", "sampler": "repaint"}, "can only fill holes"),
    ],
    ids=str,
)
@pytest.mark.parametrize("endpoint", ["fill", "estimate"])
def test_bad_input_gets_one_sentence(raw, files, endpoint, wrong, sentence, capfd):
    given = {"picture": raw.upload(files / "photo.jpg"), "mask": raw.upload(files / "mask.png")}
    said = raw.refused(endpoint, **{**given, **wrong})
    assert sentence in said and "\n" not in said and "/tmp" not in said
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_picture_over_the_limit_is_refused(raw, tmp_path):
    Image.new("RGB", (100, 41)).save(tmp_path / "large.png")
    said = raw.refused("fill", picture=raw.upload(tmp_path / "large.png"), task="extend", left=8)
    assert "100 × 41" in said


def test_a_file_that_is_no_picture_is_refused(raw, files, tmp_path):
    (tmp_path / "no.png").write_text("no picture")
    said = raw.refused(
        "fill", picture=raw.upload(files / "photo.jpg"), mask=raw.upload(tmp_path / "no.png")
    )
    assert "is not a PNG" in said and str(tmp_path) not in said and "gradio" not in said


def test_others_wait_and_are_told_so(address, client, given):
    slow = {"steps": 250, "resample": 5, "sampler": "repaint"}
    # Clients of their own: Gradio cancels all jobs that a client has at an endpoint.
    first = Client(address, verbose=False).submit(**given, **slow, api_name="/fill")
    while not first.outputs():
        time.sleep(0.05)
    second = client.submit(**given, **QUICK, api_name="/fill")
    while not second.outputs():
        time.sleep(0.05)
    assert second.outputs()[0][1] == {"ahead": 1}
    with pytest.raises(AppError, match="Too many people are waiting"):
        client.predict(**given, **QUICK, api_name="/fill")
    began = time.perf_counter()
    first.cancel()
    assert second.result(timeout=30)[1]["finished"]
    assert time.perf_counter() - began < 15, "who leaves makes room within a step"


def test_the_operator_chooses_the_usual_model(serve, given):
    client = Client(serve(model="photo"), verbose=False)
    report = client.predict(**given, steps=1, api_name="/fill")[1]
    assert report["recipes"][0]["settings"]["model"] == "photo"
    report = client.predict(given["picture"], task="denoise", api_name="/fill")[1]
    assert report["recipes"][0]["settings"]["model"] == "restore"
