"""Several models on the user's own material: what they cost and how good they are."""

from vmatte.compare.inputs import find_inputs
from vmatte.compare.report import columns, render, rows
from vmatte.compare.run import CompareOptions, Comparison, compare_models

__all__ = [
    "CompareOptions",
    "Comparison",
    "columns",
    "compare_models",
    "find_inputs",
    "render",
    "rows",
]
