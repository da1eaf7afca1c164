"""Versions beside others, not promoted."""

import shutil
import tempfile
from pathlib import Path


def save_beside(model, folder):
    """Put a model among the versions of a directory without promoting it; returns the version."""
    with tempfile.TemporaryDirectory() as elsewhere:
        version = Path(model.save(elsewhere))
        shutil.copytree(version, folder / version.name)
    return version.name
