import numpy as np
import pytest

from inpaint.settings import Settings
from inpaint.tasks import TASKS


@pytest.mark.parametrize("grow", [0, 1, 2, 5])
def test_fill_widens_the_mask_by_a_disc(grow):
    mask = np.zeros((21, 25), bool)
    mask[10, 12] = mask[0, 0] = True
    ys, xs = np.mgrid[:21, :25]
    wanted = np.hypot(ys - 10, xs - 12) <= grow
    wanted |= np.hypot(ys, xs) <= grow
    before = mask.copy()
    out = TASKS["fill"].prepare(mask, Settings(grow=grow))
    assert np.array_equal(out, wanted) and np.array_equal(mask, before)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_have_words_for_people_and_keep_what_was_painted(name):
    task, mask = TASKS[name], np.eye(7, 9, dtype=bool)
    assert 0 < len(task.title.split()) <= 2 and task.tip.endswith(".")
    prepared = task.prepare(mask, Settings())
    assert prepared.dtype == bool and prepared.shape == mask.shape and prepared[mask].all()
