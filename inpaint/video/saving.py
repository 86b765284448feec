"""Writing clips: what is not repainted goes from decoder to encoder as it is.

Of a video frame only the samples under the hole are replaced, in the file's own kind of colours: a
round trip through RGB would change all others by a little. Sound is copied, not encoded again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.codec import Codec, CodecContext
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from numpy.typing import NDArray

from inpaint import masks, pictures
from inpaint.pictures import EXTENSIONS, Picture, PictureError
from inpaint.video.clips import (
    COVER,
    Clip,
    FolderClip,
    Frame,
    Pixels,
    VideoClip,
    converted,
    like,
    planes,
)

Mask = NDArray[np.bool_]

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
ENCODERS = {
    "mp4": ("libx264", "libvpx-vp9", "mpeg4"),
    "mov": ("libx264", "mpeg4"),
    "matroska": ("libx264", "libvpx-vp9", "mpeg4"),
    "webm": ("libvpx-vp9",),
}
"""The first that is here, and that takes the clip's size, encodes it; of the ones below the first
that keeps its colours."""
LOSSLESS = {
    "mp4": ("libx264", "libvpx-vp9"),
    "mov": ("libx264",),
    "matroska": ("ffv1", "libx264", "libvpx-vp9"),
    "webm": ("libvpx-vp9",),
}
QUALITY = {
    "libx264": {"crf": "16"},
    "libvpx-vp9": {"crf": "18", "b": "0", "row-mt": "1", "cpu-used": "4"},
    "mpeg4": {"flags": "+qscale", "global_quality": "236"},
}
"""Options that leave hardly a visible loss."""
EXACT = {
    "libx264": {"qp": "0"},
    "libvpx-vp9": {"lossless": "1"},
    "ffv1": {"level": "3"},
}


CLEAR = "ALPHA_MODE"
"""What WebM says of a video with transparency, which FFmpeg decodes without it."""


class Writer(Protocol):
    """Where finished frames go."""

    def write(self, frame: Frame, pixels: Pixels, touched: Mask) -> None:
        """Write a frame whose `touched` (H, W) pixels are replaced by those of `pixels`."""

    def finish(self, whole: bool) -> None:
        """Put what was written in place; not `whole`: end it here, after the last frame."""

    def drop(self) -> None:
        """Remove what was written and not put in place."""

    def notes(self) -> list[str]:
        """Return sentences about what was written otherwise than read."""


def open_writer(clip: Clip, out: Path, *, lossless: bool, recipe: str) -> Writer:
    """Prepare to write what is read from a clip: a folder to a folder, a video to a video."""
    if isinstance(clip, FolderClip):
        return FolderWriter(clip, out, recipe)
    assert isinstance(clip, VideoClip)
    return VideoWriter(clip, out, lossless=lossless, recipe=recipe)


class Marking:
    """Another writer, with the hole of each frame as a numbered picture in a folder."""

    def __init__(self, writer: Writer, folder: Path) -> None:
        if folder.suffix.lower() in {*CONTAINERS, *EXTENSIONS}:
            raise PictureError(f"'{folder.name}' is the name of a file. Masks go to a folder.")
        if folder.is_dir() and any(folder.iterdir()):
            raise PictureError(f"There is something in '{folder}': choose a new folder for masks.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PictureError(f"There can be no folder '{folder}': {error.strerror}.") from error
        self.writer, self.folder, self.count = writer, folder, 0

    def write(self, frame: Frame, pixels: Pixels, touched: Mask) -> None:
        """Write a frame and its mask."""
        self.writer.write(frame, pixels, touched)
        self.count += 1
        pictures.write(pictures.read(touched), self.folder / f"{self.count:06}.png")

    def finish(self, whole: bool) -> None:
        """Every mask is in place."""
        self.writer.finish(whole)

    def drop(self) -> None:
        """Every mask is whole: keep them."""
        self.writer.drop()

    def notes(self) -> list[str]:
        """Return what the other says."""
        return self.writer.notes()


class FolderWriter:
    """Pictures of the same names and formats in another folder."""

    def __init__(self, clip: FolderClip, folder: Path, recipe: str) -> None:
        if folder.suffix.lower() in {*CONTAINERS, *EXTENSIONS}:
            raise PictureError(
                f"'{folder.name}' is the name of a file. Frames from a folder go to a folder."
            )
        if folder.exists() and folder.samefile(clip.files[0].parent):
            raise PictureError("Choose another folder for the result than the one of the frames.")
        for file in clip.files:
            pictures.format_of(file)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PictureError(f"There can be no folder '{folder}': {error.strerror}.") from error
        self.folder, self.recipe = folder, recipe
        self.names = iter([file.name for file in clip.files])

    def write(self, frame: Frame, pixels: Pixels, touched: Mask) -> None:
        """Write a picture; it is in place at once."""
        picture = frame.native
        assert isinstance(picture, Picture)
        if touched.any():
            own = picture.pixels.copy()
            filled = pixels[touched].astype(np.float32)[None] / picture.maximum
            own[touched] = np.rint(picture.native(filled))[0]
            alpha = picture.alpha
            if alpha is not None:  # what is filled on transparent ground becomes opaque
                ground = touched & masks.from_alpha(picture)
                alpha = np.where(ground, own.dtype.type(picture.maximum), alpha)
            picture = replace(picture, pixels=own, alpha=alpha)
        pictures.write(picture, self.folder / next(self.names), text={"inpaint": self.recipe})

    def finish(self, whole: bool) -> None:
        """Nothing is left to do."""

    def drop(self) -> None:
        """Every picture is whole: keep them."""

    def notes(self) -> list[str]:
        """Every picture keeps what its format holds."""
        return []


class VideoWriter:
    """A video file with the frame times, the sound and the texts of another."""

    def __init__(self, clip: VideoClip, out: Path, *, lossless: bool, recipe: str) -> None:
        suffix = out.suffix.lower()
        if suffix not in CONTAINERS:
            raise PictureError(
                f"A video cannot be saved as '{out.name}'. End its name in {', '.join(CONTAINERS)}."
            )
        if not out.parent.is_dir():
            raise PictureError(f"There is no folder '{out.parent}' to write to; make it first.")
        self.clip, self.out, self.place = clip, out, out.resolve()  # a link goes on leading to it
        self._notes: list[str] = []
        self.lengths: dict[int, int] = {}
        self.part = pictures.part_of(self.place)
        kind = CONTAINERS[suffix]
        name, options = self._encoder(kind, lossless)
        try:
            self.container = av.open(
                f"file:{self.part}",
                "w",
                format=kind,
                container_options={"movflags": "+faststart"} if kind in ("mp4", "mov") else {},
            )
            self.stream = self._video(name, options)
            self.copied = self._copies()
            self._describe(recipe)
        except (av.FFmpegError, OSError) as error:
            self.drop()
            raise self._refused(error) from error
        if self._notes and self.place == clip.path.resolve():
            self.drop()
            raise PictureError(
                f"'{out}' holds more than would be left of it: {' '.join(self._notes)} "
                "Give the result another name."
            )
        if clip.turns:
            self._notes.append("The clip is stored upright now, no longer with a note to turn it.")

    def write(self, frame: Frame, pixels: Pixels, touched: Mask) -> None:
        """Encode a frame, and copy the sound up to it."""
        native = frame.native
        assert isinstance(native, av.VideoFrame)
        if touched.any():
            native.make_writable()  # the decoder may still look at it
            filled = planes(like(pixels, native))
            # A fourth plane is transparency, which stays.
            for own, new in zip(planes(native)[:3], filled, strict=False):
                under = _shrunk(touched, own.shape)
                own[under] = new[under]
        native.pict_type = 0  # the encoder chooses its own key frames
        assert native.pts is not None
        self.lengths[native.pts] = native.duration
        try:
            self._encode(native)
            self._copy(until=native.time)
        except (av.FFmpegError, OSError) as error:
            raise self._refused(error) from error

    def finish(self, whole: bool) -> None:
        """Complete the file, flush it to the disk and give it its name."""
        try:
            self._encode(None)
            if whole:
                self._copy(until=float("inf"))
            self.container.close()
            with self.part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.part, self.place)
        except (av.FFmpegError, OSError) as error:
            raise self._refused(error) from error

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or what is left; encoders forget how long a frame is shown."""
        for packet in self.stream.encode(frame):
            packet.duration = self.lengths.pop(packet.pts, packet.duration)
            self.container.mux(packet)

    def drop(self) -> None:
        """Remove the unfinished file."""
        if hasattr(self, "container"):
            with contextlib.suppress(av.FFmpegError, OSError):
                self.container.close()
        with contextlib.suppress(OSError):
            self.part.unlink(missing_ok=True)

    def notes(self) -> list[str]:
        """Return what is not as it was."""
        return self._notes

    def _encoder(self, kind: str, lossless: bool) -> tuple[str, Mapping[str, str]]:
        """Choose an encoder, and set the pixel format that the clip hands out."""
        source = av.VideoFormat(self.clip.first.format.name)
        usable = []
        for name in (LOSSLESS if lossless else ENCODERS)[kind]:
            options = (EXACT if lossless else QUALITY)[name]
            best, loss = self._format(name, source, lossless)
            if best and self._opens(name, best, options):
                usable.append((loss if lossless else 0, name, best, options))
        if not usable:
            what = "without loss " if lossless else ""
            raise PictureError(
                f"This video cannot be encoded {what}as {self.out.suffix} here; save it as .mkv."
            )
        _, name, best, options = min(usable, key=lambda choice: choice[0])
        self.clip.format = best
        self._remark(source, av.VideoFormat(best), lossless)
        return name, options

    def _format(self, name: str, source: av.VideoFormat, lossless: bool) -> tuple[str, int]:
        """Return the encoder's format that is closest to the clip's, and 0 if that is exact."""
        try:
            known = [f for f in Codec(name, "w").video_formats or [] if _plain(f)]
        except UnknownCodecError:
            return "", 0
        if name != "ffv1":  # transparency that others take is lost on the way
            known = [f for f in known if not _has_alpha(f)]
        if source.is_rgb and not lossless:
            known = [f for f in known if f.name == "yuv420p"]  # what every player takes
        names = [f.name for f in known if _square(f.name) or self.clip.turns % 2 == 0]
        if source.name in names:
            return source.name, 0
        best, loss = find_best_pix_fmt_of_list(names, source.name, _has_alpha(source))
        return (best.name, int(loss)) if best else ("", 0)

    def _opens(self, name: str, format: str, options: Mapping[str, str]) -> bool:
        context: Any = CodecContext.create(name, "w")
        context.width, context.height = self.clip.size
        context.pix_fmt, context.options = format, dict(options)
        context.time_base, context.framerate = self.clip.time_base, self.clip.rate
        try:
            context.open()
        except (av.FFmpegError, ValueError):
            return False
        return True

    def _remark(self, source: av.VideoFormat, chosen: av.VideoFormat, lossless: bool) -> None:
        if chosen.components[0].bits < source.components[0].bits:
            self._notes.append(
                f"Colours were reduced from {source.components[0].bits} to "
                f"{chosen.components[0].bits} bits."
            )
        clear = _has_alpha(source) or self.clip.stream.metadata.get(CLEAR) == "1"
        if clear and not _has_alpha(chosen):
            self._notes.append("Transparency is not kept.")
        if lossless and source.is_rgb and not chosen.is_rgb:
            self._notes.append(
                "Colours were converted from RGB; save as .mkv to keep them exactly."
            )

    def _video(self, name: str, options: Mapping[str, str]) -> Any:
        clip = self.clip
        width, height = clip.size
        stream: Any = self.container.add_stream(
            name,
            rate=clip.rate,
            options=dict(options),
            width=width,
            height=height,
            time_base=clip.time_base,
        )
        stream.pix_fmt = clip.format
        context, source = stream.codec_context, clip.stream.codec_context
        shape = source.sample_aspect_ratio
        if shape:
            context.sample_aspect_ratio = 1 / shape if clip.turns % 2 else shape
        tags = converted(clip.first, clip.format)
        context.color_range, context.colorspace = tags.color_range, tags.colorspace
        context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
        texts = {k: v for k, v in clip.stream.metadata.items() if k not in (CLEAR, "DURATION")}
        stream.metadata.update(texts)
        return stream

    def _copies(self) -> dict[int, Any]:
        """Give every track that can be kept a place; index in the source -> track."""
        copies, allowed = {}, self.container.supported_codecs
        for what in dict.fromkeys(map(_named, self.clip.left)):
            self._notes.append(f"The {what} is left out.")
        for stream in self.clip.others:
            name = stream.codec_context.codec.canonical_name if stream.codec_context else ""
            if name not in allowed:
                self._notes.append(
                    f"The {'sound' if stream.type == 'audio' else 'subtitles'} ({name}) cannot be "
                    f"kept in {self.out.suffix}; save as .mkv to keep all."
                )
                continue
            copy = self.container.add_stream_from_template(stream)
            copy.metadata.update(stream.metadata)
            copies[stream.index] = copy
        return copies

    def _describe(self, recipe: str) -> None:
        source = self.clip.container
        texts = {k.lower(): v for k, v in source.metadata.items()}  # Matroska's are in capitals
        texts = {k: v for k, v in texts.items() if k not in _TECHNICAL}
        said = texts.pop("comment", "")
        if said and not said.startswith(_RECIPE):
            if self.container.format.name == "mov" or texts.setdefault("description", said) != said:
                self._notes.append("The clip's comment gives way to the recipe.")
        # A place of its own for it would not survive in MP4.
        self.container.metadata.update({**texts, "comment": recipe})
        self.container.set_chapters(source.chapters())

    def _copy(self, until: float) -> None:
        waiting = list(self.clip.packets)
        self.clip.packets.clear()  # the reader adds to it
        for time, packet in waiting:
            if time > until:
                self.clip.packets.append((time, packet))
            elif packet.stream.index in self.copied:
                packet.stream = self.copied[packet.stream.index]
                self.container.mux(packet)

    def _refused(self, error: Exception) -> PictureError:
        reason = getattr(error, "strerror", None) or str(error)
        return PictureError(f"The video '{self.out}' cannot be saved: {reason.rstrip('.')}.")


