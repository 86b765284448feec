import io
import json
import zipfile
import zlib

import numpy as np
import pytest

from inpaint import pictures, project, reviewing
from inpaint.editing import edit
from inpaint.masks import Strokes
from inpaint.project import ProjectError, open_project, save
from inpaint.regions import Region
from inpaint.results import Candidate, Patch
from inpaint.tools import fuzz
from inpaint.visit import Drawing, Run, Visit

STROKE = {"tool": "brush", "radius": 7, "points": [[20, 24], [34, 26]], "erase": False}


def strokes(size):
    return Strokes.parse({"width": size[0], "height": size[1], "strokes": [STROKE]})


def visit_of(picture, **settings):
    """A visit with two runs, the second on the first's result."""
    visit = Visit.begin("holiday", pictures.encode(picture), picture)
    for seed in (1, 5):
        drawing = Drawing(strokes(visit.picture.size))
        result = edit(visit.picture, drawing.mask(), steps=1, seed=seed, device="cpu", **settings)
        visit.add(result, drawing, visit.picture, "Done.")
        if seed == 1:
            visit.proceed()
    return visit


def random_picture(dtype=np.uint8, channels=3, alpha=False):
    rng = np.random.default_rng(3)
    high = np.iinfo(dtype).max + 1
    pixels = rng.integers(0, high, (48, 56, channels)).astype(dtype)
    plane = rng.integers(0, high, (48, 56)).astype(dtype) if alpha else None
    return pictures.Picture(pixels, plane)


@pytest.mark.parametrize(
    "kind",
    [{}, {"dtype": np.uint16}, {"channels": 1}, {"alpha": True}, {"dtype": np.uint16, "alpha": 1}],
    ids=str,
)
def test_what_is_saved_comes_back_to_the_byte(kind):
    visit = visit_of(random_picture(**kind), candidates=2)
    base = np.zeros((48, 56), bool)
    base[3:9, 4:11] = True
    drawing = Drawing(strokes((56, 48)), base)
    again, painted = open_project(save(visit, drawing))
    assert again.name == "holiday" and again.source == visit.source
    assert np.array_equal(painted.mask(), drawing.mask())
    assert np.array_equal(again.base, base)
    assert len(again.runs) == 2 and again.runs.index(again.shown) == 1
    assert np.array_equal(again.invented, again.runs[0].invented())
    assert again.runs[1].earlier is again.runs[0].marked, "it is read once"
    for old, new in zip(visit.runs, again.runs, strict=True):
        assert (new.number, new.receipt, new.said) == (old.number, old.receipt, old.said)
        assert np.array_equal(new.drawing.mask(), old.drawing.mask())
        assert np.array_equal(new.invented(), old.invented())
        assert (new.earlier is None) == (old.earlier is None)
        pairs = [(old.before, new.before)]
        pairs += [
            (a.picture(), b.picture()) for a, b in zip(old.candidates, new.candidates, strict=True)
        ]
        for a, b in [*pairs, (visit.picture, again.picture)]:
            assert np.array_equal(a.pixels, b.pixels) and a.pixels.dtype == b.pixels.dtype
            assert (a.alpha is None) == (b.alpha is None)
            assert a.alpha is None or np.array_equal(a.alpha, b.alpha)
        assert [c.recipe for c in new.candidates] == [c.recipe for c in old.candidates]


def test_a_result_of_another_size_comes_back():
    picture = random_picture()
    visit = Visit.begin("wide", pictures.encode(picture), picture)
    result = edit(picture, task="extend", left=8, steps=1, device="cpu")
    visit.add(result, None, picture, "Done.")
    again, drawing = open_project(save(visit, None))
    assert drawing is None
    assert again.runs[0].picture().size == (64, 48)
    assert np.array_equal(again.runs[0].picture().pixels, result.picture.pixels)
    assert np.array_equal(again.runs[0].invented(), result.mask)


