"""Darkroom: a self-hosted page that makes pictures with FLUX.1 on the graphics card people already own."""

__version__ = "0.1.0"