_TECHNICAL = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
"""What the new file says for itself."""
_RECIPE = '{"inpaint": '
"""What a recipe begins with."""


def _named(stream: Any) -> str:
    """Name a track that is not taken over."""
    if stream.disposition & COVER:
        return "cover picture"
    return {"video": "further video track", "attachment": "attachment"}.get(stream.type, "data")


def _plain(format: av.VideoFormat) -> bool:
    """Say whether each component has a plane of its own, in whole bytes of this machine."""
    alone = {component.plane for component in format.components}
    few = format.components[0].bits <= 16
    return len(alone) == len(format.components) and few and not format.is_big_endian


def _square(name: str) -> bool:
    """Say whether chroma is as coarse across as down, so that a turned frame keeps its format."""
    format = av.VideoFormat(name, 64, 64)
    return format.chroma_width() == format.chroma_height()


def _has_alpha(format: av.VideoFormat) -> bool:
    return any(component.is_alpha for component in format.components)


def _shrunk(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Shrink a mask to a plane of coarser samples: True where any of its pixels is."""
    down, across = (-(-full // part) for full, part in zip(mask.shape, shape, strict=True))
    if (down, across) == (1, 1):
        return mask
    padded = np.zeros((shape[0] * down, shape[1] * across), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return np.asarray(padded.reshape(shape[0], down, shape[1], across).any(axis=(1, 3)))