def test_a_coloured_result_comes_back_without_the_profile_of_grey():
    grey = pictures.Picture(random_picture(channels=1).pixels, icc=bytes(16) + b"GRAY" + bytes(200))
    source = pictures.encode(grey, "PNG")
    visit = Visit.begin("grey", source, pictures.read(source))
    visit.add(edit(visit.picture, task="colourise", steps=1, device="cpu"), None, grey, "Done.")
    again, _ = open_project(save(visit, None))
    files = [pictures.encode(one.runs[0].picture(), "PNG") for one in (visit, again)]
    assert again.original.icc == grey.icc and files[0] == files[1]


@pytest.mark.parametrize(
    "settings", [{}, {"task": "extend", "left": 8}, {"task": "enlarge"}], ids=str
)
def test_what_came_back_can_be_merged_and_varied(settings):
    picture = random_picture(alpha=True)
    visit = visit_of(picture)
    visit.proceed()
    mask = None if settings else np.pad(np.ones((8, 9), bool), ((30, 10), (5, 42)))
    result = edit(visit.picture, mask, steps=1, candidates=2, device="cpu", **settings)
    visit.add(result, None, visit.picture, "Done.")
    again, _ = open_project(save(visit, None))
    for old, new in zip(visit.runs, again.runs, strict=True):
        for a, b in zip(old.candidates, new.candidates, strict=True):
            assert np.array_equal(reviewing.touched(a), reviewing.touched(b))
            assert np.array_equal(a.picture().pixels, b.picture().pixels)
    half = np.zeros(result.mask.shape, bool)
    half[:24] = True
    one, two = (reviewing.merged(*v.runs[-1].candidates, half).picture() for v in (visit, again))
    assert np.array_equal(one.pixels, two.pixels) and np.array_equal(one.alpha, two.alpha)


def pasting(path, *, at=20):
    """Strokes of every kind, with a picture pasted."""
    paint = {"tool": "paint", "radius": 3, "points": [[8, 8], [30, 9]], "color": "#ff8800"}
    paste = {"tool": "paste", "points": [[at, 16], [at + 12, 30]], "path": str(path)}
    size = {"width": 56, "height": 48}
    return Drawing(Strokes.parse({**size, "strokes": [STROKE, paint, paste, {"tool": "invert"}]}))


@pytest.fixture
def second(tmp_path):
    """The file of a second picture."""
    path = tmp_path / "second.webp"
    path.write_bytes(pictures.encode(pictures.Picture(random_picture().pixels[:14, :12]), "WEBP"))
    return path


def test_what_was_pasted_comes_back_with_its_file(second, tmp_path):
    picture = random_picture()
    visit = Visit.begin("holiday", pictures.encode(picture), picture)
    drawing, other, left = (pasting(second, at=at) for at in (4, 20, 30))
    guide = drawing.painted_on(picture)
    result = edit(picture, drawing.mask(), task="replace", guide=guide, steps=1, device="cpu")
    visit.add(result, drawing, picture, "Done.")
    visit.leave(left)
    visit.proceed()
    gone = pasting(tmp_path / "gone.png")
    visit.add(result, gone, picture, "Done.")
    packed = save(visit, other)
    data = second.read_bytes()
    second.unlink()
    kept = []

    def keep(data, name):
        kept.append(name)
        path = tmp_path / "again" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return str(path)

    again, painted = open_project(packed, keep=keep)
    assert kept == ["pasted.webp"] and (tmp_path / "again" / "pasted.webp").read_bytes() == data
    second.write_bytes(data)
    pairs = [(drawing, again.runs[0].drawing), (left, again.left[1]), (other, painted)]
    for old, new in pairs:
        assert np.array_equal(new.painted_on(picture).pixels, old.painted_on(picture).pixels)
        assert np.array_equal(new.mask(), old.mask())
    assert again.runs[0].repeatable
    assert again.left[0].pixels.tobytes() == picture.pixels.tobytes()
    assert [s.tool for s in again.runs[1].drawing.strokes.strokes] == ["brush", "paint", "invert"]
    _, without = open_project(packed)
    assert [s.tool for s in without.strokes.strokes] == ["brush", "paint", "invert"]


