import numpy as np
import pytest

from inpaint import masks
from inpaint import visit as visits
from inpaint.editing import edit
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.visit import Drawing, Visit

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
STROKE = {"tool": "brush", "radius": 6, "points": [[20, 20]]}
MASK = np.zeros((40, 44), bool)
MASK[30:34, 4:8] = True
STROKES = Strokes.parse({"width": 44, "height": 40, "strokes": [STROKE]})


def run(visit, **settings):
    drawing = Drawing(STROKES, visit.base)
    result = edit(visit.picture, drawing.mask(), steps=1, device="cpu", **settings)
    return visit.add(result, drawing, visit.picture, "Done.")


@pytest.fixture
def visit():
    return Visit.begin("name", b"", Picture(PIXELS))


def test_going_on_going_back_and_branching(visit):
    first = run(visit, seed=1)
    visit.proceed()
    assert np.array_equal(visit.picture.pixels, first.picture().pixels) and visit.shown is None
    second = run(visit, seed=2)
    drawing = visit.back_to(first)
    assert drawing is first.drawing and visit.picture is visit.original and visit.shown is first
    branch = run(visit, seed=3)
    assert [r.number for r in visit.runs] == [1, 2, 3] and branch.before is visit.original
    assert np.array_equal(second.before.pixels, first.picture().pixels)
    assert visit.back_to(None) is None and visit.shown is None


def test_a_replay_gives_the_same(visit):
    first = run(visit, seed=9)
    visit.proceed()
    drawing = visit.back_to(first)
    again = edit(visit.picture, drawing.mask(), device="cpu", **first.settings)
    assert np.array_equal(again.picture.pixels, first.picture().pixels)


def test_the_mask_that_strokes_lie_on_comes_back(visit):
    visit.base = np.zeros((40, 44), bool)
    visit.base[:4] = True
    first = run(visit)
    visit.proceed()
    assert visit.base is None
    assert visit.back_to(first).mask()[:4].all() and visit.base[:4].all()


@pytest.mark.parametrize("tool", ["clear", "rectangle", "shrink"])
def test_a_drawing_of_which_all_was_taken_away_is_empty(tool):
    points = [[0, 0], [44, 40]] if tool == "rectangle" else []
    away = {"tool": tool, "radius": 9, "points": points, "erase": tool == "rectangle"}
    strokes = Strokes.parse({"width": 44, "height": 40, "strokes": [STROKE, away]})
    assert Drawing(strokes).empty and Drawing(strokes, np.zeros((40, 44), bool)).empty
    assert not Drawing(STROKES).empty and not Drawing(Strokes((44, 40), ()), MASK).empty


def test_a_mask_that_no_run_has_waits_with_its_picture(visit):
    first = run(visit)
    visit.leave(first.drawing)
    assert visit.left is None, "a run has it"
    visit.proceed()
    base = np.zeros((40, 44), bool)
    base[:4] = True
    painted = Drawing(STROKES, base)
    visit.leave(painted)
    assert visit.back_to(first) is first.drawing and visit.back_to(None) is None
    visit.back_to(first)
    visit.leave(first.drawing)
    assert visit.proceed() is painted and visit.base is base
    visit.leave(None)  # it was cleared
    visit.back_to(first)
    assert visit.proceed() is None and visit.base is None
    visit.back_to(None)
    visit.leave(painted)
    visit.back_to(first)
    assert visit.back_to(None) is painted


def test_deleting_keeps_what_is_painted_on(visit):
    first = run(visit)
    visit.proceed()
    picture = visit.picture
    visit.delete(first)
    assert visit.runs == [] and visit.picture is picture
    second = run(visit)
    visit.delete(second)
    assert visit.shown is None


def test_the_oldest_make_room(visit, monkeypatch):
    monkeypatch.setattr(visits, "MAX_RUNS", 2)
    numbers = [run(visit, seed=k).number for k in range(4)]
    assert numbers == [1, 2, 3, 4] and [r.number for r in visit.runs] == [3, 4]
    monkeypatch.setattr(visits, "MAX_BYTES", 1)
    run(visit)
    assert [r.number for r in visit.runs] == [5], "the last one stays whatever its size"


