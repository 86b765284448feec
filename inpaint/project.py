"""Project files: a visit as a ZIP, to be opened again later or elsewhere.

The ZIP holds the opened file as it was, the files of what was pasted, second pictures,
`project.json`, and for every picture that came of it what differs from the original: a box, one bit
for each pixel in it, the values of the pixels that are marked, and alpha if it is another. Every
entry is read by a name that is known beforehand or can do no harm, and only after its size was
found to be what the JSON makes it, or within the limits, which hold for what is saved, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint import masks, pictures, reviewing
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.pictures.metadata import tags_fit
from inpaint.regions import Region, cut
from inpaint.results import Candidate, Patch
from inpaint.visit import MAX_RUNS, Drawing, Run, Visit

VERSION = 3  # 2 kept all bits and all of alpha; 1 left out what was pasted
MAX_STORY = 32 << 20  # bytes of project.json
MAX_EXIF = 8 << 20  # of a result
MAX_PICTURES, MAX_CANDIDATES = 600, 64  # in all, and of a run
MAX_BYTES = 4 << 30  # unpacked, in all
ROOM = 256 << 20  # unpacked bytes that any project may have,
RATIO = 20  # and more for each packed one
SHARED = 32 << 20  # as ROOM, of results that are brought to what their runs filled
TILE = 128  # pixels on a side; what a result changes is kept in such parts
STORY, ORIGINAL = "project.json", "original"
BESIDE = re.compile(r"(?:pasted|guide)-\d{1,4}")  # names of pictures in files of their own
Mask = NDArray[np.bool_]
Keep = Callable[[bytes, str], str]
"""Puts a file with its name where it lasts as long as it is used, and returns its path."""


class ProjectError(ValueError):
    """A project file cannot be opened, or made; the message is a sentence."""


def save(visit: Visit, drawing: Drawing | None) -> bytes:
    """Pack a visit and the mask that is being painted.

    Raises
    ------
    ProjectError
        If it is larger than what can be opened again.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compresslevel=4) as archive:
        packer = _Packer(archive, visit.original)
        packer.put(ORIGINAL, visit.source or pictures.encode(visit.original))
        story: dict[str, Any] = {
            "inpaint_project": VERSION,
            "name": visit.name,
            "picture": packer.picture(visit.picture),
            "drawing": packer.drawing(drawing),
            "guide": packer.guide(visit.guide),
            "left": packer.left(visit.left),
            "controls": visit.controls,
            "shown": visit.runs.index(visit.shown) if visit.shown else None,
            "origin": visit.runs.index(visit.origin) if visit.origin else None,
            "invented": packer.mask(visit.invented),
            "runs": [
                {
                    "number": run.number,
                    "before": packer.picture(run.before),
                    "drawing": packer.drawing(run.drawing),
                    "guide": packer.guide(run.guide),
                    "candidates": [
                        {"picture": packer.picture(c.picture()), "recipe": c.recipe}
                        for c in run.candidates
                    ],
                    "touched": packer.mask(reviewing.touched(run.candidates[0])),
                    "seams": run.seams,
                    "receipt": run.receipt,
                    "said": run.said,
                    "invented": packer.mask(run.marked),
                    "earlier": packer.mask(run.earlier),
                    "chosen": run.chosen,
                    "origin": visit.runs.index(run.origin) if run.origin else None,
                }
                for run in visit.runs
            ],
        }
        story["pictures"] = packer.pictures
        _check(story)
        packer.put(STORY, json.dumps(story).encode(), at_most=MAX_STORY)
    return out.getvalue()


def is_project(data: bytes) -> bool:
    """Whether a file's first bytes are those of a project."""
    return data.startswith(b"PK\x03\x04")


