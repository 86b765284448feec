"""Georeferences: the same thing in the picture lies in the same place of the map, or in none."""

import io

import numpy as np
import pytest
from PIL import Image

from inpaint import edit, pictures, project
from inpaint.pictures import georeference
from inpaint.visit import Visit

tifffile = pytest.importorskip("tifffile")
FAST = {"steps": 1, "device": "cpu"}
SCALE, TIES, MATRIX, KEYS, RPC = 33550, 33922, 34264, 34735, 50844
GEOTAGS = (SCALE, TIES, MATRIX, KEYS, 34736, 34737, RPC)
TIE = (3.0, 2.0, 0.0, 500000.0, 4600000.0, 12.0)
ROTATED = (8.0, -6.0, 0.0, 5e5, -6.0, -8.0, 0.0, 4.6e6, 0.0, 0.0, 1.0, 7.0, 0.0, 0.0, 0.0, 1.0)
POLYNOMIALS = (0.5, 0.1, 300.0, 200.0, 45.0, 7.0, 100.0, 310.0, 210.0, *np.linspace(0, 1, 83))
TIED = {
    "a scale": {SCALE: (10.0, 5.0, 0.0), TIES: TIE},
    "a matrix": {MATRIX: ROTATED},
    "three ties": {TIES: (*TIE, 30.0, 2.0, 0.0, 5e5, 4.7e6, 0.0, 3.0, 20.0, 0.0, 5e5, 4.8e6, 0.0)},
}
RASTERS = {"area": 1, "point": 2, "unsaid": None}


def scene(tied, raster, size=(20, 24), **options):
    """A GeoTIFF as another program writes it."""
    keys = [(1024, 0, 1, 1)] + ([(1025, 0, 1, raster)] if raster else [])
    directory = tuple(np.ravel([(1, 1, 0, len(keys)), *keys]).tolist())
    tags = [(code, "d", len(value), value, True) for code, value in tied.items()]
    tags += [(KEYS, "H", len(directory), directory, True), (34737, "s", 0, "WGS 84|", True)]
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, photometric="rgb", extratags=tags, metadata=None, **options)
    return out.getvalue()


def tags_of(data):
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return {code: tag.value for code in GEOTAGS if (tag := file.pages[0].tags.get(code))}


def place(tags, x, y):
    """Where on the map (x, y) lies, in pixels from the corner of the first one; by 7.3 alone."""
    keys = dict(np.reshape(tags[KEYS], (-1, 4))[1:, [0, 3]])
    i, j = np.subtract((x, y), 0.5 if keys.get(1025) == 2 else 0)
    if MATRIX in tags:
        return np.reshape(tags[MATRIX], (4, 4)) @ (i, j, 0, 1)
    ties = np.reshape(tags[TIES], (-1, 6))
    if SCALE in tags:
        (tie,), (across, down, _) = ties, tags[SCALE]
        return np.array([tie[3] + (i - tie[0]) * across, tie[4] - (j - tie[1]) * down])
    plane = np.column_stack([ties[:, :2], np.ones(3)])  # an affine map goes through three points
    return np.linalg.solve(plane, ties[:, 3:]).T @ (i, j, 1)


MASK = np.zeros((20, 24), bool)
MASK[5:9, 6:12] = True
USES = {  # task, settings, scale, offset
    "fill": ("fill", {"mask": MASK}, 1, (0, 0)),
    "create a part": ("create", {"mask": MASK}, 1, (0, 0)),
    "denoise": ("denoise", {}, 1, (0, 0)),
    "extend": ("extend", {"left": 6, "top": 4, "right": 3}, 1, (6, 4)),
    "enlarge": ("enlarge", {"scale": 2}, 2, (0, 0)),
    "vary": ("create", {"strength": 0.3}, 1, (0, 0)),
}


