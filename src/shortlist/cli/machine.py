"""What `shortlist doctor` looks at: the packages, the processors, the memory, the disk."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

PROBE_SECONDS = 60
EXTRA = re.compile(r"""(?:and\s+)?extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Package:
    """A package that shortlist's metadata name.

    Attributes:
        name: of the distribution.
        extra: what asks for it; empty = it is required.
        least: the lowest version that will do, empty = any.
        version: what is installed, ``None`` = nothing.
        module: what is imported.
    """

    name: str
    extra: str
    least: str
    version: str | None
    module: str

    @property
    def too_old(self) -> bool:
        return self.version is not None and release(self.version) < release(self.least)


def packages() -> list[Package]:
    """What shortlist requires, then what its extras do, as its own metadata say.

    What only some platforms need is named only where it is installed.
    """
    found = [_package(text) for text in metadata.requires("shortlist") or []]
    return sorted((package for package in found if package is not None), key=lambda one: (one.extra, one.name))


def _package(requirement: str) -> Package | None:
    wanted, _, marker = requirement.partition(";")
    name = re.split(r"[^\w.-]", wanted.strip(), maxsplit=1)[0]
    least = re.search(r"[>~]=\s*([\d.]+)", wanted)
    extra = EXTRA.search(marker)
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        if EXTRA.sub("", marker).strip():
            return None
        version, module = None, _plain(name)
    else:
        version, module = distribution.version, _module(distribution)
    return Package(name, extra[1] if extra else "", least[1] if least else "", version, module)


def _plain(name: str) -> str:
    return re.sub(r"[-.]", "_", name.lower())


def _module(distribution: metadata.Distribution) -> str:
    """The name to import: that of the distribution if it has such a module, else the first public one."""
    listed = (distribution.read_text("top_level.txt") or "").split()
    files = [file.parts[0].removesuffix(".py") for file in distribution.files or [] if file.suffix == ".py"]
    names = [name for name in listed or sorted(set(files)) if name.isidentifier() and name[0] != "_"]
    plain = _plain(distribution.name)
    return plain if plain in names or not names else names[0]


def release(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version, without zeros at their end.

    >>> release("2.13.0+cpu"), release("2.0.post1"), release("")
    ((2, 13), (2,), ())
    """
    digits = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in digits[0].split(".")] if digits else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True)
class Probed:
    """What came of importing packages.

    Attributes:
        broken: module -> why it cannot be imported.
        facts: what the modules say of themselves; empty if the process did not come to that.
    """

    broken: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def probe(modules: Sequence[str]) -> Probed:
    """Import modules in a process of its own; after one that ends the process, the others are tried again."""
    broken: dict[str, str] = {}
    while True:
        left = [module for module in modules if not broken.get(module, "").startswith("it ends the process")]
        lines, end = _run_probe(left)
        broken |= {line["module"]: line["error"] for line in lines if "error" in line}
        if lines and "facts" in lines[-1]:
            return Probed(broken, lines[-1]["facts"])
        if not lines or not left:
            return Probed(broken)
        broken[lines[-1]["module"]] = f"it ends the process ({end})"


def _run_probe(modules: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """The lines of `shortlist.cli.probe`, and how it ended."""
    argument = json.dumps([[path or os.getcwd() for path in sys.path], list(modules)])
    command = [sys.executable, "-P", str(Path(__file__).with_name("probe.py")), argument]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PROBE_SECONDS)
        out, end = done.stdout, f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        out, end = error.stdout or b"", f"nothing for {PROBE_SECONDS} s"
    return [json.loads(line) for line in out.decode().splitlines()], end


def blas() -> dict[str, str]:
    """The linear algebra library of NumPy and SciPy, as they were built."""
    import numpy
    import scipy

    def named(config: Any) -> str:
        entry = config["Build Dependencies"]["blas"]
        return f"{entry.get('name', 'unknown')} {entry.get('version', '')}".strip()

    return {
        "numpy": named(numpy.show_config(mode="dicts")),
        "scipy": named(scipy.show_config(mode="dicts")),
    }


def usable_cpus(root: Path = Path("/")) -> dict[str, float]:
    """Processors: of the machine, those this process may run on, and how many its container's quota is worth."""
    cpus: dict[str, float] = {"machine": os.cpu_count() or 1}
    cpus["allowed"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cpus["machine"]
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    if quotas:
        cpus["quota"] = min(quotas)
    cpus["usable"] = max(1, int(min(cpus["allowed"], cpus.get("quota", cpus["allowed"]))))
    return cpus


def _quotas_v2(root: Path) -> Iterator[float]:
    for folder in _cgroups(root, ""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) / int(period)


def _quotas_v1(root: Path) -> Iterator[float]:
    for folder in _cgroups(root, "cpu"):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def memory(root: Path = Path("/")) -> dict[str, int]:
    """Bytes of memory: of the machine, available, and the limit of the container; what is not known is left out."""
    known = dict(re.findall(r"^(\w+):\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE))
    n_bytes = {
        name: int(known[key]) * 1024
        for name, key in (("machine", "MemTotal"), ("available", "MemAvailable"))
        if key in known
    }
    if not n_bytes and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        n_bytes["machine"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [_text(folder / "memory.max") for folder in _cgroups(root, "")]
    limits += [_text(folder / "memory.limit_in_bytes") for folder in _cgroups(root, "memory")]
    numbers = [int(limit) for limit in limits if limit.isdigit() and int(limit) < n_bytes.get("machine", 1 << 60)]
    return n_bytes | ({"limit": min(numbers)} if numbers else {})


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of those above it; controller ``""`` = version 2."""
    mount = root / "sys/fs/cgroup" / controller
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            inside = Path(path.lstrip("/"))
            yield from (mount / part for part in (inside, *inside.parents))


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def disk(folder: Path) -> dict[str, Any]:
    """Whether files can be written in a folder (or, if it does not exist yet, in the one it would lie in)."""
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    found: dict[str, Any] = {"folder": str(folder), "exists": folder.is_dir(), "writable": True, "why": ""}
    try:
        found["free_bytes"] = shutil.disk_usage(standing).free
        with tempfile.TemporaryFile(dir=standing):
            pass
    except OSError as error:
        found |= {"writable": False, "why": error.strerror or str(error)}
    return found
