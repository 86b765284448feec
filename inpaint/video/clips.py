"""Reading clips: video files and folders of numbered pictures, frame by frame, and their masks."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from inpaint import masks, pictures
from inpaint.pictures import EXTENSIONS, MAX_PIXELS, Picture, PictureError
from inpaint.pictures.picture import check_size

Mask = NDArray[np.bool_]
Pixels = NDArray[Any]
"""(H, W, 3) uint8 or uint16."""
Native = av.VideoFrame | Picture

FORMATS = "mov,mp4,matroska,webm,avi,gif,flv,mpeg,mpegts,ogg,asf,yuv4mpegpipe"
"""What is let in. FFmpeg also reads playlists, which name other files and servers."""
COVER = av.stream.Disposition.attached_pic
MAX_SIDE = 16384
"""Most pixels on a side of a frame, as in H.264. Some encoders take more, and a gigabyte."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as its file holds it, and its pixels, (H, W, 3) RGB; both upright."""

    native: Native
    pixels: Pixels


class Clip(Protocol):
    """Frames, one after another."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""

    @property
    def expected(self) -> int:
        """How many frames there are, if none is damaged."""

    def frames(self) -> Iterator[Frame]:
        """Read the frames; once."""

    def notes(self) -> list[str]:
        """Return sentences about what could not be read."""


def open_clip(source: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Clip:
    """Open a video file, or a folder of numbered pictures."""
    path = Path(source)
    return FolderClip(path, max_pixels) if path.is_dir() else VideoClip(path, max_pixels)


class FolderClip:
    """Pictures in a folder, in the order of the numbers in their names."""

    def __init__(self, folder: Path, max_pixels: int = MAX_PIXELS) -> None:
        self.files = sorted(
            (
                file
                for file in folder.iterdir()
                if file.suffix.lower() in EXTENSIONS and not file.name.startswith(".")
            ),
            key=_counted,
        )
        if not self.files:
            raise PictureError(f"The folder '{folder}' holds no pictures, such as 0001.png.")
        self.max_pixels = max_pixels
        first = pictures.read(self.files[0], max_pixels=max_pixels)
        self.size, self.depth = first.size, first.pixels.dtype
        self.expected = len(self.files)

    def frames(self) -> Iterator[Frame]:
        """Read the pictures."""
        for file in self.files:
            picture = pictures.read(file, max_pixels=self.max_pixels)
            if picture.size != self.size:
                raise PictureError(
                    f"The picture '{file}' has {_times(picture.size)} pixels and the first one "
                    f"{_times(self.size)}. Make them equal."
                )
            if picture.pixels.dtype != self.depth or picture.bands:
                what = "plain bands" if picture.bands else "another depth than the first one"
                raise PictureError(
                    f"The picture '{file}' has {what}. Save all as RGB or grey of 8 bits, or of 16."
                )
            pixels = picture.pixels
            if pixels.shape[2] != 3:
                pixels = np.rint(picture.rgb() * picture.maximum).astype(pixels.dtype)
            yield Frame(picture, pixels)

    def notes(self) -> list[str]:
        """Return nothing: a picture is read whole or not at all."""
        return []


def _counted(file: Path) -> tuple[list[tuple[int, str]], str]:
    """Order names by the numbers in them: frame-9 before frame-10."""
    parts = re.findall(r"\d+|\D+", file.stem)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], file.name


def _check_size(frame: av.VideoFrame | av.VideoCodecContext, max_pixels: int) -> None:
    """Refuse frames that are empty, too large or too long."""
    check_size((frame.width, frame.height), max_pixels)
    if max(frame.width, frame.height) > MAX_SIDE:
        raise PictureError(
            f"This video has {frame.width} × {frame.height} pixels, and a side may have at most "
            f"{MAX_SIDE}. Make it smaller first."
        )


class VideoClip:
    """The first video track of a file.

    Attributes
    ----------
    left : list
        The tracks that are not read: other video, covers, attachments, data.
    packets : list
        What was read of the other tracks so far, with its time in seconds, for whoever copies it.
    format : str
        Name of FFmpeg's pixel format in which frames are handed out; may be set before reading.
    """

    def __init__(self, path: Path, max_pixels: int = MAX_PIXELS) -> None:
        if not path.is_file():
            what = "not a file" if path.exists() else "not there"
            raise PictureError(f"The video '{path}' is {what}. Check its name.")
        self.path = path
        try:
            self.container = self._open()
            # FFmpeg's objects know each other: unclosed, their file and their threads would stay
            # until the garbage collector comes by.
            weakref.finalize(self, self.container.close).atexit = False
            known = [s for s in self.container.streams.video if s.codec_context]
            videos = [s for s in known if not s.disposition & COVER]
            if not videos:
                raise PictureError(f"The file '{path}' holds no video. Choose another file.")
            self.stream = videos[0]
            context = self.stream.codec_context
            _check_size(context, max_pixels)
            context.thread_type = "AUTO"
        except (av.FFmpegError, UnicodeError) as error:
            raise _unreadable(path, error) from error
        self.others = [*self.container.streams.audio, *self.container.streams.subtitles]
        taken = {self.stream.index, *(track.index for track in self.others)}
        self.left = [
            s for s in self.container.streams if s.index not in taken and not _redundant(s)
        ]
        self.packets: list[tuple[Fraction, Any]] = []
        self.damaged: list[str] = []
        self.read, self.shown = 0, 0.0
        # It does not know this object, which knows it: the object goes with its last user.
        tracks = [self.stream, *self.others]
        decoded = _decoded(path, self.container, tracks, self.packets, self.damaged, max_pixels)
        first = next(decoded, None)
        if first is None:
            raise _unreadable(path, "no frame of it can be decoded")
        self.first = first
        self.turns = round(first.rotation / 90) % 4
        self.stored = (first.width, first.height)
        self.size = self.stored[::-1] if self.turns % 2 else self.stored
        self.format = first.format.name
        self._rest = chain([first], decoded)
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.time_base = self.stream.time_base or 1 / Fraction(self.rate)
        self.expected = self._count()

    def frames(self) -> Iterator[Frame]:
        """Decode the video."""
        first, last = None, -(1 << 62)
        for frame in self._rest:
            if (frame.width, frame.height) != self.stored:
                raise PictureError(
                    f"The video '{self.path}' changes its size on the way. "
                    "Convert it to one size first."
                )
            self.read += 1
            length = frame.duration or _step(self)
            # Files without frame times, or with the same time twice, are shown one by one.
            pts = frame.pts if frame.pts is not None else _next(last, self)
            last = max(pts, last + 1)
            first = last if first is None else first
            native = converted(frame, self.format)
            if self.turns:
                native = _turned(native, self.turns)
            native.pts, native.time_base, native.duration = last, self.time_base, length
            self.shown = float((last + length - first) * self.time_base)
            yield Frame(native, to_rgb(native))

    def notes(self) -> list[str]:
        """Say what was damaged or missing."""
        there, told = max(self.expected, self.stream.frames), self._told()
        if self.shown < 0.9 * told:
            there = max(there, round(self.read * told / max(self.shown, 1e-3)))
        if self.damaged or there > self.read:
            return [f"Of {there} frames {self.read} could be read: the video is damaged or cut."]
        return []

    def _told(self) -> float:
        """Return how long the video is by the file's header, in seconds; 0 if that is silent."""
        if self.stream.duration:
            return float(self.stream.duration * self.time_base)
        clock = re.fullmatch(r"(\d+):(\d+):([\d.]+)", self.stream.metadata.get("DURATION", ""))
        if clock:
            hours, minutes, seconds = map(float, clock.groups())
            return 3600 * hours + 60 * minutes + seconds
        # The whole file's lasts as long as its longest track.
        return 0.0 if self.others else (self.container.duration or 0) / 1e6

    def _open(self) -> av.container.InputContainer:
        return av.open(
            f"file:{self.path}",
            metadata_errors="replace",
            container_options={"format_whitelist": FORMATS},
        )

    def _count(self) -> int:
        """Count the frames without decoding them: what headers tell is often wrong or missing."""
        with self._open() as container:
            packets = container.demux(container.streams[self.stream.index])
            count = 0
            with suppress(av.FFmpegError):
                for packet in packets:
                    count += packet.size > 0 and not packet.is_discard
            return count


