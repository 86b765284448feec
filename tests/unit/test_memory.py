"""What filling a large hole holds in memory, counted tensor by tensor."""

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from inpaint import patches
from inpaint.filling import fill
from inpaint.selfpatch import SelfModel
from inpaint.settings import Settings


class Counted(TorchFunctionMode):
    """Counts the bytes of the tensors that live at once, whatever views there are of them."""

    def __init__(self):
        super().__init__()
        self.live, self.held, self.peak = {}, 0, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.live:
                    self.live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
                    self.held += storage.nbytes()
        if self.held > self.peak:  # as far as they are not gone
            self.live = {at: each for at, each in self.live.items() if not each[0].expired()}
            self.held = sum(size for _, size in self.live.values())
            self.peak = max(self.peak, self.held)
        return out


def most(side):
    """Return the most bytes that are held to fill a hole in a window of twice its side."""
    known = torch.rand(1, 3, 2 * side, 2 * side, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 2 * side, 2 * side)
    mask[..., side // 2 : -side // 2, side // 2 : -side // 2] = 1
    with Counted() as counted:
        fill(SelfModel(), known, mask, Settings(steps=1), [0])
    return counted.peak


def test_tensors_are_counted_while_they_live():
    with Counted() as counted:
        kept = torch.zeros(1000)
        for _ in range(9):
            torch.ones(500)[2:].sum()
    assert counted.peak == 4 * (1000 + 500 + 1) and len(kept) == 1000


def test_a_larger_hole_takes_few_copies_of_its_window(monkeypatch):
    # Beside them is what is worked on at once, whose size grows with nothing.
    monkeypatch.setattr(patches, "BAND", 400)
    growth = (most(120) - most(60)) / (240**2 - 120**2)
    assert growth < 120, "bytes for each pixel of a window, of which a copy takes 12"