@pytest.mark.parametrize("raster", RASTERS)
@pytest.mark.parametrize("tied", TIED)
@pytest.mark.parametrize("use", USES)
def test_what_is_shown_stays_where_it_is_on_the_map(use, tied, raster):
    task, settings, scale, offset = USES[use]
    data = scene(TIED[tied], RASTERS[raster])
    result = edit(data, task=task, **FAST, **settings)
    before, after = tags_of(data), tags_of(result.candidates[0].encode("TIFF"))
    assert set(after) == set(before) and after[KEYS] == before[KEYS]
    assert (after == before) == (scale == 1 and offset == (0, 0))
    for x, y in [(0, 0), (0.5, 0.5), (7, 3), (24, 20)]:
        there = place(after, scale * x + offset[0], scale * y + offset[1])
        np.testing.assert_allclose(there, place(before, x, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("raster", RASTERS)
@pytest.mark.parametrize("tied", TIED)
def test_a_variation_that_shrinks_stays_where_it_is_on_the_map(tied, raster):
    data = scene(TIED[tied], RASTERS[raster], size=(15, 500))
    result = edit(data, task="create", strength=0.01, **FAST)
    assert result.picture.size == (384, 12)
    before, after = tags_of(data), tags_of(result.candidates[0].encode("TIFF"))
    for x, y in [(0, 0), (250.5, 7.5), (500, 15)]:
        there = place(after, x * 384 / 500, y * 12 / 15)
        np.testing.assert_allclose(there, place(before, x, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("tied", TIED)
def test_a_bigtiff_keeps_its_georeference(tied):
    data = scene(TIED[tied], 2, bigtiff=True)
    result = edit(data, mask=MASK, **FAST)
    assert tags_of(result.candidates[0].encode("TIFF")) == tags_of(data) != {}
    assert result.loss("out.tif") == ""


def test_what_is_made_anew_lies_nowhere_and_that_is_said():
    data = scene(TIED["a scale"], 1)
    result = edit(data, task="create", **FAST)
    assert not tags_of(result.candidates[0].encode("TIFF"))
    assert result.notes == ("A picture made anew shows no place: its georeference is left out.",)
    assert edit(pictures.read(data).pixels, task="create", **FAST).notes == ()


def test_rational_polynomials_count_centres_whatever_the_raster():
    exif = pictures.read(scene({RPC: POLYNOMIALS}, 1)).exif
    tags = Image.Exif()
    tags.load(georeference.moved(exif, (2, 4), (6, 3)))
    after = tags[RPC]
    assert after[2:4] == (300 * 4 + 3 + 1.5, 200 * 2 + 6 + 0.5)  # line, sample
    assert after[7:9] == (310 * 4, 210 * 2)
    assert (
        after[:2] + after[4:7] + after[9:] == POLYNOMIALS[:2] + POLYNOMIALS[4:7] + (POLYNOMIALS[9:])
    )


@pytest.mark.parametrize("tag, value", [(SCALE, (1.0, 2.0)), (TIES, "abc"), (KEYS, (1, 1, 0))])
def test_a_damaged_georeference_is_left_out(tag, value):
    tags = Image.Exif()
    tags[270], tags[SCALE], tags[TIES] = "a scene", (1.0, 1.0, 0.0), TIE
    tags[tag] = value
    left = Image.Exif()
    left.load(georeference.moved(tags.tobytes(), (2, 2)))
    assert dict(left) == {270: "a scene"}


@pytest.mark.parametrize("exif", [None, b"", b"II*\0", b"nonsense" * 9])
def test_other_metadata_is_not_touched(exif):
    assert georeference.moved(exif, (2, 2)) is exif
    assert georeference.without(exif) is exif


@pytest.mark.parametrize("task, more", [("extend", {"left": 6}), ("create", {})])
def test_a_project_keeps_the_georeference_of_a_result(task, more):
    data = scene(TIED["a scale"], 2)
    picture = pictures.read(data)
    visit = Visit.begin("scene", data, picture)
    result = edit(picture, task=task, **FAST, **more)
    visit.add(result, None, picture, "Done.")
    again, _ = project.open_project(project.save(visit, None))
    assert again.runs[0].picture().exif == result.picture.exif != picture.exif
    assert again.runs[0].before.exif == picture.exif
