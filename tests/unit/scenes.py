"""A made photograph, and scratches on it."""

import numpy as np

from inpaint import masks
from inpaint.masks import Stroke, Strokes

SIZE = (240, 180)


def scene(size=SIZE, seed=0, grain=3.0):
    """A sky over hills, with a sun and film grain: edges, but nothing thin."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    light = 150 - 40 * y / size[1]
    light = np.where(y > size[1] * (0.6 + 0.1 * np.sin(x / 30)), 80 + 20 * np.sin(x / 25), light)
    light = np.where((x - 60) ** 2 + (y - 40) ** 2 < 22**2, 205, light)
    light = light + np.random.default_rng(seed).normal(0, grain, light.shape)
    return np.clip(light[..., None] * [1, 0.95, 0.85], 0, 255).astype(np.uint8)


def drawn(size, *strokes):
    return masks.rasterize(Strokes(size, strokes))


def scratched(rgb, value=245):
    size = rgb.shape[1::-1]
    line = Stroke("brush", 1.2, ((0.2 * size[0], 5), (0.35 * size[0], 0.5 * size[1])))
    more = Stroke("brush", 1.2, ((0.6 * size[0], 0.1 * size[1]), (0.75 * size[0], 0.95 * size[1])))
    truth = drawn(size, line, more)
    out = rgb.copy()
    out[truth] = value
    return out, truth
