"""Linear systems that are solved on pictures."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def conjugate_gradients(
    matrix: Callable[[Tensor], Tensor], x: Tensor, rest: Tensor, steps: int
) -> Tensor:
    """Go some steps from x towards the solution of A·x = b, for each picture of a batch.

    Hestenes & Stiefel 1952.

    Parameters
    ----------
    matrix : callable
        (B, C, H, W) to A times it; A is symmetric and has no negative eigenvalue.
    x, rest : Tensor
        (B, C, H, W): where to start, and b − A·x there.
    steps : int
        How many.
    """
    way, size = rest, (rest * rest).sum((1, 2, 3), keepdim=True)
    for _ in range(steps):
        bent = matrix(way)
        far = size / (way * bent).sum((1, 2, 3), keepdim=True).clamp(min=1e-12)
        x, rest = x + far * way, rest - far * bent
        before, size = size, (rest * rest).sum((1, 2, 3), keepdim=True)
        way = rest + size / before.clamp(min=1e-12) * way
    return x
