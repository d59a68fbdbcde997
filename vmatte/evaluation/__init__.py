"""Scoring a model, or finished mattes, against true mattes."""

from vmatte.evaluation.dataset import Clip, find_clips, finished, pair
from vmatte.evaluation.score import RAW, ClipScore, Evaluation, compare, evaluate, read_alpha

__all__ = [
    "RAW",
    "Clip",
    "ClipScore",
    "Evaluation",
    "compare",
    "evaluate",
    "find_clips",
    "finished",
    "pair",
    "read_alpha",
]