def open_project(
    data: bytes, *, max_pixels: int = pictures.MAX_PIXELS, keep: Keep | None = None
) -> tuple[Visit, Drawing | None]:
    """Unpack what `save` packed; without a place to `keep` files what was pasted is left out.

    Raises
    ------
    ProjectError, PictureError
        If it is no project, damaged, of a later version, or larger than the limits.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            if unpacked > min(MAX_BYTES, ROOM + RATIO * len(data)):
                raise ProjectError(
                    "This project unpacks to far more than it should; it is damaged."
                )
            return _Unpacker(archive, max_pixels, SHARED + RATIO * len(data), keep).visit()
    except (ProjectError, pictures.PictureError):
        raise
    except Exception as error:  # zipfile, zlib and json raise a dozen kinds; keys may be missing
        raise ProjectError("This file is no project, or it is damaged.") from error


class _Packer:
    """Writes each picture once."""

    def __init__(self, archive: zipfile.ZipFile, original: Picture) -> None:
        self.archive, self.original = archive, original
        self.room, self.spare = MAX_BYTES, ROOM  # bytes left: in all, and to unpack to
        self.pictures: list[dict[str, Any]] = []
        self._known: dict[Any, int | None] = {}
        alpha = original.alpha
        self._planes = {} if alpha is None else {_digest(alpha): ORIGINAL}
        self._guides: dict[int, str] = {}
        self._pasted: dict[str, str] = {}

    def put(self, name: str, data: bytes, *, at_most: int = pictures.MAX_BYTES) -> None:
        """Add an entry; packed, unless it might then unpack to more than is opened."""
        self.room -= len(data)
        if len(data) > at_most or self.room < 0:
            raise ProjectError("This is too large for a project; delete some of its runs first.")
        kind = zipfile.ZIP_DEFLATED if len(data) <= self.spare else zipfile.ZIP_STORED
        self.archive.writestr(name, data, kind)
        self.spare += RATIO * self.archive.getinfo(name).compress_size - len(data)

    def picture(self, picture: Picture) -> int | None:
        """Return a picture's number; None for the original."""
        if picture is self.original:
            return None
        key = _fingerprint(picture)
        if not self._known:
            self._known[_fingerprint(self.original)] = None
        if key not in self._known:
            self._known[key] = self._write(picture)
        return self._known[key]

    def mask(self, mask: Mask | None) -> str | None:
        """Return the name of a mask's bits."""
        return None if mask is None else self._plane(np.packbits(mask))

    def drawing(self, drawing: Drawing | None) -> dict[str, Any] | None:
        if drawing is None:
            return None
        (width, height), strokes = drawing.strokes.size, drawing.strokes
        own = Strokes(strokes.size, tuple(filter(None, map(self._with_file, strokes.strokes))))
        base = self.mask(drawing.base)
        return {"width": width, "height": height, "strokes": own.plain(), "base": base}

    def left(self, left: tuple[Picture, Drawing] | None) -> dict[str, Any] | None:
        return left and {"picture": self.picture(left[0]), "drawing": self.drawing(left[1])}

    def guide(self, guide: Picture | None) -> str | None:
        """Return the name of a second picture; one that runs share is written once."""
        if guide is None:
            return None
        if id(guide) not in self._guides:
            name = self._guides[id(guide)] = f"guide-{len(self._guides)}"
            self.put(name, pictures.encode(guide, "TIFF"))  # takes any, to the byte
        return self._guides[id(guide)]

    def _with_file(self, stroke: Stroke) -> Stroke | None:
        """Let a pasted picture's path be its name in the project; None if its file is gone."""
        if stroke.tool != "paste":
            return stroke
        if stroke.path not in self._pasted:
            try:
                data = Path(stroke.path).read_bytes()
            except OSError:
                return None
            name = self._pasted[stroke.path] = f"pasted-{len(self._pasted)}"
            self.put(name, data)
        return replace(stroke, path=self._pasted[stroke.path])

    def _plane(self, plane: NDArray[Any]) -> str:
        """Return the name of a plane; one that runs share, or the original has, is written once."""
        key = _digest(plane)
        if key not in self._planes:
            self._planes[key] = f"plane-{len(self._planes)}"
            self.put(self._planes[key], _little(plane))
        return self._planes[key]

    def _write(self, picture: Picture) -> int:
        number, original = len(self.pictures), self.original
        differs = np.ones(picture.pixels.shape[:2], bool)
        if _kind(picture) == _kind(original):
            differs = (picture.pixels != original.pixels).any(axis=2)
        box = masks.bounding_box(differs) or (0, 0, 0, 0)
        self.put(f"{number}-where", np.packbits(Region(box, box).crop_array(differs)).tobytes())
        self.put(f"{number}-pixels", _little(picture.pixels[differs]))
        own = picture.exif != original.exif  # a georeference moves with the canvas
        if own:
            self.put(f"{number}-exif", picture.exif or b"", at_most=MAX_EXIF)
        self.pictures.append(
            {
                "width": picture.size[0],
                "height": picture.size[1],
                "channels": picture.pixels.shape[2],
                "bits": 8 * picture.pixels.itemsize,
                "box": box,
                "alpha": None if picture.alpha is None else self._plane(picture.alpha),
                "exif": own,
            }
        )
        return number