@pytest.mark.parametrize(
    "kind", [{}, {"dtype": np.uint16, "alpha": True}, {"channels": 1}, {"channels": 4}], ids=str
)
def test_a_second_picture_comes_back(kind):
    picture, guide = random_picture(), random_picture(**kind)
    visit = Visit.begin(
        "holiday",
        pictures.encode(picture),
        picture,
    )
    visit.guide = guide
    result = edit(picture, task="replace", guide=guide, at="5,5,20,20", steps=1, device="cpu")
    visit.add(result, None, picture, "Done.")
    again, _ = open_project(save(visit, None))
    assert again.guide is again.runs[0].guide, "it is read once"
    assert np.array_equal(again.guide.pixels, guide.pixels)
    assert np.array_equal(again.guide.alpha, guide.alpha)
    assert again.runs[0].repeatable and again.runs[0].settings["at"] == "5,5,20,20"


def test_an_older_project_without_second_pictures_is_opened(packed):
    def older(story):
        story["inpaint_project"] = 1
        for item in (story, *story["runs"]):
            for name in ("guide", "left", "touched"):
                item.pop(name, None)

    again, _ = open_project(changed(packed, None, b"", story=older))
    assert len(again.runs) == 2 and again.guide is again.left is again.runs[0].guide is None
    assert np.array_equal(
        again.runs[1].picture().pixels, open_project(packed)[0].shown.picture().pixels
    )


def test_an_older_project_marks_what_differs():
    picture = random_picture()

    def older(story):
        for item in (story, *story["runs"]):
            item.pop("invented")
            item.pop("earlier", None)

    packed = save(visit_of(picture), None)
    again, _ = open_project(changed(packed, None, b"", story=older))
    for run in again.runs:
        differs = (run.picture().pixels != picture.pixels).any(axis=2)
        assert differs.any() and np.array_equal(run.invented(), differs)
    first, second = again.runs
    assert np.array_equal(again.invented, first.invented())
    again.back_to(second)
    assert np.array_equal(again.invented, first.invented())


@pytest.mark.parametrize("alpha", [False, True])
def test_a_project_of_version_2_is_opened(alpha):
    """Its results have the bits of the whole picture, and alpha of all of it."""
    picture = random_picture(alpha=alpha)
    packed = save(visit_of(picture, candidates=2), None)
    again, older = (open_project(one)[0] for one in (packed, as_version_2(packed, picture)))
    for new, old in zip(again.runs, older.runs, strict=True):
        for a, b in zip(new.candidates, old.candidates, strict=True):
            assert (a.picture().pixels != picture.pixels).any()
            assert np.array_equal(a.picture().pixels, b.picture().pixels)
            assert np.array_equal(a.picture().alpha, b.picture().alpha)


def as_version_2(packed, picture):
    out, (height, width) = io.BytesIO(), picture.pixels.shape[:2]
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(out, "w") as new:
        files = {name: old.read(name) for name in old.namelist()}
        story = json.loads(files["project.json"])
        for number, about in enumerate(story["pictures"]):
            x0, y0, x1, y1 = about.pop("box")
            bits = np.unpackbits(np.frombuffer(files[f"{number}-where"], np.uint8))
            where = np.zeros((height, width), bool)
            where[y0:y1, x0:x1] = bits[: (y1 - y0) * (x1 - x0)].reshape(y1 - y0, x1 - x0)
            files[f"{number}-where"] = np.packbits(where).tobytes()
            if about["alpha"]:
                alpha = files.get(about["alpha"], picture.alpha.tobytes())
                files[f"{number}-alpha"], about["alpha"] = alpha, True
        files["project.json"] = json.dumps(story | {"inpaint_project": 2}).encode()
        for name, data in files.items():
            new.writestr(name, data)
    return out.getvalue()


