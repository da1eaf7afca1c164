"""Imports packages in a process of their own, where a damaged one can do no harm; `shortlist doctor` runs this file.

It reads ``[sys.path, [module, …]]`` from its argument and writes one JSON object a line: ``{"module": name}`` before it
imports or asks that module, ``{"module": name, "error": text}`` where that failed, and at last ``{"facts": …}``. A
process that ends before that was ended by the module named last.
"""

import importlib
import json
import os
import re
import sys
from typing import Any

OPENMP = re.compile(r"/(lib(?:gomp|iomp5|omp)[^/]*\.(?:so|dylib)[^/]*)$")


def main() -> None:
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print is no answer

    def tell(line: dict[str, Any]) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    sys.path[:], modules = json.loads(sys.argv[1])
    for module in modules:
        tell({"module": module})
        try:
            importlib.import_module(module)
        except BaseException as error:
            tell({"module": module, "error": f"{type(error).__name__}: {error}"})
    facts: dict[str, Any] = {"openmp": openmp_runtimes()}
    for module, ask in (("polars", polars_facts), ("torch", torch_facts)):
        if module in sys.modules:
            tell({"module": module})
            try:
                facts[module] = ask(sys.modules[module])
            except Exception as error:
                tell({"module": module, "error": f"{type(error).__name__}: {error}"})
    tell({"facts": facts})


def polars_facts(polars: Any) -> dict[str, Any]:
    return {"threads": polars.thread_pool_size()}


def openmp_runtimes() -> list[str] | None:
    """Files of OpenMP runtimes in this process; ``None`` where the system does not tell."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            return sorted({found[1] for line in file if (found := OPENMP.search(line.rstrip()))})
    except OSError:
        return None


def torch_facts(torch: Any) -> dict[str, Any]:
    found = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if found else [],
        "apple_gpu": bool(torch.backends.mps.is_available()),
    }


if __name__ == "__main__":
    main()