class _Unpacker:
    """Reads what a `_Packer` wrote, and trusts nothing of it."""

    def __init__(
        self, archive: zipfile.ZipFile, max_pixels: int, room: int, keep: Keep | None
    ) -> None:
        self.archive, self.max_pixels, self.keep = archive, max_pixels, keep
        self.left, self.room = MAX_BYTES, room
        story = json.loads(self._read(STORY, at_most=MAX_STORY))
        if not isinstance(story, dict) or "inpaint_project" not in story:
            raise ProjectError("This ZIP file is no project of this program.")
        if story["inpaint_project"] not in range(1, VERSION + 1):
            raise ProjectError("This project is of a newer version; update the program first.")
        _check(story)
        self.story: dict[str, Any] = story
        self.source = self._read(ORIGINAL, at_most=pictures.MAX_BYTES)
        self.original = pictures.read(self.source, max_pixels=max_pixels)
        self._candidates: dict[int, Candidate] = {}
        self._whole: dict[int, Picture] = {}
        self._masks: dict[tuple[str, tuple[int, int]], Mask] = {}
        self._alphas: dict[tuple[str, tuple[int, ...], np.dtype[Any]], NDArray[Any]] = {}
        self._guides: dict[str, Picture] = {}
        self._pasted: dict[str, str] = {}

    def visit(self) -> tuple[Visit, Drawing | None]:
        story = self.story
        visit = Visit(
            str(story["name"])[:200], self.source, self.original, self._picture(story["picture"])
        )
        for item in story["runs"]:
            run = self._run(item)
            run.origin = _earlier(item.get("origin"), visit.runs)
            run.earlier = self._invented(item.get("earlier"), run.before, run.origin)
            visit.runs.append(run)
        visit.origin = _earlier(story.get("origin"), visit.runs)
        visit.invented = self._invented(story.get("invented"), visit.picture, visit.origin)
        if story["shown"] is not None:
            visit.shown = visit.runs[_index(story["shown"], len(visit.runs))]
        visit.guide = self._guide(story.get("guide"))
        kept = dict(story.get("controls", {})).items()
        visit.controls = {name: one for name, one in kept if not isinstance(one, list | dict)}
        if left := story.get("left"):
            picture = self._picture(left["picture"])
            painted = self._drawing(left["drawing"], picture)
            visit.left = (picture, painted) if painted else None
        drawing = self._drawing(story["drawing"], visit.picture)
        visit.base = drawing.base if drawing else None
        return visit, drawing

    def _run(self, item: dict[str, Any]) -> Run:
        if not 1 <= len(item["candidates"]) == len(item["seams"]):
            raise ProjectError("This project is damaged.")
        before = self._picture(item["before"])
        candidates = self._results(item["candidates"], before, item.get("touched"))
        seams = [None if seam is None else float(seam) for seam in item["seams"]]
        chosen = _index(item["chosen"], len(candidates))
        drawing = self._drawing(item["drawing"], before)
        said = str(item["receipt"])[:500], str(item["said"])[:2000]
        return Run(
            int(item["number"]),
            before,
            drawing,
            candidates,
            seams,
            *said,
            self._mask(item.get("invented"), candidates[chosen].original),
            chosen=chosen,
            guide=self._guide(item.get("guide")),
        )

    def _picture(self, number: int | None) -> Picture:
        if number is None:
            return self.original
        if number not in self._whole:
            self._whole[number] = self._stored(number).picture()
        return self._whole[number]

    def _results(self, items: Any, before: Picture, touched: Any) -> list[Candidate]:
        """Return a run's candidates: all fill the same places of the same picture.

        Where that takes more room than the project is worth each stays as it is stored.
        """
        if not all(isinstance(item["recipe"].get("settings"), dict) for item in items):
            raise ProjectError("This project is damaged: a result lacks its recipe.")
        stored = {item["picture"]: self._stored(item["picture"]) for item in items}
        first = next(iter(stored.values())).original
        if any(_kind(one.original) != _kind(first) for one in stored.values()):
            raise ProjectError("This project is damaged: the results of a run are unlike.")
        mask, pixel = self._mask(touched, first), first.pixels[0, 0].nbytes
        for one in stored.values():
            self.room -= first.pixels[..., 0].size // 8
            self.room -= sum(patch.alpha.size for patch in one.patches) * pixel
        if self.room > 0:
            original, where = _filled(list(stored.values()), before, mask)
            self.room -= len(stored) * int(where.sum()) * pixel
            if self.room > 0:
                for number, one in stored.items():
                    alpha = one.original.alpha
                    own = original if _same(alpha, first.alpha) else replace(original, alpha=alpha)
                    patches = _patches(where, one.picture().pixels)
                    stored[number] = Candidate(own, patches, {})
        return [replace(stored[item["picture"]], recipe=item["recipe"]) for item in items]

    def _stored(self, number: int | None) -> Candidate:
        if number is None:
            return Candidate(self.original, (), {})
        if number not in self._candidates:
            self._candidates[number] = self._restore(number)
        return self._candidates[number]

    def _restore(self, number: int) -> Candidate:
        about = self.story["pictures"][_index(number, len(self.story["pictures"]))]
        size = (int(about["width"]), int(about["height"]))
        pictures.check_size(size, self.max_pixels)
        channels, bits, own = int(about["channels"]), int(about["bits"]), self.original
        known = (own.pixels.shape[2],) if own.bands else (1, 3, 4)
        if channels not in known or bits not in (8, 16):
            raise ProjectError("This project is damaged: a result's kind is unknown.")
        dtype, shape = np.dtype(f"u{bits // 8}"), (size[1], size[0], channels)
        alike = _kind(own) == (shape, dtype)
        below = own.pixels if alike else np.zeros(shape, dtype)
        box = about.get("box") if alike else None  # of another kind, and before version 3, all
        x0, y0, x1, y1 = (int(edge) for edge in box or (0, 0, *size))
        if not (0 <= x0 <= x1 <= size[0] and 0 <= y0 <= y1 <= size[1]):
            raise ProjectError("This project is damaged: a result lies outside its picture.")
        where = self._bits(f"{number}-where", (x1 - x0, y1 - y0))
        pixels = below[y0:y1, x0:x1].copy()
        pixels[where] = self._array(f"{number}-pixels", (int(where.sum()), channels), dtype)
        if channels != own.pixels.shape[2]:
            own = own.in_rgb()  # the original's profile is not one of this result
        alpha = self._alpha(number, about["alpha"], shape[:2], dtype)
        exif = self._exif(number) if about.get("exif") else own.exif
        original = replace(own, pixels=below, alpha=alpha, exif=exif)
        return Candidate(original, _patches(where, pixels, (x0, y0)), {})

    def _alpha(
        self, number: int, name: Any, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> NDArray[Any] | None:
        """Return a plane that results may share; before version 3 each had its own."""
        if not name or name == ORIGINAL:
            return self.original.alpha if name else None
        key = f"{number}-alpha" if name is True else str(name), shape, dtype
        if key not in self._alphas:
            self._alphas[key] = self._array(*key)
        return self._alphas[key]

    def _exif(self, number: int) -> bytes | None:
        block = self._read(f"{number}-exif", at_most=MAX_EXIF)
        if not tags_fit(block):
            raise ProjectError("This project is damaged: what it says of a result is too much.")
        return block or None

    def _drawing(self, item: dict[str, Any] | None, picture: Picture) -> Drawing | None:
        if item is None:
            return None
        strokes = Strokes.parse(item)
        if strokes.size != picture.size:
            raise ProjectError("This project is damaged: a mask belongs to another picture.")
        base = self._mask(item["base"], picture)
        kept = tuple(filter(None, map(self._with_path, strokes.strokes)))
        return Drawing(Strokes(strokes.size, kept), base)

    def _with_path(self, stroke: Stroke) -> Stroke | None:
        """Put a pasted picture's file where its stroke's path then leads; None without a place."""
        if stroke.tool != "paste":
            return stroke
        if stroke.path not in self._pasted:
            data, picture = self._beside(stroke.path)
            suffix = next(
                end for end, kind in pictures.EXTENSIONS.items() if kind == picture.format
            )
            self._pasted[stroke.path] = self.keep(data, f"pasted{suffix}") if self.keep else ""
        path = self._pasted[stroke.path]
        return replace(stroke, path=path) if path else None

    def _guide(self, name: Any) -> Picture | None:
        """Return a second picture; one that runs share is read once."""
        if name is None:
            return None
        if name not in self._guides:
            self._guides[name] = self._beside(name)[1]
        return self._guides[name]

    def _beside(self, name: str) -> tuple[bytes, Picture]:
        """Read a picture that lies in the project as a file."""
        if not BESIDE.fullmatch(name):
            raise ProjectError("This project is damaged: it points to what is not in it.")
        data = self._read(name, at_most=pictures.MAX_BYTES)
        return data, pictures.read(data, max_pixels=self.max_pixels)

    def _mask(self, name: Any, picture: Picture) -> Mask | None:
        """Return the mask of a picture under a name; those that runs share are read once."""
        if name is None:
            return None
        key = str(name), picture.size
        if key not in self._masks:
            self._masks[key] = self._bits(*key)
        return self._masks[key]

    def _invented(self, name: Any, picture: Picture, origin: Run | None) -> Mask | None:
        """Return the marks of a picture; where an older project has none, those of its origin."""
        mask = self._mask(name, picture)
        return origin.invented() if mask is None and origin else mask

    def _bits(self, name: str, size: tuple[int, int]) -> Mask:
        count = size[0] * size[1]
        data = np.frombuffer(self._read(name, exactly=(count + 7) // 8), np.uint8)
        return np.unpackbits(data, count=count).reshape(size[1], size[0]).astype(bool)

    def _array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        length = int(np.prod(shape)) * dtype.itemsize
        data = self._read(name, exactly=length)
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)

    def _read(self, name: str, *, exactly: int | None = None, at_most: int = 0) -> bytes:
        info = self.archive.getinfo(name)
        limit = at_most if exactly is None else exactly
        if info.file_size > min(limit, self.left) or exactly not in (None, info.file_size):
            raise ProjectError("This project is damaged, or larger than can be opened.")
        with self.archive.open(info) as file:
            data = file.read(limit + 1)  # the header may lie
        if len(data) != info.file_size:
            raise ProjectError("This project is damaged: a part has another length than it says.")
        self.left -= len(data)
        return data


def _check(story: dict[str, Any]) -> None:
    """Refuse more than can be opened; called by what saves, too."""
    runs, results = story["runs"], len(story["pictures"])
    most = max((len(run["candidates"]) for run in runs), default=0)
    if len(runs) > MAX_RUNS or results > MAX_PICTURES or most > MAX_CANDIDATES:
        raise ProjectError(
            f"A project holds at most {MAX_RUNS} runs and {MAX_PICTURES} results, of which "
            f"{MAX_CANDIDATES} are of one run."
        )


def _digest(array: NDArray[Any]) -> bytes:
    found = hashlib.sha256(repr((array.shape, array.dtype)).encode())
    found.update(np.ascontiguousarray(array).data)
    return found.digest()


def _fingerprint(picture: Picture) -> Any:
    alpha = None if picture.alpha is None else _digest(picture.alpha)
    return _digest(picture.pixels), alpha, picture.exif


def _kind(picture: Picture) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return picture.pixels.shape, picture.pixels.dtype


def _filled(
    results: list[Candidate], before: Picture, touched: Mask | None
) -> tuple[Picture, Mask]:
    """Return what all results of a run fill, and where; an older project has no such mask."""
    first = results[0].original
    alike = _kind(first) == _kind(before)
    if touched is None:
        touched = np.full(first.pixels.shape[:2], not alike)
        for one in results if alike else ():
            touched |= (one.picture().pixels != before.pixels).any(axis=2)
    below = before.pixels if alike else results[0].picture().pixels
    if not alike:
        below[touched] = 0
    return replace(first, pixels=below), touched


def _same(alpha: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if alpha is None or other is None:
        return alpha is other
    return np.array_equal(alpha, other)


def _patches(
    where: Mask, pixels: NDArray[Any], corner: tuple[int, int] = (0, 0)
) -> tuple[Patch, ...]:
    """Cut what is marked out of (H, W, C) pixels, in parts, and leave the rest of them behind.

    `corner` is where they lie in the whole picture: x, y.
    """
    found, (x, y) = [], corner
    box = masks.bounding_box(where)
    for part in cut(box, TILE) if box else ():
        share = Region(part, part).crop_array(where).astype(np.float32)
        if share.any():
            own = Region(part, part).crop_array(pixels).astype(np.float32)
            x0, y0, x1, y1 = part
            place = (x0 + x, y0 + y, x1 + x, y1 + y)
            found.append(Patch(Region(place, place), own, share))
    return tuple(found)


def _little(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _earlier(index: Any, runs: list[Run]) -> Run | None:
    return None if index is None else runs[_index(index, len(runs))]


def _index(value: Any, count: int) -> int:
    if type(value) is not int or not 0 <= value < count:
        raise ProjectError("This project is damaged: it points to what is not in it.")
    return value
