import numpy as np
import pytest
import torch

from inpaint import melding
from inpaint.melding import AROUND, BUSY, HOLD, MOST_SHIFT, melded


def random(channels, height, width, seed=0):
    return torch.rand(
        1,
        channels,
        height,
        width,
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.double,
    )


def steps_of(picture):
    """What the pixels to the right and below have more."""
    pad = torch.nn.functional.pad
    return pad(picture.diff(dim=-1), (0, 1)), pad(picture.diff(dim=-2), (0, 0, 0, 1))


def hole(height, width, *boxes):
    mask = torch.zeros(1, 1, height, width, dtype=torch.double)
    for y0, x0, y1, x1 in boxes:
        mask[..., y0:y1, x0:x1] = 1
    return mask


def mean_around(values, y, x):
    reach = AROUND // 2
    height, width = values.shape
    inside = values[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    return inside.sum() / AROUND**2


def least_squares(tones, across, down, mask):
    """The docstring of `melding` as a dense system, one channel."""
    height, width = mask.shape
    busy = np.zeros((height, width))
    busy[:, :-1] += across[:, :-1] ** 2
    busy[:-1] += down[:-1] ** 2
    places = [tuple(place) for place in np.argwhere(mask > 0)]
    hold = {place: HOLD + BUSY * mean_around(busy, *place) for place in places}
    rows, wanted = [], []
    for steps, (dy, dx) in ((across, (0, 1)), (down, (1, 0))):
        for y in range(height - dy):
            for x in range(width - dx):
                row = np.zeros(len(places))
                for place, sign in (((y + dy, x + dx), 1), ((y, x), -1)):
                    if place in hold:
                        row[places.index(place)] = sign
                rows.append(row)
                wanted.append(steps[y, x] - (tones[y + dy, x + dx] - tones[y, x]))
    for index, place in enumerate(places):
        rows.append(np.eye(len(places))[index] * np.sqrt(hold[place]))
        wanted.append(0)
    solved = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    error = np.zeros((height, width))
    for place, value in zip(places, solved, strict=True):
        error[place] = value
    out = tones.copy()
    for place in places:
        smooth = mean_around(error, *place) / mean_around(mask, *place)
        fine = HOLD / hold[place]
        out[place] += np.clip(fine * error[place] + (1 - fine) * smooth, -MOST_SHIFT, MOST_SHIFT)
    return out.clip(tones.min(), tones.max())


@pytest.mark.parametrize("scale", [0.002, 0.3])
def test_it_is_the_least_squares_correction(scale, monkeypatch):
    monkeypatch.setattr(melding, "STEPS", 60)
    mask = hole(17, 19, (0, 3, 5, 8), (9, 10, 15, 19))
    tones, across, down = (scale * random(1, 17, 19, seed) for seed in range(3))
    wanted = least_squares(*(part[0, 0].numpy() for part in (tones, across, down, mask)))
    found = melded(tones, across, down, mask)
    assert np.abs(found[0, 0].numpy() - wanted).max() < 1e-4 * scale
    assert (found - tones).abs().max() > 0.01 * scale


def test_a_fill_that_differs_as_it_should_stays():
    picture = random(3, 30, 40)
    mask = hole(30, 40, (5, 5, 25, 30))
    assert (melded(picture, *steps_of(picture), mask) - picture).abs().max() < 1e-12


def test_a_step_in_a_smooth_fill_goes_and_busy_texture_keeps_its_detail():
    mask = hole(60, 60, (10, 10, 50, 50))
    step = torch.zeros(1, 1, 60, 60, dtype=torch.double)
    step[..., 10:50, 30:50] = 0.1
    flat = torch.zeros_like(step)
    out = melded(step, flat, flat, mask)
    assert steps_of(out)[0].abs().max() < 0.25 * 0.1
    noise = random(1, 60, 60) - 0.5
    out = melded(noise + step, *steps_of(noise), mask)
    # Where the one half meets the other nothing is smoothed away, and nothing is sharpened.
    assert ((out - noise - step) - (out - noise - step).mean()).abs().max() < 0.06


def test_nothing_changes_outside_and_no_pixel_much():
    tones, mask = random(3, 20, 24), hole(20, 24, (4, 4, 16, 20))
    tones += 50 * mask
    flat = torch.zeros_like(tones)
    moved = melded(tones, flat, flat, mask) - tones
    assert (moved * (1 - mask)).abs().max() == 0
    assert moved.min() == -MOST_SHIFT and moved.max() <= 0


def test_tiles_do_not_show(monkeypatch):
    tones, across, down = (0.01 * random(3, 90, 120, seed) - 0.005 for seed in range(3))
    mask = hole(90, 120, (5, 5, 80, 110))
    whole = melded(tones, across, down, mask)
    monkeypatch.setattr(melding, "TILE", 32)
    assert (melded(tones, across, down, mask) - whole).abs().max() < 2e-4


def test_a_picture_without_holes_stays():
    tones = random(3, 8, 8)
    assert torch.equal(melded(tones, tones, tones, hole(8, 8)), tones)
