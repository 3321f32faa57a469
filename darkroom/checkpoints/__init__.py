"""Checkpoints: what a file of weights holds, by its tensors alone.

Must not know: torch, pages, or which models there are.
"""

from darkroom.checkpoints.header import Header, TensorInfo, read_header
from darkroom.checkpoints.recognised import Family, Layout, Recognised, RecognisedPart
from darkroom.checkpoints.recognition import recognise

__all__ = ["Family", "Header", "Layout", "Recognised", "RecognisedPart", "TensorInfo", "read_header", "recognise"]
