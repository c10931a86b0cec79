#!/usr/bin/env python3
"""The house rules as a test: prints every violation, one a line, and fails if there is one.

Limits: files of 500 lines, functions of 70, lines of 100 columns in C++ (120 in Python, shell and meson). A long table
may say so: the lines between `clang-format off` and `clang-format on` may be as long as they need.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = {".cc": 100, ".h": 100, ".c": 100, ".py": 120, ".sh": 120, ".build": 120}
LAYERS_WITHOUT_DPDK = ("crypto/", "control/", "dataplane/ipsec/", "dataplane/screen/", "dataplane/gate/")
ICV_LAYERS = ("crypto/", "dataplane/ipsec/")
CPP = (".cc", ".h", ".c")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
PLACEHOLDER = re.compile(r"\b(utils?|helpers?|misc|common)\.(h|cc|py)$")
CONTROL_WORD = re.compile(r"\b(if|for|while|switch|catch|namespace|class|struct|enum|union|extern|do|else|try)\b")


def tracked_files():
    """What belongs to the repository, committed or about to be."""
    listing = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                             capture_output=True, text=True, check=True).stdout
    return [name for name in sorted(set(listing.splitlines())) if (ROOT / name).is_file()]


def without_comments_and_strings(text):
    """Same lines, but only code on them, so that braces and words in texts do not count."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])\'',
                         re.S)
    code = pattern.sub(lambda match: "\n" * match.group(0).count("\n"), text)
    return re.sub(r"(?<=\w)\{[^{};\n]*\}", "()", code)  # initialisers are no blocks


def long_functions(code):
    """Yields (first line, lines) of functions that are too long. A function is a block opened by a line, or lines, that
    hold a parameter list and no control word or type keyword; blocks inside it belong to it."""
    depth, opener_lines, statement, inside = 0, [], "", None
    for number, line in enumerate(code.split("\n"), 1):
        for char in line:
            if char == "{":
                opener_lines.append(number)
                depth += 1
                head = re.split(r"[;{}]", statement)[-1]
                if inside is None and "(" in head and not CONTROL_WORD.search(head.split("(")[0]):
                    inside = (depth, number - head.rstrip().count("\n"))
                statement = ""
            elif char == "}":
                if inside and inside[0] == depth:
                    length = number - inside[1] + 1
                    if length > FUNCTION_LINES_MAX:
                        yield inside[1], length
                    inside = None
                depth -= 1
                statement = ""
            else:
                statement = "" if char == ";" else statement + char
        statement += "\n"
        if line.lstrip().startswith("#"):
            statement = ""


def check_columns(name, lines):
    limit = COLUMNS_MAX[Path(name).suffix]
    in_table = False
    for number, line in enumerate(lines, 1):
        if "clang-format off" in line:
            in_table = True
        elif "clang-format on" in line:
            in_table = False
        elif len(line) > limit and not in_table:
            yield f"{name}:{number}: {len(line)} columns, at most {limit}"


def check_cpp(name, text, lines):
    code = without_comments_and_strings(text)
    if len(lines) > FILE_LINES_MAX:
        yield f"{name}: {len(lines)} lines, at most {FILE_LINES_MAX}"
    for first, length in long_functions(code):
        yield f"{name}:{first}: function of {length} lines, at most {FUNCTION_LINES_MAX}"
    if name.startswith(LAYERS_WITHOUT_DPDK) and re.search(r"#\s*include\s*[<\"]rte_", text):
        yield f"{name}: includes DPDK, which belongs to dataplane/ alone"
    if name.startswith(ICV_LAYERS) and re.search(r"\b(?:std::)?memcmp\s*\(", code):
        yield f"{name}: memcmp; secrets and tags are compared in constant time (CRYPTO_memcmp)"
    if name.endswith(".h"):
        if "#pragma once" not in text and "#ifndef" not in text:
            yield f"{name}: header without #pragma once"
        if not lines or not lines[0].startswith(("//", "/*")):
            yield f"{name}: header without a comment at its head that says what it is for"


def check_script(name, text, lines):
    is_shell = bool(lines) and re.match(r"#!.*\b(ba|da)?sh\b", lines[0])
    if is_shell and not re.search(r"^set -e?u", text, re.M):
        yield f"{name}: shell script without set -eu (or set -u with the reason why it must go on)"
    if len(lines) > FILE_LINES_MAX:
        yield f"{name}: {len(lines)} lines, at most {FILE_LINES_MAX}"


def check(name):
    suffix = Path(name).suffix
    if suffix not in COLUMNS_MAX and suffix not in ("", ".toml", ".service", ".md"):
        return
    try:
        text = (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    lines = text.splitlines()
    if PLACEHOLDER.search(name):
        yield f"{name}: a file is named after what it holds"
    if UNFINISHED.search(text):
        yield f"{name}: holds an unfinished mark ({UNFINISHED.search(text).group(0)})"
    if text and not text.endswith("\n"):
        yield f"{name}: no newline at its end"
    if any(line != line.rstrip() for line in lines) and suffix != ".md":
        yield f"{name}: blanks at the end of a line"
    if suffix in COLUMNS_MAX:
        yield from check_columns(name, lines)
    if suffix in CPP:
        yield from check_cpp(name, text, lines)
    else:
        yield from check_script(name, text, lines) if suffix in ("", ".py", ".sh") else ()


def main():
    violations = [violation for name in tracked_files() for violation in check(name)]
    for violation in violations:
        print(violation)
    print(f"{len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
