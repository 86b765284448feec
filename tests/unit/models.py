"""Tiny real networks for tests: random weights, a few thousand parameters, 16 pixels wide."""

import torch
from diffusers import DDPMScheduler, UNet2DModel

from inpaint.catalog import PixelModel
from inpaint.pipeline import InpaintPipeline
from inpaint.unet import InpaintUNet


def tiny_unet(in_channels=3, out_channels=3, **config):
    """A diffusers network with random weights."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16,
        in_channels=in_channels,
        out_channels=out_channels,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        **config,
    )
    return unet.eval()


def unconditional():
    """A diffusers network that sees the noisy picture alone."""
    return InpaintPipeline(tiny_unet(), DDPMScheduler())


def conditional():
    """Our own network, which sees the known pixels and the mask too."""
    torch.manual_seed(0)
    unet = InpaintUNet(sample_size=16, channels=(32, 32), attention=(False, False), blocks=1)
    torch.nn.init.normal_(unet.head.weight, std=0.1)  # a new network would answer zero
    schedule = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    return InpaintPipeline(unet.eval(), schedule)


def pixel_model(make):
    return PixelModel(make())
