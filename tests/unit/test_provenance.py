import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inpaint import pictures
from inpaint.pictures import Picture

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
EDITED = b"compositeWithTrainedAlgorithmicMedia"
OTHER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="a"/>%s'
    b"</rdf:RDF></x:xmpmeta>"
)
CAMERA = b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def encoded(format, **options):
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, format, **options)
    return out.getvalue()


def xmp_in(data):
    """What Pillow, which is another reader, finds."""
    image = Image.open(io.BytesIO(data))
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    if image.format == "TIFF":
        found = image.tag_v2[700]
    return found.encode() if isinstance(found, str) else found


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_an_edited_picture_says_so_in_every_format_that_can(format):
    data = pictures.encode(pictures.marked(Picture(PIXELS)), format, text={"inpaint": "{}"})
    assert xmp_in(data).count(EDITED) == 1
    assert pictures.embedded_text(data)["inpaint"] == "{}"
    again = pictures.encode(pictures.marked(pictures.read(data)), format)
    assert xmp_in(again).count(b"DigitalSourceType=") == 1, "twice edited, said once"


@pytest.mark.parametrize(
    "mark",
    [
        b'<rdf:Description Iptc4xmpExt:DigitalSourceType="%s"/>' % CAMERA,
        b"<rdf:Description><Iptc4xmpExt:DigitalSourceType>%s</Iptc4xmpExt:DigitalSourceType>"
        b"</rdf:Description>" % CAMERA,
    ],
    ids=["attribute", "element"],
)
def test_the_source_type_that_was_there_goes_and_the_rest_stays(mark):
    picture = pictures.read(encoded("JPEG", xmp=OTHER % mark))
    seen = xmp_in(pictures.encode(pictures.marked(picture), "JPEG"))
    assert EDITED in seen and CAMERA not in seen and b'dc:format="a"' in seen
    assert CAMERA in picture.extras["xmp"], "the picture itself is not changed"


def png_with(name, body):
    data = encoded("PNG")
    check = zlib.crc32(body, zlib.crc32(name))
    return (
        data[:33]
        + struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", check)
        + (data[33:])
    )


def jpeg_with(marker, body):
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
    return encoded("JPEG")[:2] + segment + encoded("JPEG")[2:]


def webp_with(name, body):
    data = encoded("WEBP") + name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize(
    "data, expected",
    [
        (png_with(b"caBX", b"jumb c2pa"), True),
        (png_with(b"prVt", b"caBX"), False),
        (jpeg_with(0xEB, b"JP\0\1\0\0\0\1....jumb....c2pa"), True),
        (jpeg_with(0xEB, b"something else c2pa"), False),
        (jpeg_with(0xE1, b"JP c2pa"), False),
        (webp_with(b"C2PA", b"jumb!"), True),
        (webp_with(b"EXTR", b"C2PA"), False),
        (encoded("TIFF"), False),
        (b"", False),
        (b"\xff\xd8\xff\xeb\0\0JP", False),
    ],
)
def test_content_credentials_are_found_where_they_belong(data, expected):
    assert pictures.has_manifest(data) == expected


def test_a_manifest_does_not_outlive_the_edit():
    for data in (png_with(b"caBX", b"jumb"), jpeg_with(0xEB, b"JP\0\1\0\0\0\1jumbc2pa")):
        assert pictures.has_manifest(data)
        assert not pictures.has_manifest(pictures.encode(pictures.marked(pictures.read(data))))
