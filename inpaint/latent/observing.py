"""What a scheduler of diffusers takes the clean latents to be, step by step."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor


class Observed:
    """A scheduler whose steps leave their estimate of the clean latents in `estimate`."""

    def __init__(self, own: Any) -> None:
        self.own, self.estimate = own, None
        step = own.step

        # `wraps` keeps the signature, which pipelines inspect.
        @functools.wraps(step)
        def observed(out: Tensor, t: Any, sample: Tensor, *more: Any, **named: Any) -> Any:
            result = step(out, t, sample, *more, **named)
            self.estimate = _estimate(own, out, sample, result)
            return result

        own.step = observed


def _estimate(scheduler: Any, out: Tensor, sample: Tensor, result: Any) -> Any:
    """Return the clean latents as a scheduler sees them after a step, None if it does not say."""
    if getattr(result, "pred_original_sample", None) is not None:
        return result.pred_original_sample
    if isinstance(result, tuple) and len(result) > 1:
        return result[1]
    if not hasattr(
        scheduler, "alphas_cumprod"
    ):  # flow matching: x = (1 − σ)·x0 + σ·ε, out = ε − x0
        return sample - scheduler.sigmas[scheduler.step_index - 1].to(sample) * out
    outputs = getattr(scheduler, "model_outputs", None)  # multistep solvers keep their x0
    return outputs[-1] if outputs else None
