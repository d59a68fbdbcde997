"""Steering: what the user knows overrides what the model says.

Masks, boxes and trimaps say what is certainly subject or background; clean-up says what a matte of
the subject looks like. All of it is a matter around another one, so that every pipeline has it.
"""

from vmatte.steer.matter import SteeredMatter, load_steered, steered
from vmatte.steer.options import Box, SteerOptions, parse_box

__all__ = ["Box", "SteerOptions", "SteeredMatter", "load_steered", "parse_box", "steered"]
