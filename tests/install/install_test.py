#!/usr/bin/env python3
"""What `meson install` puts where, as README.md says.

Usage: install_test.py SOURCE_FOLDER BUILD_FOLDER
"""
import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from verdict import run_functions  # noqa: E402

SOURCE, BUILD = map(Path, sys.argv[1:3])
OPTIONS = {option["name"]: option["value"] for option in json.loads(subprocess.run(
    ["meson", "introspect", "--buildoptions", str(BUILD)], capture_output=True, check=True).stdout)}


def promised():
    """Paths below the prefix, from the table of README.md."""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    table = text.partition("| where | what |")[2].partition("\n\n")[0]
    found = []
    for line in table.splitlines()[2:]:
        where, what = re.match(r"\| `([^`]+)` \|(.*)\|$", line).groups()
        found += [f"{where}/{name}" for name in re.findall(r"`([^`]+)`", what)]
    return found


def installed():
    """The prefix below a folder that goes with the test."""
    folder = tempfile.TemporaryDirectory()
    subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir", folder.name],
                   check=True, stdout=subprocess.DEVNULL)
    return folder, Path(folder.name) / OPTIONS["prefix"].lstrip("/")


def test_everything_is_where_the_readme_says():
    assert len(promised()) >= 11, promised()
    folder, prefix = installed()
    with folder:
        missing = [path for path in promised() if not (prefix / path).exists()]
        assert not missing, (missing, sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*")))


def test_the_programs_run():
    folder, prefix = installed()
    with folder:
        environment = {**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib" / "x86_64-linux-gnu")}
        for name in ("gmespd", "gmesp-control", "gmespctl"):
            done = subprocess.run([str(prefix / "bin" / name), "--help"], env=environment, capture_output=True,
                                  text=True, check=False)
            assert done.returncode == 0 and done.stdout, done


def test_the_examples_are_whole():
    """Each folder has what its pcscf.cfg and its scripts include, and is what the sources are."""
    folder, prefix = installed()
    with folder:
        for name in ("kamailio", "mnl"):
            here = prefix / "share" / "gmesp" / name
            for path in here.iterdir():
                assert path.read_bytes() == (SOURCE / "control" / name / path.name).read_bytes(), path
            included = re.findall(r'^include_file "(.*)"', (here / "pcscf.cfg").read_text(encoding="utf-8"), re.M)
            assert included and all((here / path).exists() for path in included), included
        assert {path.name for path in (prefix / "share" / "gmesp" / "kamailio").iterdir()} >= {"gmesp.py",
                                                                                            "libgmesp.py"}


def test_the_library_loads():
    folder, prefix = installed()
    with folder:
        library = prefix / "lib" / "x86_64-linux-gnu" / "libgmesp.so.0"
        assert ctypes.CDLL(str(library)).gmesp_control_open


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