def flat_visit():
    """Three runs of four candidates on a picture that packs to next to nothing."""
    plain = np.full((600, 600, 3), 90, np.uint8)
    original = pictures.Picture(plain, np.full((600, 600), 255, np.uint8))
    visit = Visit.begin("flat", pictures.encode(original), original)
    box, share = (300, 300, 320, 320), np.ones((20, 20), np.float32)
    for number in (1, 2, 3):
        colours = [np.full((20, 20, 3), 10 * number + k, np.float32) for k in range(4)]
        made = [
            Candidate(original, (Patch(Region(box, box), one, share),), {"settings": {}})
            for one in colours
        ]
        mask = np.zeros((600, 600), bool)
        mask[300:320, 300:320] = True
        visit.runs.append(Run(number, original, None, made, [1.0] * 4, "", "", mask))
    return visit


def test_a_project_of_a_large_plain_picture_holds_what_differs_alone():
    with zipfile.ZipFile(io.BytesIO(save(flat_visit(), None))) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert sizes["0-where"] == 50 and sizes["0-pixels"] == 1200
    assert max(sizes.values()) == 600 * 600 / 8, "no alpha is written, and masks take a bit a pixel"


def test_an_alpha_that_candidates_share_is_written_once():
    picture = random_picture(alpha=True)
    picture.alpha[:], picture.alpha[10:20, 10:20] = 255, 0
    visit = Visit.begin("clear", pictures.encode(picture), picture)
    result = edit(picture, steps=1, candidates=2, device="cpu")
    visit.add(result, None, picture, "Done.")
    packed = save(visit, None)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert [info.file_size for info in archive.infolist()].count(picture.alpha.size) == 1
    for old, new in zip(result.candidates, open_project(packed)[0].runs[0].candidates, strict=True):
        assert np.array_equal(new.picture().alpha, old.picture().alpha)
        assert not np.array_equal(new.picture().alpha, picture.alpha)


def test_what_is_saved_opens_however_well_it_packs(monkeypatch):
    monkeypatch.setattr(project, "ROOM", 1000)
    visit = flat_visit()
    larger = pictures.Picture(np.full((700, 800, 3), 90, np.uint8), np.ones((700, 800), np.uint8))
    made = [Candidate(larger, (), {"settings": {}})]
    visit.runs.append(Run(4, visit.picture, None, made, [None], "", "", None))
    again, _ = open_project(save(visit, None))
    for old, new in zip(visit.runs, again.runs, strict=True):
        assert np.array_equal(old.picture().pixels, new.picture().pixels)
        assert np.array_equal(old.picture().alpha, new.picture().alpha)


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_STORY", "MAX_PICTURES", "MAX_CANDIDATES"])
def test_what_could_not_be_opened_is_not_saved(limit, monkeypatch):
    monkeypatch.setattr(project, limit, 3)
    with pytest.raises(ProjectError, match=r"project.*runs.*\.$"):
        save(flat_visit(), None)


@pytest.fixture(scope="module")
def packed():
    return save(visit_of(random_picture()), None)


