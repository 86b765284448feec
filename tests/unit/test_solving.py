import torch

from inpaint.solving import conjugate_gradients


def test_as_many_steps_as_unknowns_solve_each_picture_of_a_batch():
    random = torch.Generator().manual_seed(0)
    roots = torch.randn(2, 12, 12, generator=random, dtype=torch.double)
    matrices = roots @ roots.mT + torch.eye(12)
    wanted, start = torch.randn(2, 2, 1, 3, 4, generator=random, dtype=torch.double)

    def times(x):
        return (matrices @ x.flatten(1)[..., None])[..., 0].view(x.shape)

    found = conjugate_gradients(times, start, wanted - times(start), 12)
    exact = torch.linalg.solve(matrices, wanted.flatten(1)).view(wanted.shape)
    assert (found - exact).abs().max() < 1e-8
    assert (conjugate_gradients(times, start, wanted - times(start), 3) - exact).abs().max() > 1e-3
