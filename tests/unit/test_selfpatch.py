import math

import numpy as np
import pytest
import torch

import inpaint
from inpaint import fitting, patches, selfpatch
from inpaint.filling import fill
from inpaint.melding import melded
from inpaint.scales import shrink, spread
from inpaint.selfpatch import PATCH_SIDES, PatchLevel, SelfModel
from inpaint.settings import Settings

LEVELS = (2.5e-8, 0.01, 0.3, 0.8, 0.99, 1.0)


def picture(width, height, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def hole(width, height, *boxes):
    mask = torch.zeros(1, 1, height, width)
    for x0, y0, x1, y1 in boxes:
        mask[..., y0:y1, x0:x1] = 1
    return mask


def noised(x, level, seed=1):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return math.sqrt(level) * x + math.sqrt(1 - level) * noise


def filled(known, mask, seed=0, **values):
    return fill(SelfModel(), known, mask, Settings(**values), [seed])[0]


@pytest.fixture(params=["all pairs", "candidates"])
def mode(request, monkeypatch):
    """Both ways to take the sum, whatever the size."""
    monkeypatch.setattr(selfpatch, "ALL_PAIRS", 10**9 if request.param == "all pairs" else -1)
    return request.param


# The posterior mean, term by term


def brute_force(known, mask, x, level, side):
    """The docstring of `selfpatch` in loops, and which key each query likes best."""
    known, x, hole = (t.double().numpy()[0] for t in (known, x, mask))
    height, width = hole.shape[1:]
    places = [(r, c) for r in range(height - side + 1) for c in range(width - side + 1)]
    window = {(r, c): np.s_[:, r : r + side, c : c + side] for r, c in places}
    keys = [place for place in places if not hole[window[place]].any()]
    queries = [place for place in places if hole[window[place]].any()]
    level = min(max(level, 1e-12), 1 - 1e-4)
    pi_known = 1 / max(fitting.KNOWN_SPREAD**2, 0.15 * (1 - level) / level)
    target = np.where(hole > 0, x / math.sqrt(level), known)
    precision = np.where(hole > 0, level / (1 - level), pi_known)
    offset = np.arange(side) - (side - 1) / 2
    distance = offset[:, None] ** 2 + offset**2
    total, count, best = np.zeros((3, *known.shape)), np.zeros((3, 1, height, width)), {}
    for query in queries:
        scores, shown = [], []
        told = np.where(hole > 0, 0, precision)[window[query]]
        for key in keys:
            gap = target[window[query]] - known[window[key]]
            away = (query[0] - key[0]) ** 2 + (query[1] - key[1]) ** 2
            score = -0.5 * (precision[window[query]] * gap**2).sum()
            pull = (told * gap).sum()
            variance = 1 / (3 * told.sum() + fitting.BRIGHTNESS**-2)  # of the shift, once told
            score += 0.5 * pull**2 * variance
            shown.append(known[window[key]] + pull * variance)
            scores.append(score - away / (2 * selfpatch.NEARNESS**2))
        weights = np.exp(np.array(scores) - max(scores))
        weights /= weights.sum()
        best[query] = keys[int(weights.argmax())], weights.max()
        if math.sqrt((1 - level) / level) <= fitting.ONE_MATCH:
            weights = np.eye(len(keys))[weights.argmax()]
        at_rim = (hole[window[query]] == 0).any()
        spread_of_votes = selfpatch.RIM_VOTE_SPREAD if at_rim else selfpatch.VOTE_SPREAD
        say = np.exp(-distance / (2 * spread_of_votes**2))
        patch = sum(weight * patch for weight, patch in zip(weights, shown, strict=True))
        row, column = query
        for r in range(side):
            for c in range(side):
                # A pixel, and how the next to the right and below it differ.
                for kind, (down, right) in enumerate(((0, 0), (0, 1), (1, 0))):
                    if r + down < side and c + right < side:
                        vote = math.sqrt(say[r, c] * say[r + down, c + right])
                        more = patch[:, r + down, c + right] - (kind > 0) * patch[:, r, c]
                        total[kind, :, row + r, column + c] += vote * more
                        count[kind, 0, row + r, column + c] += vote
    voted, across, down = total / np.where(count > 0, count, 1)
    rim = (count[0] > 0) & (hole == 0)
    _, ys, xs = np.nonzero(count[0])
    box = np.s_[:, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    error = torch.from_numpy(np.where(rim, known - voted, 0)[box])[None]
    limit = selfpatch.MOST_SHIFT
    correction = spread(error, torch.from_numpy(~rim[box]).double()[None], selfpatch.SMOOTHING)
    voted[box] += correction[0].clamp(-limit, limit).numpy()
    estimate = np.where(hole > 0, voted, known)
    parts = (torch.from_numpy(part[box])[None] for part in (estimate, across, down, hole))
    estimate[box] = melded(*parts)[0].numpy()
    return estimate, best


CASES = [
    (7, picture(17, 16), hole(17, 16, (7, 7, 9, 8))),
    (5, picture(11, 12), hole(11, 12, (0, 0, 3, 2))),
    (3, picture(12, 11), hole(12, 11, (5, 4, 7, 7))),
    (1, picture(4, 5), hole(4, 5, (1, 1, 3, 4))),
    (3, picture(9, 9), hole(9, 9, (0, 3, 1, 5), (8, 0, 9, 2))),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("side, known, mask", CASES, ids=lambda value: f"{value}"[:3])
def test_the_estimate_is_the_posterior_mean(side, known, mask, level):
    x = noised(picture(*known.shape[:1:-1], seed=5), level)
    prepared = PatchLevel(known, mask)
    assert prepared.side == side and prepared.mode == "all pairs"
    wanted, best = brute_force(known, mask, x, level, side)
    assert np.abs(prepared.estimate(x, level)[0].numpy() - wanted).max() < 2e-3
    for query, match in zip(prepared.queries.tolist(), prepared.match.tolist(), strict=True):
        place, share = best[divmod(query, prepared.cols)]
        assert share < 0.6 or divmod(match, prepared.cols) == place


def test_without_a_hint_the_nearest_patch_is_likeliest():
    # Of 39 keys that fit equally well 20 are dark, but they are farther than the 9 bright ones.
    known, mask = torch.zeros(1, 3, 1, 40), hole(40, 1, (6, 0, 7, 1))
    known[..., :10], known[..., 20:] = 0.5, -0.5
    wanted, _ = brute_force(known, mask, torch.zeros_like(known), 1e-12, 1)
    out = PatchLevel(known, mask).estimate(torch.zeros_like(known), 1e-12)
    assert out[0, 0, 0, 6] == pytest.approx(wanted[0, 0, 6], abs=1e-5)
    assert out[0, 0, 0, 6] > 0.2


def test_the_patch_shrinks_until_there_are_enough():
    sides = [
        PatchLevel(picture(size, size), hole(size, size, (0, 0, 1, 1))).side
        for size in (1 + 1, 5, 7, 9, 12, 30)
    ]
    assert sides == sorted(sides) and set(sides) <= set(PATCH_SIDES)
    assert sides[0] == 1 and sides[-1] == 7


def test_candidates_find_the_best_match_of_all(monkeypatch):
    known, mask = picture(40, 36).repeat(1, 1, 1, 2), hole(80, 36, (16, 14, 22, 20))
    x = noised(known, 0.99)
    every = PatchLevel(known, mask)
    every.estimate(x, 0.99)
    monkeypatch.setattr(selfpatch, "ALL_PAIRS", -1)
    some = PatchLevel(known, mask)
    assert some.mode == "candidates"
    for _ in range(30):
        estimate = some.estimate(x, 0.99)
    # The right half shows the same without a hole: that is what fits.
    assert torch.equal(some.match, some.queries + 40) and torch.equal(every.match, some.match)
    assert (estimate - known).abs().max() < 0.02


# Whole fills


@pytest.mark.parametrize("width, height", [(1, 2), (2, 1), (3, 3), (5, 8), (8, 5), (8, 8), (7, 1)])
def test_one_known_pixel_fills_a_picture_smaller_than_a_patch(width, height, mode):
    known, mask = picture(width, height), torch.ones(1, 1, height, width)
    mask[..., -1, width // 2] = 0
    out = filled(known, mask, steps=3)
    assert torch.allclose(out, known[..., -1:, width // 2, None].expand_as(known), atol=1e-6)
    assert torch.equal(out[..., -1, width // 2], known[..., -1, width // 2])


@pytest.mark.parametrize("width, height", [(1, 1), (1, 9), (8, 8), (40, 31)])
def test_a_fully_painted_picture_is_refused_in_a_sentence(width, height):
    with pytest.raises(ValueError, match="^Everything is painted over; leave a part .*from.$"):
        filled(picture(width, height), torch.ones(1, 1, height, width), steps=1)


def test_a_level_without_holes_is_what_is_known(mode):
    known = picture(12, 9)
    level = PatchLevel(known, torch.zeros(1, 1, 9, 12))
    assert torch.equal(level.estimate(noised(known, 0.5), 0.5), known)
    assert torch.equal(level.continued(level), known)


@pytest.mark.parametrize("level", LEVELS)
def test_known_pixels_are_exact(level, mode):
    known, mask = picture(26, 24), hole(26, 24, (10, 9, 15, 14))
    estimate = PatchLevel(known, mask).estimate(noised(known, level), level)
    assert torch.equal(estimate[:, :, mask[0, 0] == 0], known[:, :, mask[0, 0] == 0])
    assert torch.isfinite(estimate).all()


def test_the_hole_is_never_read(mode):
    known, mask = picture(30, 24), hole(30, 24, (10, 9, 17, 15))
    blind = torch.where(mask > 0, math.nan, known)
    x = noised(known, 0.4)
    out = [PatchLevel(source, mask).estimate(x, 0.4) for source in (known, blind)]
    assert torch.equal(*out)


@pytest.mark.parametrize("period", [(4, 4), (3, 5), (1, 6)])
def test_a_periodic_texture_is_continued_exactly(period, mode):
    tile = picture(*period, seed=3)
    known = tile.repeat(1, 1, 60 // period[1], 60 // period[0])
    mask = hole(known.shape[-1], known.shape[-2], (26, 25, 32, 30))
    out = filled(torch.where(mask > 0, 0.0, known), mask)
    assert (out - known).abs().max() < 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_a_texture_is_continued_in_its_own_depth(channels):
    tile = np.random.default_rng(0).integers(0, 65536, (6, 5, channels), np.uint16)
    texture = np.tile(tile, (10, 12, 1))
    mask = np.zeros((60, 60), bool)
    mask[25:30, 26:32] = True
    hidden = np.where(mask[..., None], np.uint16(0), texture)
    result = inpaint.edit(hidden, mask, model="self", grow=0, feather=0)
    pixels = result.candidates[0].picture().pixels
    assert pixels.dtype == np.uint16 and pixels.shape == texture.shape
    assert np.abs(pixels.astype(int) - texture).max() < 257 / 2, "within half a step of 8 bits"


def test_a_fine_ramp_keeps_its_values():
    row = np.linspace(20000, 40000, 60)
    ramp = np.rint(row[:, None] + 7 * np.arange(64)).astype(np.uint16)[..., None]
    mask = np.zeros((60, 64), bool)
    mask[20:42, 20:44] = True
    pixels = inpaint.edit(ramp, mask, grow=0, feather=0).candidates[0].picture().pixels
    assert len(np.unique(pixels[mask])) > 256 and np.ptp(pixels[mask]) < 20000


def test_a_wide_hole_in_stripes_is_continued(mode):
    stripes = (torch.arange(64) // 8 % 2 * 1.2 - 0.6).expand(1, 3, 64, 64).clone()
    mask = hole(64, 64, (22, 20, 42, 44))
    out = filled(torch.where(mask > 0, 0.9, stripes), mask)
    assert (out - stripes).abs().mean() / mask.mean() < 0.05


@pytest.mark.parametrize("value", [-1.0, -0.3, 1.0])
def test_a_constant_picture_is_continued_exactly(value, mode):
    known, mask = torch.full((1, 3, 48, 40), value), hole(40, 48, (10, 10, 30, 36))
    out = filled(torch.where(mask > 0, -value, known), mask)
    assert (out - known).abs().max() < 1e-5


def steps_at_the_rim(ramp, mask):
    """Mean error of the hole's first and last column."""
    out = filled(torch.where(mask > 0, 0.0, ramp), mask)
    columns = mask[0, 0, 0].nonzero()[:, 0]
    return float((out - ramp)[..., [columns[0], columns[-1]]].abs().mean())


def test_the_rim_is_corrected_in_brightness(monkeypatch, mode):
    # The hole takes the whole height: every patch that is left is too dark or too light, and none
    # may shift by itself.
    monkeypatch.setattr(fitting, "BRIGHTNESS", 1e-6)
    ramp = torch.linspace(-0.9, 0.9, 64).expand(1, 3, 48, 64).clone()
    mask = hole(64, 48, (27, 0, 37, 48))
    corrected = steps_at_the_rim(ramp, mask)
    monkeypatch.setattr(selfpatch, "MOST_SHIFT", 0.0)
    assert corrected < 0.75 * steps_at_the_rim(ramp, mask)


def test_the_correction_is_bounded():
    known, mask = picture(20, 20), hole(20, 20, (8, 8, 12, 12))
    level = PatchLevel(known, mask)
    far = ((band, torch.full((len(band.at), 3 * level.side**2), 50.0)) for band in level.bands)
    out = level.averaged(far)[:, :, mask[0, 0] > 0]
    # Once towards what the rim shows, and once towards how the rim and the hole should differ.
    assert (out - 50).abs().max() <= 2 * selfpatch.MOST_SHIFT + 1e-4


def test_the_same_seed_gives_the_same_picture_and_another_another(mode):
    known, mask = picture(40, 36), hole(40, 36, (14, 12, 24, 22))
    first = filled(known, mask, seed=3)
    assert torch.equal(first, filled(known, mask, seed=3))
    assert not torch.equal(first, filled(known, mask, seed=4))


def test_bands_and_chunks_change_nothing(monkeypatch, mode):
    known = picture(90, 60)
    # A slanting line, and a box beside it.
    mask = hole(90, 60, *((x, x // 2, x + 2, x // 2 + 2) for x in range(8, 60)), (62, 8, 82, 20))
    whole = filled(known, mask, steps=3)
    monkeypatch.setattr(patches, "BAND", 40)
    monkeypatch.setattr(selfpatch, "CHUNK", 7)
    assert len(PatchLevel(known, mask).bands) > 20
    assert torch.allclose(filled(known, mask, steps=3), whole, atol=1e-5)


# From level to level


def nearest_query(level, row, col):
    """Places of the queries nearest to a place."""
    places = [divmod(query, level.cols) for query in level.queries.tolist()]
    away = [(r - row) ** 2 + (c - col) ** 2 for r, c in places]
    return [place for place, gap in zip(places, away, strict=True) if gap == min(away)]


@pytest.mark.parametrize("width, height", [(44, 40), (43, 41)])
def test_matches_are_continued_at_twice_their_place(width, height, mode):
    # The speck is gone on the coarse level; what touches it continues the nearest that is left.
    known, mask = picture(width, height), hole(width, height, (20, 18, 27, 24), (9, 7, 10, 8))
    coarse = PatchLevel(*shrink(known, mask))
    coarse.estimate(noised(coarse.known, 0.5), 0.5)
    fine = PatchLevel(known, mask)
    guess = fine.continued(coarse)
    matches = dict(zip(coarse.queries.tolist(), coarse.match.tolist(), strict=True))
    kept = 0
    for query, match in zip(fine.queries.tolist(), fine.match.tolist(), strict=True):
        assert fine.is_key[match]
        row, col = divmod(query, fine.cols)
        over = min(row // 2, coarse.rows - 1), min(col // 2, coarse.cols - 1)
        wanted = set()
        for place in nearest_query(coarse, *over):
            match_row, match_col = divmod(matches[place[0] * coarse.cols + place[1]], coarse.cols)
            wanted_row = min(max(2 * match_row + row - 2 * place[0], 0), fine.rows - 1)
            wanted_col = min(max(2 * match_col + col - 2 * place[1], 0), fine.cols - 1)
            wanted.add(wanted_row * fine.cols + wanted_col)
        if any(fine.is_key[place] for place in wanted):
            assert match in wanted or not all(fine.is_key[place] for place in wanted)
            kept += match in wanted
    assert kept > 0.7 * len(fine.queries)
    shown = ((band, fine.cutter.cut(fine.match[band.span])) for band in fine.bands)
    assert torch.equal(guess, fine.averaged(shown))
    assert torch.equal(guess[:, :, mask[0, 0] == 0], known[:, :, mask[0, 0] == 0])


def test_a_finer_level_looks_near_the_coarser_ones_matches(monkeypatch):
    monkeypatch.setattr(selfpatch, "ALL_PAIRS", -1)
    known, mask = picture(80, 80), hole(80, 80, (30, 30, 50, 50))
    coarse, fine = PatchLevel(*shrink(known, mask)), PatchLevel(known, mask)
    coarse.estimate(noised(coarse.known, 0.5), 0.5)

    def farthest(level):
        (band,) = level.bands
        drawn = 2 * torch.rand(selfpatch.DRAWN, 2, len(level.queries)) - 1
        found = level._candidates(band, 1, drawn)[:, 5:]  # after the neighbours' matches
        down = found // level.key_cols - (level.match // level.key_cols)[:, None]
        right = found % level.key_cols - (level.match % level.key_cols)[:, None]
        return max(int(gap.abs().max()) for gap in (down, right))

    fine.continued(coarse)
    assert 1 < farthest(fine) <= selfpatch.NEARBY < farthest(coarse)


def test_a_coarse_level_without_holes_gives_nothing_to_continue(mode):
    known, mask = picture(40, 40), hole(40, 40, (20, 20, 21, 21))
    coarse = PatchLevel(*shrink(known, mask))
    assert len(coarse.queries) == 0
    assert torch.equal(PatchLevel(known, mask).continued(coarse), known)


def test_patches_are_what_lies_there():
    known = picture(17, 16)
    level = PatchLevel(known, hole(17, 16, (7, 7, 9, 8)))
    found = level.cutter.cut(level.keys).view(-1, level.side, level.side, 3)
    for key, patch in zip(level.keys.tolist(), found, strict=True):
        row, col = divmod(key, level.cols)
        there = known[0, :, row : row + level.side, col : col + level.side]
        assert torch.equal(patch, there.permute(1, 2, 0))


@pytest.mark.parametrize("limit", [1, 50, 10**6])
def test_bands_hold_every_patch_once(monkeypatch, limit):
    monkeypatch.setattr(patches, "BAND", limit)
    mask, side = hole(40, 30, (3, 2, 4, 9), (20, 5, 33, 8), (0, 27, 1, 28)), 5
    touched = torch.nn.functional.max_pool2d(mask, side, 1)[0, 0] > 0
    several = list(patches.bands(touched, side))
    places = torch.zeros(30, 40)
    total = torch.zeros(1, 2, 30, 40)
    for band in several:
        assert len(band.at) == band.span.stop - band.span.start
        height, width = places[band.box].shape
        places[band.box][band.at // width, band.at % width] += 1
        total[band.box] += band.laid(torch.ones(len(band.at), 2 * side**2), side)
    assert torch.equal(places[: 30 - side + 1, : 40 - side + 1], touched.float())
    wanted = torch.nn.functional.conv_transpose2d(
        touched.float()[None, None], torch.ones(1, 2, side, side)
    )
    assert torch.equal(total, wanted)


# Scale and cost


@pytest.mark.parametrize("side, count", [(2, 0), (4, 0), (9, 1), (20, 2), (60, 4)])
def test_filling_begins_where_a_patch_spans_the_hole(side, count):
    mask = hole(400, 360, (170, 160, 170 + side, 160 + side))
    assert SelfModel().halvings(mask) == count


def test_small_pictures_are_not_halved():
    assert SelfModel().halvings(hole(28, 200, (2, 20, 26, 150))) == 0


def test_context_has_bounds():
    assert [SelfModel().context(side) for side in (1, 64, 100, 256, 5000)] == [48, 48, 75, 192, 192]


def test_work_grows_with_the_hole_and_not_with_the_picture():
    work = [SelfModel().work(hole(600, 600, (100, 100, 100 + n, 100 + n))) for n in (60, 120)]
    wider = SelfModel().work(hole(900, 900, (100, 100, 160, 160)))
    assert 2 < work[1] / work[0] < 5 and wider == work[0]
    assert SelfModel().work(torch.ones(1, 1, 3, 3)) > 0
