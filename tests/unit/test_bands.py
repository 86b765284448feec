"""Pictures of many bands: filled in their own depth, with all that the file says about them."""

import io

import numpy as np
import pytest

from inpaint import PictureError, edit, estimate, pictures
from inpaint.editing import Stopped
from inpaint.pictures import Picture

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


def test_extend_repair_and_create_take_bands():
    picture = bands(5)
    assert edit(picture, task="extend", left=5, **FAST).picture.pixels.shape == (40, 49, 5)
    assert edit(picture, MASK, task="repair", **FAST).receipt.changed == 0
    assert edit(picture, MASK, task="create", **FAST).receipt.changed == 0


def test_what_cannot_hold_bands_says_so(tmp_path):
    picture = bands(5)
    for format in ("PNG", "JPEG", "WEBP", "BMP"):
        with pytest.raises(PictureError, match="5 bands, which only TIFF holds"):
            pictures.encode(picture, format)
    with pytest.raises(PictureError, match="takes no colours from another"):
        edit(picture, MASK, task="replace", guide=np.zeros((9, 9, 3), np.uint8), **FAST)
    assert pictures.preview(picture, 20).size == (20, 18)


def test_diversity_of_bands():
    result = edit(bands(5), MASK, candidates=2, **FAST)
    assert result.diversity().shape == MASK.shape and result.diversity().any()
    assert not result.diversity()[~result.mask].any()
