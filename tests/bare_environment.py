"""A saved model needs none of the extras: not the packages, and not the modules where they are installed.

::

    python tests/bare_environment.py train MODEL ANSWERS.json    with the extra "train": fit, save, answer
    python tests/bare_environment.py load MODEL ANSWERS.json     anywhere: the same answers, no extra imported
    python tests/bare_environment.py bare MODEL ANSWERS.json     with the wheel alone: that, and training says why not
    python tests/bare_environment.py wheel WHEEL                 what is in the file

`.ci/run` calls them in turn. This is no pytest file: the bare environment has no pytest.
"""

import importlib.util
import subprocess
import sys
import time
import zipfile
from pathlib import Path

EXTRAS = ("torch", "catboost", "myfm", "pandas", "pyarrow", "matplotlib", "sklearn", "lightgbm")
IMPORT_SECONDS = 1.0


def answers(path):
    """The bytes that both environments must agree on."""
    import shortlist as sl

    model = sl.load(path)
    users = model.users["user_id"].to_list()[:20]
    known = model.recommend(users, k=5)
    items = model.items["item_id"].to_list()[:3]
    unknown = model.recommend(["nobody"], k=5, history=items)
    return known.write_json().encode() + b"\n" + unknown.write_json().encode()


def train(path, expected):
    import shortlist as sl
    from shortlist.data.synthetic import two_tastes

    sl.train(two_tastes(), target="next", config="fast").save(path)
    expected.write_bytes(answers(path))


def load(path, expected):
    assert answers(path) == expected.read_bytes(), "a fresh process answers otherwise than the one that trained"
    imported = [name for name in EXTRAS if name in sys.modules]
    assert not imported, f"loading and recommending imported {', '.join(imported)}"
    print("a saved model gives the same bytes in a fresh process, and no extra was imported")


def bare(path, expected):
    found = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not found, f"this environment is not bare: it has {', '.join(found)}"
    check_import_time()
    load(path, expected)
    check_missing_extra()


def check_import_time():
    """The fastest of three processes counts; the first one still compiles the files."""
    program = "import time; start = time.perf_counter(); import shortlist; print(time.perf_counter() - start)"
    seconds = min(
        float(subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True).stdout)
        for _ in range(3)
    )
    assert seconds < IMPORT_SECONDS, f"import shortlist takes {seconds:.2f} s, more than {IMPORT_SECONDS} s"
    print(f"import shortlist: {seconds:.2f} s")


def check_missing_extra():
    import shortlist as sl
    from shortlist.data.synthetic import two_tastes
    from shortlist.errors import MissingExtraError

    start = time.perf_counter()
    try:
        sl.train(two_tastes(), target="next", config="fast")
    except MissingExtraError as error:
        message = str(error)
    else:
        raise AssertionError("training worked without its extra")
    assert "shortlist[train]" in message, message
    print(f"training is refused after {time.perf_counter() - start:.1f} s: {message}")


def wheel(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    strangers = [name for name in names if not name.startswith(("shortlist/", "shortlist-"))]
    compiled = [name for name in names if name.endswith((".pyc", ".so"))]
    assert not strangers, f"in the wheel beside the package: {strangers}"
    assert not compiled, f"compiled files in the wheel: {compiled}"
    assert "shortlist/py.typed" in names, "the wheel has no py.typed"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names), "the wheel has no licence"
    print(f"{Path(path).name}: {len(names)} files, {Path(path).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    {"train": train, "load": load, "bare": bare, "wheel": wheel}[command](*map(Path, paths))
