"""Training of the project's own UNet: photographs -> noise -> loss -> weights, EMA, model card."""

from inpaint.training.loop import train
from inpaint.training.settings import TrainSettings
from inpaint.training.specialise import specialise

__all__ = ["TrainSettings", "specialise", "train"]