def test_candidates_are_ranked(visit):
    made = run(visit, candidates=3)
    away = [abs(np.log(seam)) for seam in made.seams]
    assert away == sorted(away)


def test_what_is_painted_in_colour_shows_on_a_grey_picture_too():
    grey = Picture(np.full((40, 44, 1), 90, np.uint8))
    stroke = {"tool": "paint", "radius": 5, "points": [[20, 20]], "color": "#ff0000"}
    strokes = Strokes.parse({"width": 44, "height": 40, "strokes": [stroke]})
    painted = Drawing(strokes).painted_on(grey)
    assert painted.pixels[20, 20].tolist() == [255, 0, 0]
    assert painted.pixels[0, 0].tolist() == [90, 90, 90]


def differs(a, b):
    return (a.pixels != b.pixels).any(axis=2)


def test_what_was_invented_stays_marked_in_later_runs(visit):
    first = run(visit, grow=3)
    assert np.array_equal(first.invented(), masks.grow(Drawing(STROKES).mask(), 3))
    assert first.earlier is None
    visit.proceed()
    elsewhere = np.zeros((40, 44), bool)
    elsewhere[2:6, 2:6] = True
    result = edit(visit.picture, elsewhere, steps=1, grow=0, device="cpu")
    second = visit.add(result, None, visit.picture, "Done.")
    assert np.array_equal(second.invented(), first.invented() | elsewhere)
    assert not (differs(second.picture(), visit.original) & ~second.invented()).any()

    visit.back_to(second)
    visit.delete(first)  # what it made is in the picture still
    third = run(visit, grow=0)
    assert np.array_equal(third.invented(), first.invented() | Drawing(STROKES).mask())
    visit.back_to(None)
    assert visit.invented is None


def test_what_was_invented_moves_with_the_picture_that_is_extended(visit):
    first = run(visit)
    visit.proceed()
    result = edit(visit.picture, task="extend", left=5, top=3, steps=1, device="cpu")
    second = visit.add(result, None, visit.picture, "Done.")
    assert second.invented().shape == (43, 49) and second.invented()[:3].all()
    assert np.array_equal(second.invented()[3:, 5:], first.invented() | result.mask[3:, 5:])


def test_a_picture_that_is_made_anew_is_marked_whole(visit):
    run(visit)
    visit.proceed()
    result = edit(visit.picture, task="enlarge", scale=2, steps=1, device="cpu")
    assert visit.add(result, None, visit.picture, "Done.").invented().all()


def test_a_variation_is_marked_where_what_it_varies_is(visit):
    first = run(visit)
    result = edit(first.picture(), MASK, steps=1, grow=0, device="cpu")
    varied = visit.add(result, first.drawing, first.before, "Done.", first)
    assert np.array_equal(varied.invented(), first.invented() | MASK) and varied.earlier is None


def test_what_can_be_made_again_says_so(visit):
    first = run(visit)
    assert first.repeatable
    result = edit(first.picture(), MASK, steps=1, grow=0, device="cpu")
    varied = visit.add(result, first.drawing, first.before, "Done.", first)
    assert not varied.repeatable, "it began with another picture"
    visit.proceed()
    assert run(visit).repeatable


def test_a_second_picture_comes_back_with_the_run_that_took_it(visit):
    second = visit.guide = Picture(PIXELS[::-1].copy())
    mask = Drawing(STROKES).mask()
    result = edit(
        visit.picture, mask, guide=second, task="replace", model="self", steps=1, device="cpu"
    )
    made = visit.add(result, Drawing(STROKES), visit.picture, "Done.")
    visit.guide = None
    filled = run(visit)
    visit.back_to(filled)
    assert visit.guide is None and filled.guide is None
    visit.back_to(made)
    assert visit.guide is second and made.repeatable
    made.guide = None  # as in a project that was saved
    assert not made.repeatable
