"""Training of the project's own UNet: photographs -> noise -> loss -> weights, EMA, model card."""

from inpaint.training.loop import train
from inpaint.training.settings import TrainSettings

__all__ = ["TrainSettings", "train"]