def _decoded(
    path: Path,
    container: Any,
    tracks: list[Any],
    packets: list[tuple[Fraction, Any]],
    damaged: list[str],
    max_pixels: int,
) -> Iterator[av.VideoFrame]:
    """Decode the first of the tracks; note what is damaged, and the packets of the others."""
    coming = container.demux(*tracks)
    while True:
        try:
            packet = next(coming, None)
            if packet is None:
                return
            if packet.stream.index != tracks[0].index:
                if packet.dts is not None and packet.time_base:
                    packets.append((packet.dts * packet.time_base, packet))
                continue
            frames = packet.decode()
        except av.InvalidDataError as error:
            damaged.append(str(error))
            continue
        except av.FFmpegError as error:
            raise _unreadable(path, error) from error
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            _check_size(frame, max_pixels)
            yield frame


def _redundant(stream: Any) -> bool:
    """Say whether a track only tells what FFmpeg knows without it: chapters, or a time code."""
    data = stream.type == "data"
    return data and (stream.discard == av.stream.Discard.all or "timecode" in stream.metadata)


def _next(last: int, clip: VideoClip) -> int:
    return 0 if last < 0 else last + _step(clip)


def _step(clip: VideoClip) -> int:
    return max(1, round(1 / (clip.rate * clip.time_base)))


