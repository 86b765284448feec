"""Pictures of many bands: filled in their own depth, with all that the file says about them."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from inpaint import PictureError, edit, estimate, pictures, project
from inpaint.cli import main
from inpaint.editing import Stopped, proposal
from inpaint.pictures import Picture
from inpaint.preparing import PREPARE, Request
from inpaint.settings import Settings
from inpaint.tasks import TASKS
from inpaint.visit import Visit

tifffile = pytest.importorskip("tifffile")
RNG = np.random.default_rng(0)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True
FAST = {"steps": 2, "device": "cpu"}
GEO = {
    33550: ("d", (10.0, 10.0, 0.0)),
    33922: ("d", (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0)),
    34735: ("H", (1, 1, 0, 1, 1024, 0, 1, 1)),
    34736: ("d", (1.5, 2.5)),
    34737: ("s", "WGS 84 / UTM|"),
    42112: ("s", '<GDALMetadata><Item name="a">b</Item></GDALMetadata>\n'),
    42113: ("s", "0"),
}
KINDS = {
    "grey": ((40, 44), {}),
    "rgb": ((40, 44, 3), {"photometric": "rgb"}),
    "rgb, near infrared": ((40, 44, 4), {"photometric": "rgb", "extrasamples": [0]}),
    "two": ((40, 44, 2), {"photometric": "minisblack", "extrasamples": [0]}),
    "five": ((40, 44, 5), {"photometric": "minisblack", "extrasamples": [0] * 4}),
    "five planes": (
        (5, 40, 44),
        {"photometric": "minisblack", "planarconfig": "separate", "extrasamples": [0] * 4},
    ),
    "seven, deflated": (
        (40, 44, 7),
        {"photometric": "minisblack", "extrasamples": [0] * 6, "compression": "zlib"},
    ),
}

LAYOUTS = [
    {},
    {"compression": "zlib"},
    {"rowsperstrip": 7},
    {"tile": (16, 32)},
    {"tile": (16, 32), "compression": "zlib"},
]


def tiff(array, **options):
    """A GeoTIFF as another program writes it."""
    tags = [
        (code, kind, 0 if kind == "s" else len(value), value, True)
        for code, (kind, value) in GEO.items()
    ]
    out = io.BytesIO()
    if array.ndim == 3 and "planarconfig" not in options:
        options["planarconfig"] = "contig"
    tifffile.imwrite(out, array, extratags=tags, metadata=None, description="a scene", **options)
    return out.getvalue()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("more", LAYOUTS, ids=str)
def test_every_layout_is_read_as_another_program_reads_it(order, planes, more):
    array = RNG.integers(1, 65536, (40, 44, 5)).astype(np.uint16)
    given = np.moveaxis(array, 2, 0) if planes == "separate" else array
    options = {"photometric": "minisblack", "extrasamples": [0] * 4, **more}
    data = tiff(given, planarconfig=planes, byteorder=order, **options)
    np.testing.assert_array_equal(pictures.read(data).pixels, array)
    with pytest.raises(PictureError):
        pictures.read(data[: -len(data) // 3])


def packed(data, code):
    """Pack the strips of an uncompressed TIFF by Pillow, with LZW (5) or PackBits (32773)."""
    name = {5: "tiff_lzw", 32773: "packbits"}[code]
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        order = file.byteorder
        where = {tag: page.tags[tag].valueoffset for tag in (259, 273, 279)}
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    assert len(spans) == 1
    (start, length), strip = spans[0], io.BytesIO()
    row = np.frombuffer(data[start : start + length], np.uint8)[None]
    Image.fromarray(row).save(strip, "TIFF", compression=name)
    with Image.open(strip) as image:
        [at], [count] = image.tag_v2[273], image.tag_v2[279]
    out = bytearray(data) + strip.getvalue()[at : at + count]
    for tag, kind, value in ((259, "H", code), (273, "I", len(data)), (279, "I", count)):
        struct.pack_into(order + kind, out, where[tag], value)
    return bytes(out)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", [5, 32773])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_packed_by_other_means_are_read(order, code, dtype):
    array = RNG.integers(1, 250, (40, 44, 5)).astype(dtype)
    options = {"photometric": "minisblack", "extrasamples": [0] * 4, "rowsperstrip": 40}
    data = packed(tiff(array, byteorder=order, **options), code)
    picture = pictures.read(data)
    assert picture.bands and np.array_equal(picture.pixels, array)
    again = pictures.read(pictures.encode(picture, "TIFF"))
    assert np.array_equal(again.pixels, array)
    with pytest.raises(PictureError):
        pictures.read(data[: -len(data) // 3])


def opened(data):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        tags = {code: page.tags[code].value for code in (*GEO, 270) if code in page.tags}
        return page.asarray(), tags, page


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", KINDS)
def test_every_band_is_filled_and_nothing_else_touched(kind, dtype):
    shape, options = KINDS[kind]
    array = RNG.integers(1, np.iinfo(dtype).max, shape).astype(dtype)
    data = tiff(array, **options)
    result = edit(data, MASK, **FAST)
    saved = result.candidates[0].encode("TIFF")
    after, tags, page = opened(saved)
    assert tags == opened(data)[1] and len(tags) == 8
    before = np.moveaxis(array, 0, -1) if "planarconfig" in options else array
    assert after.dtype == dtype and after.shape == before.shape
    assert np.array_equal(after[~result.mask], before[~result.mask])
    assert result.receipt.changed == 0
    inner = (after != before)[14:22, 16:24].reshape(64, -1)
    assert (inner.mean(axis=0) > 0.8).all(), "a band was left as it was"
    wanted = options.get("extrasamples", [])
    assert list(page.tags[338].value if 338 in page.tags else ()) == wanted
    again = pictures.read(saved)
    assert np.array_equal(again.pixels, result.picture.pixels)


@pytest.mark.parametrize(("task", "more"), [("denoise", {}), ("deblur", {"blur": 1.0})])
def test_each_group_of_bands_is_restored_by_its_own_noise(task, more):
    clean = np.full((96, 96, 6), 128.0)
    noisy = clean.copy()
    noisy[..., 3:] += RNG.normal(0, 25, (96, 96, 3))
    picture = Picture(noisy.clip(0, 255).astype(np.uint8), bands=True)
    result = edit(picture, task=task, steps=1, device="cpu", **more)
    after = result.picture.pixels - clean
    assert np.abs(after[..., :3]).max() <= 4 and after[..., 3:].std() < 35
    if task == "denoise":
        assert after[..., 3:].std() < 10
        assert str(result.receipt).startswith("Noise of 0.0, 2")


def test_the_receipt_of_deblurring_is_over_all_bands():
    picture = Picture(np.full((40, 44, 6), 128, np.uint8), bands=True)
    spoilt = picture.pixels.copy()
    spoilt[..., 3:] += 60
    request = Request(picture, None, None, Settings(task="deblur"))
    said = PREPARE["deblur"].promise(request, Picture(spoilt, bands=True))
    assert f"by {60 / 2**0.5:.1f} of 255" in said


def bands(count, size=(40, 44)):
    return Picture(RNG.integers(0, 65536, (*size, count), np.uint16), format="TIFF", bands=True)


def test_groups_of_bands():
    picture = bands(5)
    assert [picture.groups, bands(3).groups, bands(7).groups] == [2, 1, 3]
    assert Picture(picture.pixels[..., :3]).groups == 1
    both = [picture.rgb(group=g) for g in (0, 1)]
    assert np.array_equal(both[1][..., 1], both[1][..., 2]), "filled up with the last"
    back = np.rint(picture.native(np.concatenate(both, axis=2)))
    assert np.array_equal(back.astype(np.uint16), picture.pixels)


def test_a_group_costs_what_a_picture_costs():
    one, three = (edit(bands(n), MASK, **FAST) for n in (3, 8))
    assert three.evaluations == 3 * one.evaluations
    assert estimate(bands(8), MASK, **FAST).evaluations == three.evaluations


def test_stop_in_the_middle_of_the_bands_keeps_the_rest():
    picture = bands(8)
    planned = estimate(picture, MASK, **FAST).evaluations

    def stop(moment):
        assert moment.total == planned
        if moment.number > planned // 3:
            raise Stopped

    result = edit(picture, MASK, progress=stop, **FAST)
    changed = (result.picture.pixels != picture.pixels).any(axis=(0, 1))
    assert not result.finished and changed.tolist() == [True] * 6 + [False] * 2
    assert result.receipt.changed == 0


SCENES = {
    2: {"photometric": "minisblack", "extrasamples": [0]},
    4: {"photometric": "rgb", "extrasamples": [0]},
    5: {"photometric": "minisblack", "extrasamples": [0] * 4},
}
GUIDE = np.zeros((9, 9, 3), np.uint8)
USES = {
    "fill": ("fill", {"mask": MASK}),
    "extend": ("extend", {"left": 5}),
    "repair": ("repair", {"mask": MASK}),
    "repair what is found": ("repair", {}),
    "replace": ("replace", {"mask": MASK}),
    "create": ("create", {}),
    "create a part": ("create", {"mask": MASK}),
    "vary": ("create", {"strength": 0.5}),
    "enlarge": ("enlarge", {}),
    "denoise": ("denoise", {}),
    "denoise a part": ("denoise", {"mask": MASK}),
    "deblur": ("deblur", {}),
    "deblur a part": ("deblur", {"mask": MASK}),
    "paste": ("replace", {"guide": GUIDE}),
    "restyle": ("restyle", {"guide": GUIDE}),
    "colourise": ("colourise", {}),
    "colourise by strokes": ("colourise", {"guide": GUIDE}),
}
REFUSED = ("paste", "restyle", "colourise", "colourise by strokes")


def test_every_task_is_tried():
    assert {task for task, _ in USES.values()} == set(TASKS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", SCENES)
@pytest.mark.parametrize("use", [use for use in USES if use not in REFUSED])
def test_every_task_gives_all_bands_back(use, count, dtype, tmp_path):
    task, settings = USES[use]
    # Each band has values of its own, so that none can be taken for another.
    array = RNG.integers(0, 40, (40, 44, count)) + 50 * np.arange(count)
    array = (array * (np.iinfo(dtype).max // 255)).astype(dtype)
    result = edit(tiff(array, **SCENES[count]), task=task, **FAST, **settings)
    result.save(tmp_path / "out.tif")
    after, _, page = opened((tmp_path / "out.tif").read_bytes())
    assert after.dtype == dtype and after.shape == (*result.mask.shape, count)
    assert list(page.tags[338].value) == SCENES[count]["extrasamples"]
    assert np.array_equal(pictures.read(tmp_path / "out.tif").pixels, after)
    if task == "enlarge":
        means = after.reshape(40, 2, 44, 2, count).mean((1, 3))
        assert np.array_equal(means, array) and "exactly" in str(result.receipt)
        return
    inside = result.mask
    if task == "extend":
        assert after.shape == (40, 49, count)
        after, inside = after[:, 5:], inside[:, 5:]
    assert np.array_equal(after[~inside], array[~inside])
    if task in ("fill", "replace", "create"):
        means = after[inside].reshape(-1, count).mean(0) / (np.iinfo(dtype).max // 255)
        assert np.abs(means - 20 - 50 * np.arange(count)).max() < 20, "bands are mixed up"


@pytest.mark.parametrize("count", SCENES)
@pytest.mark.parametrize("use", REFUSED)
def test_bands_that_cannot_be_coloured_are_refused_before_the_work(use, count):
    task, settings = USES[use]
    array = RNG.integers(0, 256, (40, 44, count)).astype(np.uint8)
    data = tiff(array, **SCENES[count])

    def working(moment):
        raise AssertionError("it works")

    wanted = f"This picture has {count} bands, which take no colours: save one"
    with pytest.raises(PictureError, match=wanted) as refusal:
        edit(data, task=task, progress=working, **FAST, **settings)
    assert str(refusal.value).count(".") == 1
    with pytest.raises(PictureError, match=wanted):
        estimate(pictures.read(data), task=task, device="cpu", **settings)


def test_bands_made_in_python_are_saved_too():
    saved = pictures.encode(bands(5))
    assert opened(saved)[0].shape == (40, 44, 5)
    assert pictures.read(saved).bands


def test_the_command_line_refuses_a_format_without_bands_before_the_work(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("inpaint.editing.edit", lambda *args, **settings: pytest.fail("it works"))
    array = RNG.integers(0, 256, (40, 44, 5)).astype(np.uint8)
    (tmp_path / "scene.tif").write_bytes(tiff(array, **SCENES[5]))
    assert main(["enlarge", str(tmp_path / "scene.tif"), "-o", str(tmp_path / "out.png")]) != 0
    assert "has 5 bands, which only TIFF holds: name it .tif" in capsys.readouterr().err


def test_a_geotiff_is_read_in_silence(capfd):
    array = RNG.integers(0, 65536, (40, 44, 3)).astype(np.uint16)
    assert np.array_equal(pictures.read(tiff(array, photometric="rgb")).pixels, array)
    assert capfd.readouterr().err == ""


def test_what_cannot_hold_bands_says_so(tmp_path):
    picture = bands(5)
    for format in ("PNG", "JPEG", "WEBP", "BMP"):
        with pytest.raises(PictureError, match="5 bands, which only TIFF holds"):
            pictures.encode(picture, format)
    assert pictures.preview(picture, 20).size == (20, 18)


def test_diversity_of_bands():
    result = edit(bands(5), MASK, candidates=2, **FAST)
    assert result.diversity().shape == MASK.shape and result.diversity().any()
    assert not result.diversity()[~result.mask].any()


def test_damage_is_found_in_any_band():
    pixels = np.full((120, 160, 6), 120, np.uint8)
    pixels[10:110, 80:82, 3:] = 250  # a scratch, in the second three alone
    picture = Picture(pixels, format="TIFF", bands=True, extras={"bands": (1, (0,) * 6)})
    alone = Picture(np.ascontiguousarray(pixels[..., 3:]))
    assert proposal(picture).any()
    np.testing.assert_array_equal(proposal(picture), proposal(alone))


def test_a_project_keeps_every_band():
    array = RNG.integers(0, 65536, (40, 44, 5)).astype(np.uint16)
    data = tiff(array, **SCENES[5])
    visit = Visit.begin("scene", data, pictures.read(data))
    for more in ({"mask": MASK}, {"task": "extend", "left": 3}):
        result = edit(visit.original, **FAST, **more)
        visit.add(result, None, visit.original, "Done.")
    again, _ = project.open_project(project.save(visit, None))
    for old, new in zip(visit.runs, again.runs, strict=True):
        assert np.array_equal(new.picture().pixels, old.picture().pixels)
        assert new.picture().bands
