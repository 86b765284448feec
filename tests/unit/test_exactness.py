"""Outside of the band nothing changes, whatever the picture, the mask, the task and the model."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import conditional
from PIL import Image

from inpaint import pictures
from inpaint.editing import edit
from inpaint.pictures import Picture

SIDES = st.one_of(st.integers(1, 12), st.integers(13, 70), st.sampled_from([5000, 1025]))
ISLANDS = ("one pixel", "corner", "border", "islands", "stripe", "all but one")


def mask_of(kind, height, width, rng):
    mask = np.zeros((height, width), bool)
    if kind == "one pixel":
        mask[rng.integers(height), rng.integers(width)] = True
    elif kind == "corner":
        mask[: max(1, min(9, height // 2)), : max(1, min(9, width // 2))] = True
    elif kind == "border":
        mask[:2, : min(width, 40)] = mask[: min(height, 40), :2] = True
    elif kind == "islands":
        for _ in range(12):
            mask[rng.integers(height), rng.integers(width)] = True
    elif kind == "stripe":
        mask[: min(height, 60), width // 2] = True
    else:  # all but one of a small window
        mask[: min(height, 20), : min(width, 20)] = True
        mask[0, 0] = False
    return mask


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    conditional().save_pretrained(folder)
    return str(folder)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.tuples(SIDES, SIDES).filter(lambda s: s[0] * s[1] < 400_000),
    channels=st.sampled_from([1, 3, 4]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    alpha=st.booleans(),
    kind=st.sampled_from(ISLANDS),
    task=st.sampled_from(["fill", "repair"]),
    own=st.booleans(),
    grow=st.integers(0, 4),
    feather=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_outside_nothing_changes(
    network, size, channels, dtype, alpha, kind, task, own, grow, feather, seed
):
    rng = np.random.default_rng(seed)
    height, width = size
    top = int(np.iinfo(dtype).max) + 1
    before = Picture(
        rng.integers(0, top, (height, width, channels), dtype),
        rng.integers(0, top, (height, width), dtype) if alpha else None,
    )
    mask = mask_of(kind, height, width, rng)
    chosen = {"model": network if own else "self", "grow": grow, "feather": feather}
    try:
        result = edit(before, mask, task=task, steps=1, device="cpu", seed=seed, **chosen)
    except ValueError as error:  # nothing is left that is known, or nothing was painted
        assert "\n" not in str(error)
        assert mask.all() or not mask.any() or grow
        return
    after = result.picture
    assert after.size == before.size and after.pixels.dtype == before.pixels.dtype
    assert after.pixels.shape == before.pixels.shape
    np.testing.assert_array_equal(after.pixels[~result.mask], before.pixels[~result.mask])
    if alpha:
        filled = mask & (before.alpha < before.maximum / 2) & (task == "fill")
        assert (after.alpha[filled] == before.maximum).all()
        kept = ~result.mask | (task == "repair")
        np.testing.assert_array_equal(after.alpha[kept], before.alpha[kept])
        assert (after.alpha >= before.alpha).all()
    # The band is no wider than it was asked to be.
    near = np.pad(mask, grow + 1)
    rows, columns = np.nonzero(mask)
    far = ~near[grow + 1 : -grow - 1, grow + 1 : -grow - 1]
    for row, column in zip(rows, columns, strict=True):
        far[
            max(0, row - grow) : row + grow + 1,
            max(0, column - grow) : column + grow + 1,
        ] = False
    np.testing.assert_array_equal(after.pixels[far], before.pixels[far])
    assert result.receipt.changed == 0


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("mode", MODES)
def test_a_saved_file_decodes_to_the_same_outside(mode, format):
    values = np.random.default_rng(3).integers(0, 256, (30, 33, 3), np.uint8)
    image = Image.fromarray(values)
    if mode == "I;16":
        image = Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    elif mode.endswith("A"):
        image.putalpha(Image.fromarray(values[..., 1]))
    image, out = image if mode == "I;16" else image.convert(mode), io.BytesIO()
    try:
        image.save(out, format, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
    except OSError:
        pytest.skip(f"{format} has no {mode}")
    before = pictures.read(out.getvalue())
    mask = np.zeros((30, 33), bool)
    mask[10:14, 10:14] = True
    result = edit(out.getvalue(), mask, steps=1, device="cpu")
    kept = pictures.save_format(before)
    after = pictures.read(result.candidates[0].encode(kept))
    outside = ~result.mask
    np.testing.assert_array_equal(after.pixels[outside], before.pixels[outside])
    assert (after.alpha is None) == (before.alpha is None)
    if before.alpha is not None:
        np.testing.assert_array_equal(after.alpha[outside], before.alpha[outside])