def _unreadable(path: Path, why: object) -> PictureError:
    reason = getattr(why, "strerror", None) or str(why)
    return PictureError(
        f"The video '{path}' cannot be read: {reason.rstrip('.')}. "
        "It may be damaged or cut short; try converting it to MP4 again."
    )


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


# FFmpeg's frames as arrays


def planes(frame: av.VideoFrame) -> list[Pixels]:
    """View the planes of a planar frame; writing to them changes it."""
    kind = np.dtype(np.uint8 if frame.format.components[0].bits <= 8 else np.uint16)
    return [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


def converted(frame: av.VideoFrame, format: str) -> av.VideoFrame:
    """Return the frame in another pixel format, its colours as close as that allows."""
    if frame.format.name == format:
        return frame
    matrix = {}
    if frame.format.is_rgb and not av.VideoFormat(format).is_rgb:
        matrix = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
    return frame.reformat(format=format, interpolation="BICUBIC", **matrix)


def to_rgb(frame: av.VideoFrame) -> Pixels:
    """Return (H, W, 3): uint8, or uint16 for more than 8 bits."""
    deep = frame.format.components[0].bits > 8
    array: Pixels = converted(frame, "rgb48le" if deep else "rgb24").to_ndarray()
    return array


def like(pixels: Pixels, frame: av.VideoFrame) -> av.VideoFrame:
    """Turn (H, W, 3) RGB into the format and the kind of colours of a frame."""
    rgb = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(pixels), "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
    )
    return rgb.reformat(
        format=frame.format.name,
        interpolation="BICUBIC",
        dst_colorspace=frame.colorspace,
        dst_color_range=frame.color_range,
    )


def _turned(frame: av.VideoFrame, turns: int) -> av.VideoFrame:
    """Turn a frame counter-clockwise by quarter turns."""
    width, height = frame.width, frame.height
    if turns % 2:
        width, height = height, width
    out = av.VideoFrame(width, height, frame.format.name)
    for old, new in zip(planes(frame), planes(out), strict=True):
        new[:] = np.rot90(old, turns)
    out.colorspace, out.color_range = frame.colorspace, frame.color_range
    return out


# Masks


def masks_of(mask: Any, size: tuple[int, int]) -> tuple[Iterator[Mask], int]:
    """Read one mask for all frames, or one for each.

    Parameters
    ----------
    mask : Strokes, array, path
        Strokes, an array or a picture are for all frames; a folder of pictures, a video or an
        animated GIF holds one for each. White = repaint.
    size : tuple
        Width and height of the frames; masks of another size are resized.

    Returns
    -------
    masks, count
        (H, W) bool each; 0 if there are as many as one likes.
    """
    if isinstance(mask, masks.Strokes):
        still = masks.rasterize(mask, size)
    elif isinstance(mask, str | os.PathLike) and Path(mask).is_dir():
        folder = FolderClip(Path(mask))
        return (masks.read(file, size) for file in folder.files), folder.expected
    elif isinstance(mask, str | os.PathLike) and _moves(Path(mask)):
        video = VideoClip(Path(mask))
        masks.check_shape(video.size, size)
        return (_white(frame.native, size) for frame in video.frames()), video.expected
    else:
        still = masks.read(mask, size)
    if not still.any():
        raise ValueError("Nothing is painted; paint over what should be filled.")
    return repeat(still), 0


def _moves(path: Path) -> bool:
    """Say whether a file holds a mask for each frame; several pictures that are no film raise."""
    if path.suffix.lower() not in EXTENSIONS:
        return True
    picture = pictures.read(path)
    if picture.extras.get("more") and picture.format != "GIF":
        raise PictureError(
            f"The mask '{path}' has several pages or frames. Give one picture for all frames, or "
            "a folder, a video or a GIF with one for each."
        )
    return bool(picture.extras.get("more"))


def _white(frame: Native, size: tuple[int, int]) -> Mask:
    assert isinstance(frame, av.VideoFrame)
    rgba = frame.to_ndarray(format="rgba")
    grey = np.minimum(cv2.cvtColor(rgba, cv2.COLOR_RGBA2GRAY), rgba[..., 3])  # clear is unpainted
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST_EXACT) > 127)
