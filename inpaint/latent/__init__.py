"""Pretrained pipelines of diffusers behind the same canvas: each one a `filling.Filler`."""
