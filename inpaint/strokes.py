"""What a person drew on a picture, as vectors in the picture's own pixels; `masks` draws it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

FREEHAND = ("brush", "eraser", "paint")
SHAPES = ("rectangle", "ellipse", "lasso", "polygon")
WHOLE = ("invert", "clear", "grow", "shrink")
TOOLS = (*FREEHAND, *SHAPES, *WHOLE, "paste")
MAX_STROKES, MAX_POINTS = 10_000, 1_000_000
MAX_SIDE = 100_000  # pixels; of the picture drawn on, and of a radius
MAX_PASTED = 20

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke. Pixel (i, j) covers [i, i + 1) x [j, j + 1) of the plane of its points.

    A brush, eraser or paint reaches `radius` around its line, or from point to point the radii of
    `radii`, where a pen was pressed; a rectangle, ellipse or paste lies between its first and last
    point; a lasso or polygon is closed and filled (nonzero winding). Invert, clear, grow and
    shrink (by `radius`) change all that was drawn before them.

    Attributes
    ----------
    erase
        Take away instead of adding.
    color
        "#rrggbb" of a paint stroke.
    path
        The picture file of a paste.
    """

    tool: str
    radius: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    erase: bool = False
    radii: tuple[float, ...] = ()
    color: str = ""
    path: str = ""

    @property
    def erases(self) -> bool:
        """Whether it takes away."""
        return self.erase or self.tool == "eraser"


@dataclass(frozen=True, slots=True)
class Pasted:
    """A second picture: its file, and (left, top, right, bottom) on the picture drawn on."""

    path: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Strokes:
    """What was drawn, in order, on a picture of `size` (width, height)."""

    size: Size
    strokes: tuple[Stroke, ...] = ()

    @property
    def pasted(self) -> tuple[Pasted, ...]:
        """The second pictures, in order."""
        return tuple(Pasted(s.path, _box(s)) for s in self.strokes if s.tool == "paste")

    @property
    def uncolored(self) -> Strokes:
        """The same without what is painted in colour or pasted."""
        kept = (stroke for stroke in self.strokes if stroke.tool not in ("paint", "paste"))
        return replace(self, strokes=tuple(kept))

    @property
    def colored(self) -> bool:
        """Whether `masks.paint` would change the picture."""
        return any(stroke.tool in ("paint", "paste") for stroke in self.strokes)

    @classmethod
    def parse(cls, payload: object) -> Strokes:
        """Check and take over {"width", "height", "strokes": [{"tool", "radius", "points", …}]}.

        Raises
        ------
        ValueError
            With one sentence, for anything else: the payload comes from a browser.
        """
        if not isinstance(payload, dict) or not isinstance(payload.get("strokes"), list):
            raise ValueError("A drawing needs a width, a height and a list of strokes.")
        size = tuple(payload.get(side) for side in ("width", "height"))
        if any(type(side) is not int or not 1 <= side <= MAX_SIDE for side in size):
            raise ValueError(f"A drawing's width and height are whole numbers from 1, not {size}.")
        if len(payload["strokes"]) > MAX_STROKES:
            raise ValueError(f"A drawing has at most {MAX_STROKES:,} strokes.")
        drawing = cls((payload["width"], payload["height"]), tuple(map(_parse, payload["strokes"])))
        if sum(len(stroke.points) for stroke in drawing.strokes) > MAX_POINTS:
            raise ValueError(f"A drawing has at most {MAX_POINTS:,} points.")
        if len(drawing.pasted) > MAX_PASTED:
            raise ValueError(f"At most {MAX_PASTED} pictures can be pasted into one.")
        return drawing

    def plain(self) -> list[dict[str, Any]]:
        """Return the strokes as `parse` takes them, without what is at its default."""
        default = Stroke("")
        names = ("radii", "color", "path")
        return [
            {"tool": s.tool, "radius": s.radius, "points": s.points, "erase": s.erase}
            | {
                name: getattr(s, name)
                for name in names
                if getattr(s, name) != getattr(default, name)
            }
            for s in self.strokes
        ]


def _box(stroke: Stroke) -> tuple[float, float, float, float]:
    (ax, ay), (bx, by) = stroke.points[0], stroke.points[-1]
    return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)


def _parse(item: object) -> Stroke:
    if not isinstance(item, dict) or item.get("tool") not in TOOLS:
        raise ValueError(f"A stroke's tool is one of {', '.join(TOOLS)}.")
    tool, radius, points = item["tool"], item.get("radius", 0), item.get("points", [])
    radii, erase = item.get("radii", []), item.get("erase", False)
    color, path = item.get("color", ""), item.get("path", "")
    if not _is_radius(radius):
        raise ValueError(f"A stroke's radius is a number of pixels up to {MAX_SIDE:,}.")
    if not isinstance(erase, bool):
        raise ValueError("A stroke's 'erase' is true or false.")
    if not isinstance(points, list) or len(points) > MAX_POINTS:
        raise ValueError(f"A stroke's points are a list of at most {MAX_POINTS:,} pairs.")
    if not all(
        isinstance(p, list | tuple) and len(p) == 2 and all(map(_is_number, p)) for p in points
    ):
        raise ValueError("A stroke's points are pairs of finite numbers.")
    if not isinstance(radii, list) or len(radii) not in (0, len(points)):
        raise ValueError("A stroke has as many radii as points, or none.")
    if not all(map(_is_radius, radii)):
        raise ValueError(f"A stroke's radii are numbers of pixels up to {MAX_SIDE:,}.")
    if tool == "paint" and not (isinstance(color, str) and re.fullmatch("#[0-9a-f]{6}", color)):
        raise ValueError("Paint has a colour such as #ff8800.")
    if tool == "paste" and not (isinstance(path, str) and path and len(points) >= 2):
        raise ValueError("A pasted picture has a path and two corners.")
    return Stroke(
        tool,
        float(radius),
        tuple((float(x), float(y)) for x, y in points),
        erase,
        tuple(map(float, radii)),
        color if tool == "paint" else "",
        path if tool == "paste" else "",
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e7  # false for NaN and infinities


def _is_radius(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= MAX_SIDE
