import dataclasses
import io
import os
import struct
import subprocess
import sys
import tempfile

import cv2
import jpeglib
import numpy as np
import pytest
from PIL import Image, ImageOps

from inpaint import pictures
from inpaint.pictures import jpeg

RNG = np.random.default_rng(3)
SAMPLINGS = {
    f"{name}": (getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}"), across, down)
    for name, across, down in [
        ("444", 1, 1), ("422", 2, 1), ("420", 2, 2), ("440", 1, 2), ("411", 4, 1),
    ]
}  # fmt: skip
SIZES = [(96, 128), (101, 147), (67, 49)]  # (height, width)


def photograph(height, width, channels=3):
    """Make something with edges, texture and colour."""
    small = RNG.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3), np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(large + RNG.normal(0, 9, large.shape), 0, 255).astype(np.uint8)
    return noisy if channels == 3 else noisy[..., 0]


def written(array, sampling="420", progressive=0, quality=83):
    """Encode with OpenCV, which knows all samplings."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    if array.ndim == 3:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling][0]]
        array = array[..., ::-1]
    return cv2.imencode(".jpg", array, options)[1].tobytes()


def saved(array, mode=None, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, "JPEG", **options)
    return out.getvalue()


def with_exif(data, block):
    """Put EXIF behind the start of a JPEG."""
    length = struct.pack(">H", len(block) + 8)
    return data[:2] + b"\xff\xe1" + length + b"Exif\0\0" + block + data[2:]


def exif(orientation, thumbnail=b""):
    ifd1 = 38 if thumbnail else 0
    block = b"MM\0*" + struct.pack(">IH", 8, 2) + struct.pack(">HHII", 0x010F, 2, 4, 0x41414100)
    block += struct.pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, ifd1)
    if thumbnail:
        entries = (2, 0x0201, 4, 1, 68, 0x0202, 4, 1, len(thumbnail), 0)
        block += struct.pack(">HHHIIHHIII", *entries) + thumbnail
    return block


def raw(data):
    """Decode as it lies in the file, not upright."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).reshape(image.height, image.width, -1)


def coefficients(data, folder):
    path = folder / "x.jpg"
    path.write_bytes(data)
    found = jpeglib.read_dct(str(path))
    return [plane for plane in (found.Y, found.Cb, found.Cr) if plane is not None]


def repaint(picture, box):
    """Fill box (x0, y0, x1, y1) with its negative; returns the picture and where it is."""
    x0, y0, x1, y1 = box
    pixels, mask = picture.pixels.copy(), np.zeros(picture.pixels.shape[:2], bool)
    pixels[y0:y1, x0:x1] = 255 - pixels[y0:y1, x0:x1]
    mask[y0:y1, x0:x1] = (pixels != picture.pixels).any(axis=2)[y0:y1, x0:x1]
    return dataclasses.replace(picture, pixels=pixels), mask


def far(mask, across, down):
    """Mark pixels more than (across, down) away from the mask."""
    return ~cv2.dilate(mask.astype(np.uint8), np.ones((2 * down + 1, 2 * across + 1))).astype(bool)


BOX = (21, 30, 34, 39)


