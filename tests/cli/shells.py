"""A command in a shell of its own."""

import subprocess
import sys


def shell(*arguments, cwd=None):
    """A command as a process of its own, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "shortlist", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300
    )
