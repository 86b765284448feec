import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inpaint
from inpaint import editing, pictures
from inpaint.cli import main
from inpaint.editing import edit
from inpaint.settings import SAMPLERS

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(inpaint.__file__).parent.parent)}


@pytest.fixture(autouse=True)
def in_a_folder_with_pictures(tmp_path, monkeypatch):
    """Work among files; `main` sets a signal handler, which must not outlive the test."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("in.png")
    Image.fromarray(MASK).save("mask.png")
    yield
    signal.signal(signal.SIGTERM, before)


def fill(*more, picture="in.png", mask="mask.png", out="out.png"):
    steps = [] if "--steps" in more else ["--steps", "2"]
    masked = ["--mask", mask] if mask else []
    return main(["fill", picture, *masked, "-o", out, "--device", "cpu", *steps, *more])


def new_files(path):
    return sorted(file.name for file in path.iterdir() if file.name not in ("in.png", "mask.png"))


def test_fill_end_to_end(tmp_path):
    command = [sys.executable, "-m", "inpaint", "fill", "in.png", "--mask", "mask.png"]
    command += ["-o", "out.png", "--seed", "7", "--device", "cpu", "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stderr == ""
    assert done.stdout.startswith("out.png: 0 of 1") and "outside the mask changed" in done.stdout
    wanted = edit(PIXELS, MASK, seed=7, steps=2, device="cpu")
    assert np.array_equal(pictures.read("out.png").pixels, wanted.picture.pixels)
    assert json.loads(pictures.embedded_text("out.png")["inpaint"]) == wanted.recipe
    assert new_files(tmp_path) == ["out.png"]


def test_json_says_what_was_done(capsys, tmp_path):
    assert fill("--json", "--seed", "3", "--sampler", "ddnm", "--grow", "1") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == "" and report["files"] == ["out.png"] and report["notes"] == []
    assert report["receipt"] == {"outside": 40 * 44 - 192, "changed": 0, "promise": ""}
    assert report["evaluations"] > 0 and report["seconds"] >= 0
    [recipe] = report["recipes"]
    assert recipe["settings"]["seed"] == 3 and recipe["settings"]["sampler"] == "ddnm"
    assert recipe["settings"]["grow"] == 1
    assert json.loads(pictures.embedded_text("out.png")["inpaint"]) == recipe


def test_candidates_are_numbered(capsys, tmp_path):
    assert fill("--candidates", "3", out="a.b.png") == 0
    assert new_files(tmp_path) == ["a.b-1.png", "a.b-2.png", "a.b-3.png"]
    assert capsys.readouterr().out.startswith("a.b-1.png, a.b-2.png, a.b-3.png: 0 of ")
    assert len({pictures.read(name).pixels.tobytes() for name in new_files(tmp_path)}) == 3
    seeds = [
        json.loads(pictures.embedded_text(name)["inpaint"])["settings"]["seed"]
        for name in new_files(tmp_path)
    ]
    assert seeds == [0, 1, 2]


def test_without_a_mask_the_transparent_pixels_are_filled():
    alpha = np.where(MASK, 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([PIXELS, alpha])).save("in.png")
    assert fill(mask=None) == 0
    out = pictures.read("out.png")
    assert (out.alpha == 255).all() and (out.pixels[MASK] != PIXELS[MASK]).any()


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp", ".bmp"])
def test_the_suffix_says_the_format(suffix):
    assert fill(out=f"out{suffix}") == 0
    assert pictures.read(f"out{suffix}").size == (44, 40)


def test_a_filled_picture_may_replace_its_source():
    assert fill(out="in.png") == 0
    assert not np.array_equal(pictures.read("in.png").pixels, PIXELS)


BAD = {
    "missing picture": ({"picture": "nowhere.png"}, "not there"),
    "missing mask": ({"mask": "nowhere.png"}, "not there"),
    "no picture": ({"picture": "text.png"}, "not a PNG"),
    "no mask": ({"mask": "text.png"}, "not a PNG"),
    "empty mask": ({"mask": "black.png"}, "Nothing is painted"),
    "full mask": ({"mask": "white.png"}, "Everything is painted over"),
    "no transparency": ({"mask": None}, "Give a mask"),
    "unknown suffix": ({"out": "out.xyz"}, "cannot be saved as 'out.xyz'"),
    "no suffix": ({"out": "out"}, "cannot be saved as 'out'"),
    "GIF": ({"out": "out.gif"}, "cannot be saved as 'out.gif'"),
    "no such folder": ({"out": "no/out.png"}, "There is no folder 'no'"),
    "output is a folder": ({"out": "folder.png"}, "folder.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_line_and_leave_nothing(case, capsys, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(MASK & False).save("black.png")
    Image.fromarray(MASK | True).save("white.png")
    before = new_files(tmp_path)
    options, message = BAD[case]
    assert fill(**options) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("inpaint: ") and err.count("\n") == 1 and message in err
    assert new_files(tmp_path) == before


@pytest.mark.parametrize(
    "options, message",
    [
        (("--steps", "0"), "steps must be a whole number from 1 to 250, got 0"),
        (("--strength", "nan"), "strength must be a number above 0 and at most 1, got nan"),
        (("--seed", "-1"), "seed must be"),
        (("--candidates", "9"), "candidates must be"),
        (("--model", "nothing"), "There is no model 'nothing'"),
        (("--device", "abacus"), "device must be one of"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(options, message, capsys, tmp_path):
    assert fill(*options) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"inpaint: {message}") and err.count("\n") == 1
    assert new_files(tmp_path) == []


def test_the_output_is_checked_before_the_work(capsys):
    # Both are wrong; the picture is read only if the output can be written.
    for out in ("out.xyz", "out.gif", "no/out.png"):
        assert fill(picture="nowhere.png", out=out) == 2
        assert "nowhere" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["fill"],
        ["fill", "in.png"],
        ["fill", "in.png", "-o", "out.png", "--steps", "many"],
        ["fill", "in.png", "-o", "out.png", "--stepz", "3"],
    ],
)
def test_a_wrong_command_line_shows_the_usage(arguments, capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    assert caught.value.code == 2 and out == ""
    assert err.startswith("usage: inpaint") and "error: " in err and "Traceback" not in err
    assert new_files(tmp_path) == []


def test_an_error_in_a_process_of_its_own_has_no_traceback():
    command = [sys.executable, "-m", "inpaint", "fill", "nowhere.png", "-o", "out.png"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("inpaint: ") and done.stderr.count("\n") == 1


def run(task, *more):
    return main([task, "in.png", "-o", "out.png", "--device", "cpu", "--steps", "2", *more])


TASKS = {
    "replace": ("--guide", "copy.png"),
    "create": (),
    "restyle": ("--guide", "copy.png"),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_a_command(task):
    copy = PIXELS.copy()
    copy[20:30, 20:30] = 200
    Image.fromarray(copy).save("copy.png")
    assert run(task, *TASKS[task]) == 0
    wanted = edit(PIXELS, task=task, guide=copy, steps=2, device="cpu")
    assert np.array_equal(pictures.read("out.png").pixels, wanted.picture.pixels)


def test_the_invented_pixels_and_the_spread_are_saved_beside(capsys):
    assert fill("--candidates", "2", "--mask-out", "m.png", "--diversity-out", "d.tif") == 0
    assert capsys.readouterr().out.startswith("out-1.png, out-2.png, m.png, d.tif: ")
    result = edit(PIXELS, MASK, candidates=2, steps=2, device="cpu")
    assert np.array_equal(pictures.read("m.png").pixels[..., 0], result.mask * np.uint8(255))
    spread = pictures.read("d.tif").pixels[..., 0]
    assert spread.dtype == np.uint16
    assert spread / 131070 == pytest.approx(result.diversity(), abs=1e-5)
    assert not spread[~result.mask].any() and spread.any()
    assert result.save("again.png", mask=True) == Path("again.png")
    assert np.array_equal(pictures.read("again-mask.png").pixels, pictures.read("m.png").pixels)


@pytest.mark.parametrize(
    "options, message",
    [
        (("--mask-out", "no/m.png"), "There is no folder 'no'"),
        (("--mask-out", "m.xyz"), "cannot be saved as 'm.xyz'"),
        (("--diversity-out", "d.png"), "One candidate has no spread"),
        (("--diversity-out", "d.jpg", "--candidates", "2"), "as PNG or TIFF"),
        (("--mask-out", "out.png"), "'out.png' is the name of another file of this edit"),
        (("--mask-out", "mask.png"), "'mask.png' is the name of another file"),
        (("--mask-out", "./nowhere.png"), "'nowhere.png' is the name of another file"),
        (("--mask-out", "out-2.png", "--candidates", "2"), "'out-2.png' is the name of another"),
        (
            ("--candidates", "2", "--mask-out", "d.png", "--diversity-out", "d.png"),
            "'d.png' is the name of another file",
        ),
    ],
)
def test_what_is_saved_beside_is_checked_before_the_work(options, message, capsys, tmp_path):
    assert fill(*options, picture="nowhere.png") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and new_files(tmp_path) == []


def test_sides_that_the_format_has_no_room_for_are_refused_before_the_work(capsys):
    Image.new("L", (20000, 2), 255).save("long.png")
    assert fill(picture="long.png", mask="long.png", out="out.webp") == 2
    assert "A WEBP is at most 16383 pixels wide" in capsys.readouterr().err


def test_the_format_is_asked_about_the_result_before_the_work(capsys, monkeypatch):
    Image.new("L", (16380, 2)).save("long.webp", lossless=True)
    Image.new("L", (64000, 2)).save("longer.png")
    quick = ["--steps", "1", "--device", "cpu", "--model", "self"]
    assert main(["create", "longer.png", "-o", "small.webp", *quick]) == 0
    os.mkdir("in")
    shutil.copy("long.webp", "in")
    monkeypatch.setattr(editing, "load", None)  # no work can begin
    wider = ["--right", "9", *quick]
    assert main(["extend", "long.webp", "-o", "out.webp", *wider]) == 2
    assert "A WEBP is at most 16383 pixels wide" in capsys.readouterr().err
    assert main(["batch", "in", "-o", "out", "--task", "extend", *wider]) == 1
    assert "A WEBP is at most 16383 pixels wide" in capsys.readouterr().err
    with pytest.raises(pictures.PictureError, match="at most 65500 pixels"):
        editing.edit("longer.png", task="extend", right=1600, format="JPEG", device="cpu")


def test_pages_that_would_be_lost_are_not_overwritten(capsys):
    pages = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    pages[0].save("in.tif", save_all=True, append_images=pages[1:])
    before = Path("in.tif").read_bytes()
    assert fill(picture="in.tif", out="./in.tif") == 2
    err = capsys.readouterr().err
    assert "more pages or frames" in err and err.count("\n") == 1
    assert Path("in.tif").read_bytes() == before
    assert fill(picture="in.tif", out="out.tif") == 0
    assert "Of several pages or frames only the first" in capsys.readouterr().out


def test_what_the_format_loses_is_told(capsys):
    assert fill(out="out.jpg") == 0
    assert "Saved as JPEG it loses the last digits of every pixel" in capsys.readouterr().out
    assert fill(out="out.tif") == 0
    assert "loses" not in capsys.readouterr().out


def test_an_estimate_takes_a_path_as_an_edit_does():
    cost = inpaint.estimate("in.png", "mask.png", device="cpu")
    assert cost.regions == 1
    assert cost.evaluations == inpaint.estimate((44, 40), MASK, device="cpu").evaluations


def test_version_and_help(capsys):
    for arguments in (["--version"], ["--help"], ["fill", "--help"], ["train", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{inpaint.__version__}\n") and all(name in out for name in SAMPLERS)


def test_doctor_says_what_is_used(capsys):
    assert main(["doctor", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert f"inpaint {inpaint.__version__}, Python {sys.version.split()[0]}" in out
    assert "devices here: " in out and "cpu" in out
    assert "used: CPU, asked for" in out and "model self: ready." in out


def test_doctor_refuses_an_unknown_device(capsys):
    assert main(["doctor", "--device", "abacus"]) == 2
    assert "device must be one of" in capsys.readouterr().err


def test_a_clip_is_filled_frame_by_frame(capsys, tmp_path):
    (tmp_path / "frames").mkdir()
    for k in range(2):
        pictures.write(pictures.read("in.png"), tmp_path / "frames" / f"{k}.png")
    done = main(["video", "frames", "--mask", "mask.png", "-o", "made", "--steps", "2", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert done == 0 and report["frames"] == 2 and report["path"] == "made"
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["0.png", "1.png"]
    again = ["video", "frames", "--mask", "mask.png", "-o", "again", "--steps", "2"]
    assert main([*again, "--mask-out", "marks"]) == 0
    assert len(list((tmp_path / "marks").iterdir())) == 2
    assert "2 frames" in (told := capsys.readouterr().out) and "flicker 0." in told
    assert main(["video", "none.mp4", "--mask", "mask.png", "-o", "x.mp4"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "command, stream, unbuffered",
    [
        ("--help", "stdout", ""),
        ("doctor", "stdout", ""),
        ("doctor", "stdout", "1"),
        ("fill in.png --mask mask.png -o out.png --steps 1 --json", "stdout", ""),
        ("fill none.png --mask mask.png -o out.png", "stderr", ""),
    ],
)
def test_a_closed_pipe_ends_a_command_silently(command, stream, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    done = subprocess.run(
        [sys.executable, "-m", "inpaint", *command.split()],
        **streams,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writer)
    assert not done.stdout and not done.stderr
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_without_room_is_one_sentence(unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "inpaint", "doctor"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 2
    assert done.stderr.startswith("inpaint: [Errno 28]") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["fill in.png --mask mask.png -o 日本.png", "batch in -o out"])
def test_a_name_that_the_output_cannot_spell_stops_nothing(command):
    Path("in").mkdir()
    for name in ("a", "b日本", "c"):
        shutil.copy("in.png", f"in/{name}.png")
        shutil.copy("mask.png", f"in/{name}-mask.png")
    done = subprocess.run(
        [sys.executable, "-m", "inpaint", *command.split(), "--device", "cpu", "--steps", "1"],
        capture_output=True,
        env={**ENVIRONMENT, "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u65e5\u672c.png: 0 of" in done.stdout
    assert len(list(Path("out").glob("*"))) == 3 or Path("日本.png").exists()


@pytest.mark.parametrize("options", [{"out": "mask.png"}, {"out": "sub/../mask.png"}])
def test_a_result_never_goes_over_its_mask(options, capsys):
    Path("sub").mkdir()
    before = Path("mask.png").read_bytes()
    assert fill(**options) == 2
    err = capsys.readouterr().err
    assert "is the name of another file of this edit" in err and err.count("\n") == 1
    assert Path("mask.png").read_bytes() == before


def test_numbered_results_never_go_over_the_picture(capsys):
    Path("in.png").rename("out-1.png")
    before = Path("out-1.png").read_bytes()
    assert fill("--candidates", "2", picture="out-1.png") == 2
    assert "'out-1.png' is the name of another file" in capsys.readouterr().err
    assert Path("out-1.png").read_bytes() == before
    assert fill(picture="out-1.png", out="out-1.png") == 0  # in place, as was asked
