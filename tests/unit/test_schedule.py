import math
from itertools import pairwise

import pytest
import torch

from inpaint.schedule import cosine_levels, evaluations, moves, renoise, walk


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
@pytest.mark.parametrize("start", [1.0, 0.55, 0.01])
def test_levels_ascend_to_exactly_clean(steps, start):
    levels = cosine_levels(steps, start)
    assert len(levels) == steps + 1
    assert levels[-1] == 1.0
    assert all(0 < low < high for low, high in pairwise(levels))


def test_levels_follow_the_cosine_schedule():
    levels = cosine_levels(4, 0.5)
    angles = [math.acos(math.sqrt(level)) for level in levels]
    assert angles == pytest.approx([math.pi / 4 * k / 4 for k in (4, 3, 2, 1, 0)], abs=1e-4)


def test_the_noisiest_level_hides_the_mean_colour_of_a_megapixel():
    # n pixels show their mean with signal-to-noise ratio n·ᾱ; ending the grid at .97 fails this.
    level = cosine_levels(10)[0]
    assert 0 < 1e6 * level < 0.1
    assert math.isfinite(torch.tensor(1.0).div(math.sqrt(level)).item())


def test_walk_makes_the_papers_number_of_evaluations():
    # 250 steps; from t = 0, 10, …, 230, 9 times 10 steps more: 250 + 24·9·10.
    assert evaluations(250, 10, 10) == 2410


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 33])
@pytest.mark.parametrize("jump", [1, 2, 10, 40])
@pytest.mark.parametrize("resample", [1, 2, 5])
def test_walk_is_a_walk(steps, jump, resample):
    path = walk(steps, jump, resample)
    assert path[0] == 0
    assert path[-1] == steps
    assert path.count(steps) == 1
    assert {b - a for a, b in pairwise(path)} <= {1, -min(jump, max(steps - 1, 1))}
    assert min(path) == 0
    # Never silently without resampling; a single step has nothing to go back over.
    assert (len(path) == steps + 1) == (resample == 1 or steps == 1)


def test_walk_jumps_from_every_multiple_of_jump_counted_from_the_last_noisy_level():
    path = walk(steps=9, jump=3, resample=3)
    jumps = [a for a, b in pairwise(path) if b < a]
    # t = 0 and 3 (position 8 and 5); t = 6 cannot jump, since t + 3 is beyond the start.
    assert jumps == [5, 5, 8, 8]


@pytest.mark.parametrize(
    "arguments", [{"steps": 0}, {"jump": 0}, {"resample": 0}, {"resample": -3}]
)
def test_walk_refuses_counts_below_one(arguments):
    with pytest.raises(ValueError, match="must be at least 1"):
        walk(**{"steps": 10, "jump": 2, "resample": 2, **arguments})


@pytest.mark.parametrize("start", [0.0, -0.1, 1.01, math.nan])
def test_levels_refuse_a_strength_out_of_range(start):
    with pytest.raises(ValueError, match="strength"):
        cosine_levels(5, start)


def test_levels_refuse_no_steps():
    with pytest.raises(ValueError, match="steps"):
        cosine_levels(0)


def test_moves_pair_the_levels_of_the_walk():
    assert list(moves([0.1, 0.5, 1.0], jump=1, resample=2)) == [
        (0.1, 0.5),
        (0.5, 0.1),
        (0.1, 0.5),
        (0.5, 1.0),
    ]


@pytest.mark.parametrize(("level", "noisier"), [(0.9, 0.1), (0.5, 0.49), (1.0, 0.3)])
def test_renoise_lands_on_the_forward_process_of_the_noisier_level(level, noisier):
    rng = torch.Generator().manual_seed(0)

    def noise(x):
        return torch.randn(x.shape, generator=rng, dtype=x.dtype)

    x0 = torch.full((200_000,), 0.7, dtype=torch.float64)
    x = renoise(math.sqrt(level) * x0 + math.sqrt(1 - level) * noise(x0), level, noisier, noise)
    assert x.mean().item() == pytest.approx(0.7 * math.sqrt(noisier), abs=0.01)
    assert x.var().item() == pytest.approx(1 - noisier, abs=0.01)
