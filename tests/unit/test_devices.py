import numpy as np
import pytest
import torch

from inpaint.devices import (
    DEVICES,
    Device,
    available,
    is_out_of_memory,
    pick,
    rungs,
    with_fallback,
)

ABSURD = 1 << 60


def test_the_cpu_is_always_there():
    device = pick("cpu")
    assert (device.name, device.dtype, device.batch, device.tile) == ("cpu", None, 1, 1.0)
    assert available("cpu") and str(torch.get_num_threads()) in device.why


def test_auto_takes_the_first_that_is_here():
    first = next(name for name in ("cuda", "xpu", "mps", "cpu") if available(name))
    assert pick().name == pick("auto").name == first


@pytest.mark.parametrize("name", [name for name in DEVICES[1:] if not available(name)])
def test_a_device_that_is_not_here_is_refused(name):
    with pytest.raises(ValueError, match=f"^device {name} is not available here; use auto or cpu$"):
        pick(name)


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cuda:0", None, "vulkan"])
def test_an_unknown_device_is_told_the_known(name):
    with pytest.raises(ValueError, match="^device must be one of auto, cuda, xpu, mps, cpu, got"):
        pick(name)
    assert not available(name)


def test_the_rungs_grow_more_frugal():
    big = Device("cuda", torch.float16, 8, "why")
    steps = [(r.name, r.batch, r.turns, r.tile, change) for r, change in rungs(big)]
    assert steps == [
        ("cuda", 8, "", 1.0, ""),
        ("cuda", 1, "", 1.0, "one candidate at a time"),
        ("cuda", 1, "parts", 1.0, "with the model's parts in memory by turns"),
        ("cuda", 1, "layers", 1.0, "with the model's layers in memory by turns"),
        ("cuda", 1, "layers", 0.5, "with smaller tiles"),
        ("cpu", 1, "", 1.0, "on the CPU"),
    ]
    for number, (rung, _) in enumerate(rungs(big)):
        left = [(r.name, r.batch, r.turns, r.tile, change) for r, change in rungs(rung)]
        assert left[0][-1] == "" and left[1:] == steps[number + 1 :] or rung.name == "cpu"
    assert [change for _, change in rungs(pick("cpu"))] == ["", "with smaller tiles"]


def test_work_that_fits_is_done_once_without_a_note():
    asked = []
    assert with_fallback(pick("cpu"), lambda device: asked.append(device) or 7) == (7, "")
    assert asked == [pick("cpu")]


def too_much_torch(device):
    return torch.empty(ABSURD)


def too_much_numpy(device):
    return np.ones(ABSURD >> 8)


@pytest.mark.parametrize("too_much", [too_much_torch, too_much_numpy])
def test_a_real_lack_of_memory_steps_down(too_much):
    def work(device):
        return device.tile if device.tile < 1 else too_much(device)

    result, note = with_fallback(pick("cpu"), work)
    assert result == 0.5 and note == "Memory ran out, so this was made with smaller tiles."


@pytest.mark.parametrize("too_much", [too_much_torch, too_much_numpy])
def test_the_last_rung_says_what_to_do(too_much):
    with pytest.raises(MemoryError, match="not enough memory for this fill; paint a smaller area"):
        with_fallback(pick("cpu"), too_much)


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("shapes differ"), KeyError(1)])
def test_other_errors_pass_through_at_once(error):
    tries = []

    def work(device):
        tries.append(device)
        raise error

    with pytest.raises(type(error)) as caught:
        with_fallback(pick("cpu"), work)
    assert caught.value is error and len(tries) == 1


def test_what_counts_as_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
