"""The doctor on this machine, in made-up environments of its own, and on made-up facts."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from shortlist.cli import doctor, machine
from shortlist.data.movielens import EDITIONS

ROOT = Path(__file__).parents[2]
EXTRAS = ("torch", "catboost", "pandas", "pyarrow")


def closure(name, found):
    """The distributions that one needs, extras aside."""
    if name in found:
        return found
    found[name] = metadata.distribution(name)
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            closure(requirement.name, found)
    return found


@pytest.fixture
def bare(tmp_path):
    """A folder of packages with what shortlist requires, and nothing of its extras."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "shortlist").symlink_to(ROOT / "src" / "shortlist")
    for distribution in closure("shortlist", {}).values():
        for top in {file.parts[0] for file in distribution.files if len(file.parts) > 1 or file.suffix == ".py"}:
            if top != ".." and not top.endswith(".pth") and not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))
    return folder


def pretend(folder, name, version, program):
    """A package of this name and version that runs a program when imported."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if program is not None:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(program)


def command(*arguments, path, **environment):
    """The command with only these folders of packages."""
    program = f"import sys; sys.path[:0] = {[str(one) for one in path]!r}; from shortlist.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def told(done, code=0):
    assert done.returncode == code, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)


def test_this_environment(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "shortlist", "doctor", "--json"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "SHORTLIST_CACHE": str(tmp_path / "cache"),
            "POLARS_MAX_THREADS": "64",
            "PYTHONIOENCODING": "latin-1",
        },
        timeout=120,
    )
    found = told(done)
    assert found["ok"]
    assert found["shortlist"] == metadata.version("shortlist")
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    versions = {package["name"]: package["version"] for package in found["required"]}
    assert versions == {name: metadata.version(name) for name in versions}
    assert "numpy" in versions
    assert found["cpus"]["usable"] <= os.cpu_count()
    assert found["threads"]["polars"] == 64
    assert found["threads"]["variables"]["POLARS_MAX_THREADS"] == "64"
    assert found["threads"]["torch"] >= 1
    assert isinstance(found["torch"]["gpus"], list)
    assert found["blas"]["numpy"]
    assert not (tmp_path / "cache").exists()
    assert any("polars would use 64 threads" in one for one in found["warnings"])
    assert any("the encoding of output is" in one for one in found["warnings"])


def test_a_bare_environment(bare):
    found = told(command("doctor", "--json", path=[bare]))
    assert found["ok"]
    for extra in ("train", "pandas"):
        assert {package["version"] for package in found["extras"][extra]["packages"]} == {None}
    assert found["torch"] is None
    assert found["threads"]["polars"] >= 1
    text = command("doctor", path=[bare])
    assert text.returncode == 0
    assert re.search(r"training needs what is missing: pip install 'shortlist\[train\]'", text.stdout)
    assert "Everything required is in order." in text.stdout


def test_a_package_that_is_too_old(bare, tmp_path):
    pretend(tmp_path / "before", "polars", "0.20.1", None)
    found = told(command("doctor", "--json", path=[tmp_path / "before", bare]), code=1)
    (error,) = found["errors"]
    assert re.fullmatch(r"polars 0\.20\.1 is too old: pip install 'polars>=[\d.]+'", error)


def test_a_package_that_is_missing(bare):
    (bare / "msgspec").unlink()
    next(bare.glob("msgspec-*.dist-info")).unlink()
    found = told(command("doctor", "--json", path=[bare]), code=1)
    assert found["errors"] == ["msgspec is not installed: pip install shortlist"]


def test_a_required_package_that_cannot_be_imported(bare, tmp_path):
    pretend(tmp_path / "before", "polars", "9.0", "raise ImportError('libpolars.so is cut off')")
    path = [tmp_path / "before", bare]
    found = told(command("doctor", "--json", path=path), code=1)
    assert found["errors"][0].startswith("polars 9.0 is damaged: ImportError: libpolars.so is cut off; reinstall it")
    other = command("train", "log.csv", "--out", str(tmp_path / "model"), path=path)
    assert other.returncode == 1
    assert "libpolars.so is cut off" in other.stderr
    assert "shortlist doctor" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("raise OSError('libtorch.so: no such file')", "OSError: libtorch.so: no such file"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", r"it ends the process \(signal 15\)"),
        ("import os; os._exit(7)", r"it ends the process \(exit code 7\)"),
        ("print('{}'); import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_an_extra_that_cannot_be_imported_is_no_error(bare, tmp_path, program, says):
    pretend(tmp_path / "before", "torch", "2.7.0", program)
    found = told(command("doctor", "--json", path=[tmp_path / "before", bare]))
    assert any(
        re.match(rf"training will fail: torch 2\.7\.0 is damaged: {says}; reinstall it", one)
        for one in found["warnings"]
    )
    assert "training lacks catboost, myfm: pip install 'shortlist[train]'" in found["warnings"]
    assert found["threads"]["polars"] >= 1  # the others were looked at all the same


def test_an_old_package_of_an_extra(bare, tmp_path):
    pretend(tmp_path / "before", "torch", "2.5.1+cu124", "import types")
    found = told(command("doctor", "--json", path=[tmp_path / "before", bare]))
    assert "torch 2.5.1+cu124 is too old for training: pip install -U 'shortlist[train]'" in found["warnings"]


def test_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "cache"))
    assert doctor.cache()["movielens"] == []
    assert not doctor.cache()["exists"]
    assert doctor.cache()["writable"]
    package = EDITIONS["1m"].archive
    (tmp_path / "cache" / package.folder).mkdir(parents=True)
    (tmp_path / "cache" / package.folder / package.layout.marker).touch()
    assert doctor.cache()["movielens"] == ["ml-1m"]
    assert doctor.cache()["exists"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "file" / "cache"))
    assert not doctor.cache()["writable"]
    assert doctor.cache()["why"] == "Not a directory"


FACTS = {
    "python": {"version": "3.12.1", "needed": ">=3.11", "executable": "python"},
    "platform": "Linux",
    "shortlist": "1.0",
    "required": [],
    "extras": {},
    "cpus": {"machine": 8, "allowed": 8, "usable": 4, "quota": 4.5},
    "memory_bytes": {"machine": 8 << 30, "available": 4 << 30},
    "threads": {"variables": {}, "polars": 4, "torch": 4},
    "openmp": ["libgomp.so.1"],
    "blas": {"numpy": "a", "scipy": "b"},
    "torch": {"cuda": None, "gpus": [], "apple_gpu": False},
    "encoding": {"output": "utf-8", "files": "UTF-8", "names": "utf8"},
    "cache": {"folder": "c", "exists": True, "writable": True, "why": "", "free_bytes": 9 << 30, "movielens": []},
    "temporary": {"folder": "t", "exists": True, "writable": True, "why": "", "free_bytes": 9 << 30},
}


def test_nothing_to_warn_of():
    assert list(doctor.traps(FACTS)) == []
    assert list(doctor.required_faults(FACTS)) == []
    assert doctor.as_text(FACTS)


TRAPS = {
    "CUDA without a GPU": ({"torch": {"cuda": "12.8", "gpus": [], "apple_gpu": False}}, "CUDA 12.8 and sees no GPU"),
    "a full disk": ({"cache": FACTS["cache"] | {"free_bytes": 1 << 30}}, "cache folder c has only 1.0 GiB free"),
    "no place to write": ({"temporary": FACTS["temporary"] | {"writable": False, "why": "full"}}, "t is not writable"),
    "no place at all": ({"temporary": None}, "no temporary folder"),
    "two runtimes": ({"openmp": ["libgomp.so.1", "libiomp5.so"]}, "2 OpenMP runtimes (libgomp.so.1, libiomp5.so)"),
    "too many threads": ({"threads": {"variables": {}, "polars": 64}}, "polars would use 64 threads on 4 usable CPUs"),
    "threads that are no number": ({"threads": {"variables": {"OMP_NUM_THREADS": "all"}}}, "OMP_NUM_THREADS is 'all'"),
    "no threads": ({"threads": {"variables": {"OMP_NUM_THREADS": "0"}}}, "OMP_NUM_THREADS is '0'"),
    "little memory": ({"memory_bytes": {"machine": 8 << 30, "available": 1 << 28}}, "only 0.2 GiB of memory"),
    "a small container": ({"memory_bytes": {"available": 4 << 30, "limit": 1 << 29}}, "only 0.5 GiB of memory"),
    "another encoding": ({"encoding": {"files": "ISO-8859-1"}}, "the encoding of files is ISO-8859-1"),
    "no encoding": ({"encoding": {"output": None}}, "the encoding of output is None"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap(name):
    change, says = TRAPS[name]
    (warning,) = doctor.traps(FACTS | change)
    assert says in warning


def test_a_gpu_is_named():
    torch = {"cuda": "12.8", "gpus": ["Some GPU"], "apple_gpu": False}
    assert list(doctor.traps(FACTS | {"torch": torch})) == []
    assert "Some GPU" in doctor.as_text(FACTS | {"torch": torch})


def test_python_itself_too_old():
    (error,) = doctor.required_faults(FACTS | {"python": FACTS["python"] | {"version": "3.10.9"}})
    assert "Python 3.10.9 is too old; >=3.11 is needed" in error


def test_every_extra_says_what_it_is_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) <= set(doctor.PURPOSES), "doctor.PURPOSES: say what the extra is for"


def test_requirements_are_read_as_pip_reads_them():
    expected = set()
    for text in metadata.requires("shortlist"):
        requirement = Requirement(text)
        extra = re.search(r'extra == "([^"]+)"', str(requirement.marker or ""))
        least = [one.version for one in requirement.specifier if one.operator == ">="]
        expected.add((requirement.name, extra[1] if extra else "", least[0] if least else ""))
    assert {(package.name, package.extra, package.least) for package in machine.packages()} == expected


@given(*[st.lists(st.integers(0, 12), min_size=1, max_size=4)] * 2)
def test_versions_are_compared_as_pip_compares_them(first, second):
    a, b = (".".join(map(str, numbers)) for numbers in (first, second))
    assert (machine.release(a) < machine.release(b)) == (Version(a) < Version(b))
    assert (machine.release(a + "+cpu") == machine.release(b)) == (Version(a) == Version(b))


@pytest.mark.parametrize("name", ["numpy", "torch", "import-linter", "packaging"])
def test_the_module_of_a_distribution_can_be_imported(name):
    assert re.fullmatch(r"[a-z]+", machine._module(metadata.distribution(name)))
    assert {"import-linter": "importlinter"}.get(name, name) == machine._module(metadata.distribution(name))


def control_group(root, files, groups):
    for path, text in {
        "proc/self/cgroup": groups,
        "proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
        **files,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_quota_of_processors_and_memory_of_version_2(tmp_path):
    """The tightest of the nested groups holds."""
    files = {
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
        "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/memory.max": "1073741824\n",
        "sys/fs/cgroup/other/cpu.max": "1000 100000\n",
    }
    root = control_group(tmp_path, files, "0::/a/b\n")
    assert machine.usable_cpus(root)["quota"] == 1.5
    assert machine.usable_cpus(root)["usable"] == 1
    assert machine.memory(root) == {"machine": 8 << 30, "available": 4 << 30, "limit": 1 << 30}


def test_a_quota_of_version_1(tmp_path):
    files = {
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2147483648\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    root = control_group(tmp_path, files, "4:memory:/box\n2:cpu,cpuacct:/box\n0::/\n")
    assert machine.usable_cpus(root)["quota"] == 0.5
    assert machine.usable_cpus(root)["usable"] == 1
    assert machine.memory(root)["limit"] == 2 << 30


def test_no_quota(tmp_path):
    root = control_group(tmp_path, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, "0::/\n")
    assert "quota" not in machine.usable_cpus(root)
    assert "limit" not in machine.memory(root)
    assert "quota" not in machine.usable_cpus(tmp_path / "nothing")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_processors_that_the_process_may_not_use():
    one = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", "from shortlist.cli import machine; print(machine.usable_cpus()['usable'])"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {one}),
    )
    assert done.stdout.strip() == "1"
