"""Small sound pictures and clips of every kind that is read, for `fuzz` to damage."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from inpaint import pictures
from inpaint.pictures import Picture


@cache
def sample_pictures() -> tuple[tuple[str, bytes], ...]:
    """Return pictures by name, which begins with the format."""
    rng = np.random.default_rng(7)
    ramp = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8)
    rgb = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]]) + rng.integers(0, 8, (40, 48, 3), "u1")
    deep = rgb.astype(np.uint16) * 257
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:24] + bytes(12) + profile[36:]  # without the time at which it was made
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    image = Image.fromarray(rgb)
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(ramp))
    made: dict[str, bytes] = {}

    def save(name: str, image: Image.Image, format: str, **options: Any) -> None:
        out = io.BytesIO()
        image.save(out, format, **options)
        made[name] = out.getvalue()

    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        save(f"{format} profile", image, format, icc_profile=profile, exif=exif.tobytes())
        text = {"inpaint": "x" * 50}
        made[f"{format} text"] = pictures.encode(
            Picture(rgb, exif=exif.tobytes()), format, text=text
        )
    for format in ("PNG", "WEBP", "TIFF"):
        save(f"{format} alpha", clear, format)
        save(f"{format} frames", image, format, save_all=True, append_images=[clear.convert("RGB")])
    for format in ("PNG", "TIFF"):
        for channels, alpha in ((1, None), (1, deep[..., 0]), (3, None), (3, deep[..., 0])):
            name = f"{format} 16 bit, {channels}" + (", alpha" if alpha is not None else "")
            made[name] = pictures.encode(Picture(deep[..., :channels], alpha), format)
    for mode in ("1", "L", "P", "LA"):
        save(f"PNG {mode}", image.convert(mode), "PNG")
        save(f"TIFF {mode}", image.convert(mode), "TIFF")
    save("PNG transparent colour", image.convert("P"), "PNG", transparency=3)
    for compression in ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate", "group4", "group3"):
        kind = image.convert("1") if compression.startswith("group") else image
        save(f"TIFF {compression}", kind, "TIFF", compression=compression)
    save("TIFF CMYK", image.convert("CMYK"), "TIFF")
    bands = Picture(
        np.dstack([rgb, rgb]), None, "TIFF", extras={"bands": (1, (0,) * 5)}, bands=True
    )
    made["TIFF bands"] = pictures.encode(bands, "TIFF")
    save("JPEG progressive", image, "JPEG", progressive=True)
    save("JPEG grey", image.convert("L"), "JPEG")
    save("JPEG CMYK", image.convert("CMYK"), "JPEG")
    save("WEBP lossless", image, "WEBP", lossless=True)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        save(f"BMP {mode}", (clear if mode == "RGBA" else image).convert(mode), "BMP")
    save("GIF", image, "GIF")
    save("GIF frames", image, "GIF", save_all=True, append_images=[image.rotate(90)] * 3)
    return tuple(made.items())


@cache
def sample_clips() -> tuple[tuple[str, bytes], ...]:
    """Return clips of six frames by name, which begins with the suffix of the file."""
    import av

    rng = np.random.default_rng(8)
    frames = rng.integers(0, 256, (6, 32, 48, 3), np.uint8)
    kinds = {
        "mp4": ("libx264", "yuv420p"),
        "mov": ("mpeg4", "yuv420p"),
        "webm": ("libvpx-vp9", "yuv420p"),
        "mkv": ("ffv1", "yuv444p10le"),
    }
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, (codec, format) in kinds.items():
            path = Path(folder, f"clip.{suffix}")
            # Else Matroska gets random numbers, and a case would not be the same again.
            with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
                stream: Any = container.add_stream(codec, rate=10, width=48, height=32)
                stream.pix_fmt = format
                sound: Any = container.add_stream("libopus" if suffix == "webm" else "aac", 48000)
                silence: Any = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), "fltp" if suffix != "webm" else "flt", "mono"
                )
                silence.sample_rate = 48000
                for frame in frames:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
                container.mux(sound.encode(silence))
                for track in (stream, sound):
                    container.mux(track.encode(None))
            made.append((f"{suffix} {codec}", path.read_bytes()))
    return tuple(made)
