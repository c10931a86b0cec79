#!/usr/bin/env python3
"""The command line of gmespd as far as nothing starts. Usage: command_line_test.py GMESPD"""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from verdict import run_functions  # noqa: E402

GMESPD = sys.argv[1]


def gmespd(*arguments):
    return subprocess.run([GMESPD, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_an_empty_file_is_a_right_configuration():
    """--check-config takes the empty file, says nothing and ends with 0."""
    result = gmespd("--check-config", "--config", "/dev/null")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), result


def test_every_error_is_told_with_its_place():
    """All errors at once, on stderr, with status 3, as --help says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bad.toml"
        path.write_text("[sa]\ncapacity_sets = 0\n[workers]\nidel = 1\n", encoding="utf-8")
        result = gmespd("--check-config", "--config", str(path))
    assert result.returncode == 3, result
    assert f"{path}:2:17: sa.capacity_sets: found 0, allowed 1..2000000" in result.stderr, result.stderr
    assert f"{path}:4:1: workers.idel" in result.stderr and "did you mean idle?" in result.stderr, result.stderr


def test_what_is_printed_is_read_back_as_the_same():
    """--print-config of its own output is that output."""
    first = gmespd("--print-config").stdout
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "printed.toml"
        path.write_text(first, encoding="utf-8")
        assert gmespd("--print-config", "--config", str(path)).stdout == first


def test_options_take_the_place_of_settings():
    """--socket and --log-level show in --print-config."""
    printed = gmespd("--print-config", "--socket", "/tmp/other.sock", "--log-level", "debug").stdout
    assert 'socket = "/tmp/other.sock"' in printed and 'level = "debug"' in printed, printed


def test_a_wrong_command_line_ends_with_2():
    """Unknown options, levels and relative sockets are refused before anything is read."""
    for arguments in (["--bogus"], ["--log-level", "loud"], ["--socket", "here.sock"],
                      ["--socket", "/" + "s" * 107], ["--config"]):
        result = gmespd(*arguments)
        assert result.returncode == 2 and result.stderr, (arguments, result)


def test_help_and_version_end_with_0():
    """--help documents every exit status; --version names the program."""
    text = gmespd("--help")
    assert text.returncode == 0 and "Exit status" in text.stdout, text
    assert all(option in text.stdout for option in ("--config", "--check-config", "--print-config"))
    version = gmespd("--version")
    assert version.returncode == 0 and version.stdout.startswith("gmespd "), version


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