@pytest.mark.parametrize("progressive", [0, 1], ids=["sequential", "progressive"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_pixels_away_from_the_edit_are_identical(sampling, size, progressive):
    data = written(photograph(*size), sampling, progressive)
    edited, mask = repaint(pictures.read(data), BOX)
    again = raw(pictures.encode(edited))
    _, across, down = SAMPLINGS[sampling]
    away = far(mask, 8 * across, 8 * down)
    assert 0.2 < away.mean() < 1
    np.testing.assert_array_equal(again[away], raw(data)[away])
    plain = raw(written(edited.pixels, sampling))
    for where in (mask, ~away):
        ours, theirs = (np.abs(d.astype(int) - edited.pixels)[where].mean() for d in (again, plain))
        assert ours < 1.1 * theirs


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_coefficients_of_untouched_blocks_are_identical(sampling, size, tmp_path):
    data = written(photograph(*size), sampling)
    height, width = size
    box = (width - 5, height - 3, width, height)  # the last, incomplete blocks
    edited, mask = repaint(pictures.read(data), box)
    before, after = (coefficients(d, tmp_path) for d in (data, pictures.encode(edited)))
    _, across, down = SAMPLINGS[sampling]
    for channel, (old, new) in enumerate(zip(before, after, strict=True)):
        assert old.shape == new.shape
        high, wide = (8, 8) if channel == 0 else (8 * down, 8 * across)
        differ = (old != new).any(axis=(2, 3))
        for row, column in np.ndindex(differ.shape):
            under = mask[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            assert not differ[row, column] or under.any(), (channel, row, column)
        if channel == 0:
            assert differ.any()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_new_blocks_are_as_good_as_those_of_libjpeg(sampling):
    data = written(photograph(101, 147), sampling)
    other = photograph(101, 147)
    picture = dataclasses.replace(pictures.read(data), pixels=other)
    ours, theirs = (
        np.abs(raw(d).astype(int) - other).mean()
        for d in (pictures.encode(picture), written(other, sampling))
    )
    assert ours < theirs * 1.02


@pytest.mark.parametrize("progressive", [0, 1])
def test_grey(progressive, tmp_path):
    data = written(photograph(61, 83, 1), progressive=progressive)
    edited, mask = repaint(pictures.read(data), BOX)
    again = pictures.encode(edited)
    [old], [new] = coefficients(data, tmp_path), coefficients(again, tmp_path)
    differ = (old != new).any(axis=(2, 3))
    assert differ[3:5, 2:5].all() and differ.sum() == 6
    away = far(mask, 8, 8)
    np.testing.assert_array_equal(raw(again)[away], raw(data)[away])
    assert np.abs(raw(again).astype(int) - edited.pixels).mean() < 9


def test_nothing_changed_keeps_every_coefficient(tmp_path):
    data = written(photograph(101, 147))
    again = pictures.encode(pictures.read(data), text={"inpaint": "x"})
    for old, new in zip(*(coefficients(d, tmp_path) for d in (data, again)), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(raw(again), raw(data))


def test_tables_of_another_order_and_restarts():
    tables = [[3] * 64, [40] * 64, [9] * 64]  # Cb and Cr have their own
    data = saved(
        photograph(101, 147), qtables=tables, subsampling=2, restart_marker_blocks=3, optimize=True
    )
    edited, mask = repaint(pictures.read(data), BOX)
    away = far(mask, 16, 16)
    np.testing.assert_array_equal(raw(pictures.encode(edited))[away], raw(data)[away])


def test_fill_bytes_and_what_follows_the_picture(tmp_path):
    data = written(photograph(61, 83))
    at = data.index(b"\xff\xdb")
    longer = data[:at] + b"\xff\xff" + data[at:] + data[-700:]  # as telephones append films
    assert jpeg.essence(longer) == jpeg.essence(data)
    again = pictures.encode(pictures.read(longer))
    for old, new in zip(*(coefficients(d, tmp_path) for d in (data, again)), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation, tmp_path):
    data = with_exif(written(photograph(101, 147)), exif(orientation))
    edited, mask = repaint(pictures.read(data), BOX)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(
            pictures.read(data).pixels, np.asarray(ImageOps.exif_transpose(image))
        )
    again = pictures.encode(edited)
    with Image.open(io.BytesIO(again)) as image:
        assert (image.size, image.getexif()[0x0112]) == ((147, 101), orientation)
        assert image.getexif()[0x010F] == "AAA"
    found = pictures.read(again)
    assert found.exif == edited.exif
    away = far(mask, 16, 16)
    np.testing.assert_array_equal(found.pixels[away], pictures.read(data).pixels[away])
    assert np.abs(found.pixels.astype(int) - edited.pixels).mean() < 9
    for format in ("PNG", "TIFF", "WEBP"):
        other = pictures.encode(edited, format)
        with Image.open(io.BytesIO(other)) as image:
            assert image.size == edited.size and image.getexif().get(0x0112, 1) == 1
    twice = pictures.encode(repaint(found, BOX)[0])
    np.testing.assert_array_equal(pictures.read(twice).pixels[away], found.pixels[away])


@pytest.mark.parametrize("kind", ["blocks kept", "encoded afresh"])
def test_iptc_travels_without_the_thumbnails_beside_it(kind):
    caption = b"\x1c\x02\x78\0\x07a day..\x1c\x02\x50\0\x04Jane"
    data = {"blocks kept": written(photograph(61, 83)), "encoded afresh": RARE["cmyk"]}[kind]
    resources = b"Photoshop 3.0\0"
    for code, body in ((1033, b"FACE"), (0x0404, caption), (1036, b"FACE")):
        resources += b"8BIM" + struct.pack(">HHI", code, 0, len(body)) + body
        resources += bytes(len(body) % 2)
    data = data[:2] + b"\xff\xed" + struct.pack(">H", len(resources) + 2) + resources + data[2:]
    edited, _ = repaint(pictures.read(data), BOX)
    again = pictures.encode(edited)
    with Image.open(io.BytesIO(again)) as image:
        assert image.info["photoshop"] == {0x0404: caption} and b"FACE" not in again
    with Image.open(io.BytesIO(pictures.encode(edited, "TIFF"))) as image:
        assert image.tag_v2[33723] == caption
    lost = [pictures.losses(edited, format) for format in ("JPEG", "TIFF", "PNG")]
    assert ["its IPTC" in some for some in lost] == [False, False, True]
    previewed = data.replace(b"\x1c\x02\x78", b"\x1c\x02\xca")
    assert b"a day" not in pictures.encode(pictures.read(previewed))


def test_orientation_in_xmp_follows():
    packet = b'<rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF>'
    data = saved(photograph(40, 60), exif=b"Exif\0\0" + exif(6), xmp=packet)
    picture = pictures.read(data)
    assert b'Orientation="1"' in picture.extras["xmp"]
    assert b'Orientation="6"' in pictures.encode(picture)
    bare = pictures.encode(dataclasses.replace(picture, exif=None))  # nowhere to say it
    with Image.open(io.BytesIO(bare)) as image:
        assert image.size == (40, 60) and b'Orientation="1"' in image.info["xmp"]


RECIPE = '{"seed": 7, "note": "<ü & \\"quotes\\">\\n"}'


def test_metadata_are_ours_and_not_the_source():
    profile = b"p" * 70_000  # two segments
    data = saved(
        photograph(101, 147),
        exif=b"Exif\0\0" + exif(6, b"SECRET FACE"),
        icc_profile=profile,
        comment=b"a comment",
        dpi=(300, 300),
    )
    first = pictures.encode(pictures.read(data), text={"inpaint": "old", "other": "kept"})
    again = pictures.encode(pictures.read(first), text={"inpaint": RECIPE})
    np.testing.assert_array_equal(raw(again), raw(data))
    assert pictures.embedded_text(again) == {"inpaint": RECIPE, "other": "kept"}
    assert b"SECRET" not in again and b"old" not in again
    with Image.open(io.BytesIO(again)) as image:
        assert image.info["icc_profile"] == profile
        assert image.info["comment"] == b"a comment"
        assert image.info["dpi"] == (300, 300)
        assert image.getexif()[0x010F] == "AAA"
    assert again.count(b"JFIF\0") == 1
    assert pictures.encode(dataclasses.replace(pictures.read(data), icc=None)).find(b"ICC_") == -1


# What is encoded afresh


def rgb_coded():
    out = io.BytesIO()
    Image.fromarray(photograph(40, 60)).save(out, "JPEG", keep_rgb=True, subsampling=0)
    return out.getvalue()


def altered(name, at, value):
    """Change one byte of a segment of a JPEG."""
    data = bytearray(written(photograph(40, 60)))
    data[data.index(bytes([0xFF, name])) + at] = value
    return bytes(data)


RARE = {
    "cmyk": saved(np.dstack([photograph(40, 60), photograph(40, 60, 1)]), "CMYK"),
    "rgb": rgb_coded(),
    "arithmetic": altered(0xC0, 1, 0xC9),
    "12 bits": altered(0xC0, 4, 12),
    "lossless": altered(0xC0, 1, 0xC3),
    "two thirds": altered(0xC0, 14, 0x31),
    "cut": written(photograph(40, 60))[:300],
    "nothing": b"\xff\xd8\xff",
}


@pytest.mark.parametrize("data", RARE.values(), ids=RARE)
def test_rare_kinds_are_not_taken_on(data):
    assert jpeg.essence(data) is None


@pytest.mark.parametrize("kind", ["cmyk", "rgb"])
def test_rare_kinds_are_encoded_afresh(kind):
    data = with_exif(RARE[kind], exif(6))
    edited, _ = repaint(pictures.read(data), BOX)
    again = pictures.read(pictures.encode(edited, text={"inpaint": "x"}))
    assert again.size == edited.size == (40, 60)
    assert np.abs(again.pixels.astype(int) - edited.pixels).mean() < 12
    assert pictures.embedded_text(again) == {"inpaint": "x"}


def test_another_size_or_kind_is_encoded_afresh():
    picture = pictures.read(with_exif(written(photograph(40, 60)), exif(8)))
    wider = np.pad(picture.pixels, [(0, 0), (16, 16), (0, 0)], mode="edge")
    again = pictures.read(pictures.encode(dataclasses.replace(picture, pixels=wider)))
    assert again.size == (72, 60)
    assert np.abs(again.pixels.astype(int) - wider).mean() < 9
    grey = dataclasses.replace(picture, pixels=picture.pixels[..., :1])
    assert pictures.read(pictures.encode(grey)).pixels.shape == (60, 40, 1)
    clear = np.full((60, 40), 255, np.uint8)
    clear[:20] = 0
    over = pictures.read(pictures.encode(dataclasses.replace(picture, alpha=clear)))
    assert (over.pixels[:8] > 245).all()


def test_a_failure_anywhere_is_encoded_afresh(monkeypatch, tmp_path):
    data = written(photograph(101, 147))
    edited, mask = repaint(pictures.read(data), BOX)
    shell = saved(np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")
        assert pictures.losses(edited, "JPEG") == []
        assert jpeg.encode(Image.fromarray(edited.pixels), edited.extras["jpeg"], shell) is None
        assert pictures.losses(edited, "JPEG") == [pictures.DIGITS]
        assert pictures.read(pictures.encode(edited)).size == edited.size
    monkeypatch.setattr(tempfile, "tempdir", None)
    pictures.encode(edited)
    assert pictures.losses(edited, "JPEG") == []
    monkeypatch.setitem(sys.modules, "jpeglib", None)  # as if it were not installed
    jpeg._library.cache_clear()
    assert jpeg.encode(Image.fromarray(edited.pixels), edited.extras["jpeg"], shell) is None
    again = raw(pictures.encode(edited))
    assert np.abs(again.astype(int) - edited.pixels).mean() < 9
    assert (again != raw(data)).any(axis=2)[far(mask, 16, 16)].any()
    assert pictures.losses(edited, "JPEG") == [pictures.DIGITS]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a temporary folder is needed")
def test_a_full_temporary_folder_costs_no_pixel(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    data = written(photograph(101, 147))
    edited, mask = repaint(pictures.read(data), BOX)
    again, open_before = raw(pictures.encode(edited)), len(os.listdir("/proc/self/fd"))
    np.testing.assert_array_equal(again[far(mask, 16, 16)], raw(data)[far(mask, 16, 16)])
    pictures.encode(edited)
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_temporary_files_are_removed(monkeypatch, tmp_path, platform):
    if platform == "darwin":
        monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = written(photograph(101, 147))
    edited, _ = repaint(pictures.read(data), BOX)
    shell = saved(np.zeros((1, 1, 3), np.uint8))
    assert jpeg.encode(Image.fromarray(edited.pixels), edited.extras["jpeg"], shell)
    assert os.listdir(tmp_path) == []
    bogus = b"\xff\xc4\0\x13\1" + b"\xff" * 16
    broken = edited.extras["jpeg"].replace(b"\xff\xc4", bogus + b"\xff\xc4")
    assert jpeg.encode(Image.fromarray(edited.pixels), broken, shell) is None
    zero = bytearray(edited.extras["jpeg"])
    zero[zero.index(b"\xff\xdb") + 9] = 0
    with np.errstate(all="ignore"):
        assert jpeg.encode(Image.fromarray(edited.pixels), bytes(zero), shell) is None
    assert os.listdir(tmp_path) == []


def test_a_result_that_differs_elsewhere_is_not_used():
    data = written(photograph(101, 147))
    edited, _ = repaint(pictures.read(data), BOX)
    image, source = Image.fromarray(edited.pixels), edited.extras["jpeg"]
    assert jpeg.encode(image, source, data)
    assert jpeg.encode(image, source, RARE["rgb"]) is None  # its header says that it is RGB


def test_blocks_come_out_the_same_in_any_portion(monkeypatch):
    data = written(photograph(67, 49))
    edited, _ = repaint(pictures.read(data), (3, 4, 44, 60))
    want = pictures.encode(edited)
    monkeypatch.setattr(jpeg, "_AT_ONCE", 7)
    assert pictures.encode(edited) == want


def test_a_header_that_only_libjpeg_refuses_is_an_error(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(bytes(1000))
    code = (
        "import sys, pathlib; from inpaint.pictures import jpeg\n"
        "try: jpeg._read(pathlib.Path(sys.argv[1]), (8, 8), [(1, 1)])\n"
        "except ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "the source cannot be read")


DAMAGE = """
import dataclasses, sys
import numpy as np
from PIL import Image
from inpaint import pictures
from inpaint.pictures import jpeg
rng = np.random.default_rng(5)
seeds = [open(path, "rb").read() for path in sys.argv[2:]]
read = kept = 0
for turn in range(int(sys.argv[1])):
    data = bytearray(seeds[turn % len(seeds)])
    reach = len(data) if turn % 3 else data.index(b"\\xff\\xda") + 14
    for at in rng.integers(2, reach, rng.integers(1, 4)):
        data[at] = rng.integers(256)
    try:
        picture = pictures.read(bytes(data), max_pixels=10**6)
    except pictures.PictureError:
        continue
    read += 1
    pixels = picture.pixels.copy()
    pixels[5:12, 7:15] ^= 99
    again = pictures.encode(dataclasses.replace(picture, pixels=pixels), "JPEG")
    pictures.read(again)
    source = picture.extras.get("jpeg")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    kept += bool(source and jpeg.encode(image, source, again))
print(read, kept)
"""


def test_damaged_files_cannot_end_the_process(tmp_path):
    seeds = {
        f"{name}-{progressive}": written(photograph(45, 52), name, progressive)
        for name, progressive in [("444", 0), ("420", 0), ("420", 1), ("411", 0)]
    } | {"grey": written(photograph(45, 52, 1)), "rgb": rgb_coded()}
    for name, data in seeds.items():
        (tmp_path / name).write_bytes(data)
    files = [str(tmp_path / name) for name in seeds]
    command = [sys.executable, "-c", DAMAGE, "400", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    read, kept = map(int, done.stdout.split())
    assert read > 150 and kept > 50
