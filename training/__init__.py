"""Reproduces the weights of the bundled matting network; see README.md in this folder.

Nothing here is imported by vmatte itself: PyTorch is needed only to train.
"""
