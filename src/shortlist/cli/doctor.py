"""``shortlist doctor``: what is installed, what is missing for what, and what would go wrong."""

import locale
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from shortlist.cli import machine
from shortlist.cli.console import JsonFlag, show, show_json

PURPOSES = {
    "train": "training",
    "pandas": "reading pandas tables",
    "dev": "developing shortlist",
    "serve": "answering over HTTP",
    "faiss": "approximate search in large catalogues",
    "postgres": "PostgreSQL",
    "ray": "more than one machine",
}
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
LITTLE_DISK = 2 << 30
LITTLE_MEMORY = 1 << 30


def doctor(as_json: JsonFlag = False) -> None:
    """Say what is installed and what is missing for what, and look for common traps.

    The exit code is 1 if something that shortlist requires is missing, too old or damaged, else 0.
    """
    found = examine()
    errors, warnings = list(required_faults(found)), [*optional_faults(found), *traps(found)]
    if as_json:
        show_json({"ok": not errors, "errors": errors, "warnings": warnings} | found)
    else:
        show(as_text(found))
        show("\n" + "\n".join([f"error: {one}" for one in errors] + [f"warning: {one}" for one in warnings]))
        show("Something required is not in order." if errors else "Everything required is in order.")
    if errors:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """All facts, as a JSON document."""
    packages = machine.packages()
    wanted = {package.module: None for package in packages if package.version and package.extra != "dev"}
    probed = machine.probe(list(wanted))

    def told(package: machine.Package) -> dict[str, Any]:
        return {
            "name": package.name,
            "version": package.version,
            "needed": package.least,
            "too_old": package.too_old,
            "broken": probed.broken.get(package.module),
        }

    extras = {package.extra: PURPOSES.get(package.extra, f"the extra {package.extra!r}") for package in packages}
    return {
        "python": {
            "version": platform.python_version(),
            "needed": metadata.metadata("shortlist")["Requires-Python"] or "",
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "shortlist": metadata.version("shortlist"),
        "required": [told(package) for package in packages if not package.extra],
        "extras": {
            extra: {"purpose": purpose, "packages": [told(package) for package in packages if package.extra == extra]}
            for extra, purpose in extras.items()
            if extra
        },
        "cpus": machine.usable_cpus(),
        "memory_bytes": machine.memory(),
        "threads": {
            "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
            **{name: probed.facts[name]["threads"] for name in ("polars", "torch") if name in probed.facts},
        },
        "openmp": probed.facts.get("openmp"),
        "blas": _or_none(machine.blas),
        "torch": {key: value for key, value in probed.facts.get("torch", {}).items() if key != "threads"} or None,
        "encoding": {
            "output": sys.stdout.encoding,
            "files": locale.getpreferredencoding(False),
            "names": sys.getfilesystemencoding(),
        },
        "cache": _or_none(cache),
        "temporary": _or_none(lambda: machine.disk(Path(tempfile.gettempdir()))),
    }


def cache() -> dict[str, Any]:
    from shortlist.data.movielens import EDITIONS, cache_folder

    folder = cache_folder()
    there = [
        edition.name
        for edition in EDITIONS.values()
        if any((folder / package.folder / package.layout.marker).is_file() for package in edition.packages)
    ]
    return machine.disk(folder) | {"movielens": there}


def _or_none(look: Any) -> Any:
    """What a look gives, or nothing where a package that it needs, or the disk, is damaged."""
    try:
        return look()
    except Exception:
        return None


def required_faults(found: dict[str, Any]) -> Iterator[str]:
    """Why shortlist cannot work here."""
    python = found["python"]
    if machine.release(python["version"]) < machine.release(python["needed"].lstrip(">=~")):
        yield f"Python {python['version']} is too old; {python['needed']} is needed"
    for package in found["required"]:
        if package["version"] is None:
            yield f"{package['name']} is not installed: pip install shortlist"
        elif package["too_old"]:
            yield f"{_named(package)} is too old: pip install '{package['name']}>={package['needed']}'"
        elif package["broken"]:
            yield f"{_named(package)} is damaged: {package['broken']}; reinstall it: {_reinstall(package)}"


def optional_faults(found: dict[str, Any]) -> Iterator[str]:
    """What an extra that is partly there cannot do; one that is not there at all is no fault."""
    for extra, told in found["extras"].items():
        missing = [package["name"] for package in told["packages"] if package["version"] is None]
        if missing and len(missing) < len(told["packages"]) and extra != "dev":
            yield f"{told['purpose']} lacks {', '.join(missing)}: pip install 'shortlist[{extra}]'"
        for package in told["packages"]:
            if package["too_old"]:
                yield f"{_named(package)} is too old for {told['purpose']}: pip install -U 'shortlist[{extra}]'"
            elif package["broken"]:
                yield (
                    f"{told['purpose']} will fail: {_named(package)} is damaged: {package['broken']}; reinstall it: "
                    + (_reinstall(package))
                )


def _named(package: dict[str, Any]) -> str:
    return f"{package['name']} {package['version']}"


def _reinstall(package: dict[str, Any]) -> str:
    return f"pip install --force-reinstall --no-deps {package['name']}"


def traps(found: dict[str, Any]) -> Iterator[str]:
    """What works, but not as one would think."""
    yield from _thread_traps(found)
    torch = found["torch"]
    if torch and torch["cuda"] and not torch["gpus"]:
        yield (
            f"torch is a build for CUDA {torch['cuda']} and sees no GPU: it computes on the CPU. If there is a GPU, "
            "look at its driver (nvidia-smi); if there is none, a CPU build of torch takes several GB less"
        )
    for purpose, encoding in found["encoding"].items():
        if (encoding or "").lower().replace("-", "") != "utf8":
            yield (
                f"the encoding of {purpose} is {encoding}, not UTF-8: titles may be shown or read wrongly; set "
                "PYTHONUTF8=1 or a UTF-8 locale such as LANG=C.UTF-8"
            )
    for name, advice in (("cache", "SHORTLIST_CACHE names another folder"), ("temporary", "TMPDIR names another")):
        place = found[name]
        if place is None:
            yield f"no {name} folder can be found; {advice}"
        elif not place["writable"]:
            yield f"the {name} folder {place['folder']} is not writable ({place['why']}); {advice}"
        elif place["free_bytes"] < LITTLE_DISK:
            yield f"the {name} folder {place['folder']} has only {_gb(place['free_bytes'])} free; {advice}"
    memory = found["memory_bytes"]
    left = min(memory.get("available", LITTLE_MEMORY), memory.get("limit", LITTLE_MEMORY))
    if left < LITTLE_MEMORY:
        yield f"only {_gb(left)} of memory is to be had: training on large logs may be ended by the system"


def _thread_traps(found: dict[str, Any]) -> Iterator[str]:
    usable, threads = found["cpus"]["usable"], found["threads"]
    for name, value in threads["variables"].items():
        if not all(part.strip().isdigit() and int(part) for part in value.split(",")):
            yield f"{name} is {value!r}: expected a number of threads; libraries ignore it or refuse to start"
    for name, variable in (("polars", "POLARS_MAX_THREADS"), ("torch", "OMP_NUM_THREADS")):
        if threads.get(name, 0) > usable:
            yield (
                f"{name} would use {threads[name]} threads on {usable} usable CPUs, which slows it down: set "
                f"{variable}={usable}"
            )
    if len(found["openmp"] or []) > 1:
        yield (
            f"packages bring {len(found['openmp'])} OpenMP runtimes ({', '.join(found['openmp'])}): together in one "
            "process they slow each other down or hang; where that happens, set OMP_NUM_THREADS=1"
        )


def as_text(found: dict[str, Any]) -> str:
    cpus, memory, threads, torch = (found[key] for key in ("cpus", "memory_bytes", "threads", "torch"))
    lines = {
        "shortlist": f"{found['shortlist']}, Python {found['python']['version']} ({found['python']['executable']})",
        "platform": found["platform"],
        "required": ", ".join(map(_state, found["required"])),
        **{extra: _extra(extra, told) for extra, told in found["extras"].items()},
        "CPUs": f"{cpus['usable']} usable of {cpus['machine']}"
        + (f"; the container's quota is {cpus['quota']:g}" if "quota" in cpus else ""),
        "memory": ", ".join(f"{_gb(n_bytes)} {name}" for name, n_bytes in memory.items()) or "not known",
        "threads": ", ".join(f"{name}={value}" for name, value in threads["variables"].items())
        + "".join(f"; {name} {threads[name]}" for name in ("polars", "torch") if name in threads),
        "BLAS": ", ".join(f"{of}: {name}" for of, name in found["blas"].items()) if found["blas"] else "not known",
        "OpenMP": "not known" if found["openmp"] is None else ", ".join(found["openmp"]) or "none loaded",
        "GPU": _gpu(torch),
        "encoding": ", ".join(f"{of} {name}" for of, name in found["encoding"].items()),
        "cache": _place(found["cache"]),
        "MovieLens": ", ".join((found["cache"] or {}).get("movielens", [])) or "none in the cache",
        "temporary": _place(found["temporary"]),
    }
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name:<{width}}{text.lstrip('; ')}" for name, text in lines.items())


def _state(package: dict[str, Any]) -> str:
    fault = "damaged" if package["broken"] else f"too old, {package['needed']} needed" if package["too_old"] else ""
    if package["version"] is None:
        return f"{package['name']} missing"
    return f"{package['name']} {package['version']}{f' ({fault})' if fault else ''}"


def _extra(extra: str, told: dict[str, Any]) -> str:
    states = ", ".join(map(_state, told["packages"]))
    if all(package["version"] for package in told["packages"]):
        return f"{states}: for {told['purpose']}"
    return f"{states}; {told['purpose']} needs what is missing: pip install 'shortlist[{extra}]'"


def _gpu(torch: dict[str, Any] | None) -> str:
    if torch is None:
        return "not looked for: there is no torch"
    return ", ".join(torch["gpus"]) or ("Apple's, by MPS" if torch["apple_gpu"] else "torch sees none")


def _place(place: dict[str, Any] | None) -> str:
    if place is None:
        return "not found"
    state = f"{_gb(place['free_bytes'])} free" if place["writable"] else f"not writable ({place['why']})"
    return f"{place['folder']}, {state}" + ("" if place["exists"] else ", not made yet")


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 30):.1f} GiB"