def changed(packed, name, data, *, story=None):
    """The project with one entry replaced, or with its story changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for item in old.namelist():
            content = old.read(item)
            if story and item == project.STORY:
                plain = json.loads(content)
                story(plain)
                content = json.dumps(plain).encode()
            new.writestr(item, data if item == name else content)
    return out.getvalue()


def test_a_bomb_is_refused_before_it_is_unpacked(packed, monkeypatch):
    bomb = changed(packed, "0-pixels", bytes(50_000_000))
    unpacked = []
    whole = zlib.decompressobj

    def counting(*args):
        unpacked.append(args)
        return whole(*args)

    monkeypatch.setattr(zlib, "decompressobj", counting)
    with pytest.raises(ProjectError, match="larger than can be opened"):
        open_project(bomb)


def bomb(count=40, side=3000):
    """A small ZIP with many whole results, all of them black."""
    ends = ("where", "pixels")
    bits = np.packbits(np.ones(side * side, bool)).tobytes()
    parts = {"where": bits, "pixels": bytes(side * side * 3)}
    about = {"width": side, "height": side, "channels": 3, "bits": 8}
    candidates = [{"picture": k, "recipe": {"settings": {}}} for k in range(count)]
    run = {"number": 1, "before": None, "drawing": None, "candidates": candidates}
    run |= {"seams": [0] * count, "receipt": "", "said": "", "chosen": 0}
    story = {"inpaint_project": 1, "name": "bomb", "picture": None, "drawing": None, "shown": 0}
    story |= {"runs": [run], "pictures": [about | {"alpha": False}] * count}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "original", pictures.encode(pictures.read(np.zeros((side, side, 3), "u1")))
        )
        for name in (f"{k}-{end}" for k in range(count) for end in ends):
            archive.writestr(name, parts[name.split("-")[1]])
        archive.writestr("project.json", json.dumps(story))
    return out.getvalue()


def test_a_bomb_of_many_black_results_is_refused_at_once():
    def use(data, name):
        try:
            open_project(data)
        except ProjectError as error:
            assert "unpacks to far more" in str(error)
            return "refused"
        return "read"

    assert use(bomb(1, 40), "") == "read"
    report = fuzz.watched(bomb(), "", use)
    assert report["outcome"] == "refused", report
    assert report["seconds"] < 1 and report["megabytes"] < 100, report


def test_a_large_result_that_many_runs_share_is_not_multiplied():
    def often(story):
        run = story["runs"][0]
        story["runs"] = [{**run, "candidates": run["candidates"] * 64, "seams": [0] * 64}] * 60

    packed = changed(bomb(1, 2000), None, b"", story=often)
    report = fuzz.watched(packed, "", lambda data, name: open_project(data) and "read")
    assert report["outcome"] == "read", report
    assert report["seconds"] < 20 and report["megabytes"] < 500, report


@pytest.mark.parametrize(
    "story",
    [
        lambda s: s["pictures"][0].update(width=10**9),
        lambda s: s["pictures"][0].update(box=[0, 0, 10**9, 10**9]),
        lambda s: s["pictures"][0].update(box=[-3, 0, 6, 9]),
        lambda s: s["pictures"][0].update(box=[7]),
        lambda s: s["pictures"][0].pop("box"),
        lambda s: s["pictures"][0].update(alpha=True),
        lambda s: s["pictures"][0].update(channels=2),
        lambda s: s["runs"][0].update(chosen=7),
        lambda s: s["runs"][0].update(before=99),
        lambda s: s["runs"][0].update(candidates=[]),
        lambda s: s["runs"][0]["drawing"].update(base="../../etc/passwd"),
        lambda s: s["runs"][0]["drawing"].update(width=57),
        lambda s: s["runs"][0].update(invented="../../etc/passwd"),
        lambda s: s["runs"][0].update(invented="original"),
        lambda s: s["runs"][0].update(earlier=[7]),
        lambda s: s["runs"][0]["drawing"]["strokes"].append(
            {"tool": "paste", "path": "/etc/passwd", "points": [[0, 0], [9, 9]]}
        ),
        lambda s: s.update(runs=s["runs"] * 100),
        lambda s: s.pop("shown"),
        lambda s: s.update(inpaint_project=project.VERSION + 1),
        lambda s: s.update(guide="original"),
        lambda s: s.update(guide="guide-0"),
        lambda s: s.update(guide=["guide-0"]),
        lambda s: s["runs"][0].update(touched="original"),
    ],
)
def test_a_project_that_lies_is_one_sentence(packed, story):
    with pytest.raises(ValueError) as caught:
        open_project(changed(packed, None, b"", story=story))
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 200


def test_a_newer_version_and_other_files_say_so(packed):
    newer = project.VERSION + 1
    with pytest.raises(ProjectError, match="newer"):
        open_project(changed(packed, None, b"", story=lambda s: s.update(inpaint_project=newer)))
    for data in (b"PK\x03\x04 nothing", packed[: len(packed) // 2]):
        with pytest.raises(ProjectError, match="no project"):
            open_project(data)
    assert project.is_project(packed) and not project.is_project(b"\x89PNG")


def test_a_picture_over_the_limit_is_refused(packed):
    with pytest.raises(pictures.PictureError, match="limit"):
        open_project(packed, max_pixels=1000)
