"""Versions beside others, not promoted."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np


def save_beside(model, folder):
    """Put a model among the versions of a directory without promoting it; returns the version."""
    with tempfile.TemporaryDirectory() as elsewhere:
        version = Path(model.save(elsewhere))
        shutil.copytree(version, folder / version.name)
    return version.name


def other(model):
    """The same model with another order: trees upside down."""
    ranker = model.ranker
    trees = replace(ranker.trees, leaf_values=-np.asarray(ranker.trees.leaf_values))
    return replace(model, ranker=replace(ranker, trees=trees))
