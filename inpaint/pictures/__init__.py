"""The only pixel boundary: bytes to `Picture` and back, with limits and typed errors.

Pixels are kept as the file stores them, so that what is not repainted can be written back to the
byte. Pillow decodes 8-bit pictures, OpenCV the 16-bit colour that Pillow would reduce to 8, and
the two lossless formats that people edit in, PNG and TIFF, are encoded here. A JPEG that is
saved again keeps its own coefficients wherever nothing was changed.
"""

from inpaint.pictures.picture import EXTENSIONS, MAX_PIXELS, Picture, PictureError, check_size
from inpaint.pictures.provenance import has_manifest, marked
from inpaint.pictures.reading import MAX_BYTES, embedded_text, read
from inpaint.pictures.resampling import resampled
from inpaint.pictures.writing import (
    DIGITS,
    check_sides,
    encode,
    format_of,
    loss,
    losses,
    part_of,
    preview,
    save_format,
    tidy,
    write,
)

__all__ = [
    "DIGITS",
    "EXTENSIONS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Picture",
    "PictureError",
    "check_sides",
    "check_size",
    "embedded_text",
    "encode",
    "format_of",
    "has_manifest",
    "loss",
    "losses",
    "marked",
    "part_of",
    "preview",
    "read",
    "resampled",
    "save_format",
    "tidy",
    "write",
]
