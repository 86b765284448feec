import threading
import time

import numpy as np
import pytest

from inpaint.editing import Moment, Result, edit
from inpaint.ui.job import Job

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True


def editing(**settings):
    return lambda progress: edit(PIXELS, MASK, device="cpu", progress=progress, **settings)


def threads():
    return set(threading.enumerate())


def test_a_job_ends_with_the_result_of_its_work():
    job = Job(editing(steps=4))
    moments = [moment for moment in job.moments() if moment]
    assert all(isinstance(moment, Moment) for moment in moments)
    numbers = [moment.number for moment in moments]
    assert numbers == sorted(set(numbers))
    result = job.result()
    assert isinstance(result, Result) and result.finished
    assert np.array_equal(result.picture.pixels, editing(steps=4)(lambda m: None).picture.pixels)


def test_moments_come_while_the_work_goes_on():
    seen = threading.Event()

    def work(progress):
        def wait(moment):
            progress(moment)
            assert seen.wait(20), "the page did not see the moment"

        return editing(steps=2)(wait)

    job = Job(work)
    for moment in job.moments():
        if moment:
            seen.set()
    assert seen.is_set() and job.result().finished


def test_a_slow_reader_gets_the_latest_moment():
    at_three, go_on = threading.Event(), threading.Event()

    def work(progress):
        def count(moment):
            progress(moment)
            if moment.number == 3:
                at_three.set()
                go_on.wait(20)

        return editing(steps=6)(count)

    job = Job(work)
    moments = (moment for moment in job.moments() if moment)
    first = next(moments)
    assert at_three.wait(20)
    later = next(moments) if first.number < 3 else first
    assert later.number == 3, "moments one and two are not shown late"
    go_on.set()
    list(moments)
    assert job.result().finished


def test_there_are_signs_of_life_between_moments():
    release = threading.Event()

    def work(progress):
        release.wait(20)
        return editing(steps=1)(progress)

    job = Job(work)
    moments = job.moments()
    assert next(moments) is None
    release.set()
    list(moments)
    assert job.result().finished


def test_stop_ends_the_work_at_its_next_step():
    job = Job(editing(steps=200))
    for moment in job.moments():
        if moment:
            job.stop()
    result = job.result()
    assert not result.finished and 1 <= result.evaluations < 100
    assert result.receipt.changed == 0


def test_a_closed_tab_stops_the_work_and_leaves_no_thread():
    before = threads()
    job = Job(editing(steps=250, candidates=8))
    moments = job.moments()
    next(moment for moment in moments if moment)
    assert threads() - before
    began = time.perf_counter()
    moments.close()
    assert threads() == before and time.perf_counter() - began < 10
    assert not job.result().finished


def test_an_error_is_carried_to_who_asks_for_the_result():
    before = threads()
    job = Job(editing(steps=1, model="no such model"))
    assert all(moment is None for moment in job.moments())
    with pytest.raises(ValueError, match="There is no model 'no such model'"):
        job.result()
    assert threads() == before


def test_even_an_exit_is_carried():
    def work(progress):
        raise SystemExit(3)

    job = Job(work)
    list(job.moments())
    with pytest.raises(SystemExit):
        job.result()


def test_moments_are_shown_at_most_ten_a_second_and_the_end_at_once():
    def work(progress):
        for number in range(60):
            progress(Moment(number, 60, "", 0, 0.0, None))
            time.sleep(0.01)

    began = time.perf_counter()
    count = sum(moment is not None for moment in Job(work).moments())
    assert 2 <= count <= 10 * (time.perf_counter() - began) + 2
