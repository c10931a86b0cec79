#!/usr/bin/env python3
"""Writes tests/CONFORMANCE.md: which test shows which requirement of tests/requirements.tsv.

A test names what it shows in a comment right above it, "Shows: R-7.1-05, R-D-S1": `//` above TEST, TEST_F, TEST_P,
TYPED_TEST or RC_GTEST_PROP in C++, `#` above def in Python. In the head of a file it speaks for the whole file.

  scripts/conformance.py            writes the table
  scripts/conformance.py --check    fails if the table is out of date or a tag names no requirement
"""
import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "CONFORMANCE.md"
REQUIREMENTS = ROOT / "tests" / "requirements.tsv"

TAG = re.compile(r"^\s*(?://+|#+)\s*Shows:\s*(.*)$")
COMMENT = re.compile(r"^\s*(?://|#(?!include|define|if|pragma))")
ROW = re.compile(r"R-[0-9A-Za-z.]+-[0-9A-Za-z]+")
CPP_TEST = re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\s*\(")
CPP_NAME = re.compile(r"\(\s*(\w+)\s*,\s*(\w+)")
PYTHON_TEST = re.compile(r"^\s*def\s+(\w+)")
HEAD_LINES = 30


def requirements():
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()[1:]
    return [tuple(line.split("\t")) for line in lines]


def name_of_test(lines, at):
    """The test whose definition begins at line `at`, or None."""
    if match := PYTHON_TEST.match(lines[at]):
        return match.group(1)
    if CPP_TEST.match(lines[at]):
        match = CPP_NAME.search(" ".join(lines[at:at + 3]))
        return f"{match.group(1)}.{match.group(2)}" if match else None
    return None


def tagged_rows(lines, at, text):
    """Rows named from line `at` on, and the line after the comment block."""
    rows = ROW.findall(text)
    leftover = ROW.sub("", text).replace(",", "").strip()
    at += 1
    while at < len(lines) and COMMENT.match(lines[at]):
        if match := TAG.match(lines[at]):
            rows += ROW.findall(match.group(1))
        elif text.rstrip().endswith(","):
            rows += ROW.findall(lines[at])
        text = lines[at]
        at += 1
    return rows, leftover, at


def tags_of(path):
    """Yields (row, test) and, for tags that stand nowhere sensible, (None, complaint)."""
    name = path.relative_to(ROOT / "tests").as_posix()
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        match = TAG.match(lines[at])
        if not match:
            at += 1
            continue
        line = at + 1
        rows, leftover, at = tagged_rows(lines, at, match.group(1))
        while at < len(lines) and lines[at].startswith("@"):  # Python decorators
            at += 1
        test = name_of_test(lines, at) if at < len(lines) else None
        if test is None and line > HEAD_LINES:
            yield None, f"tests/{name}:{line}: 'Shows:' stands above no test"
        if leftover:
            yield None, f"tests/{name}:{line}: not a list of requirements: {leftover}"
        for row in rows:
            yield row, f"{name}: {test}" if test else name


def collect():
    shown, complaints = {}, []
    known = {row[0] for row in requirements()}
    for path in sorted((ROOT / "tests").rglob("*")):
        if not path.is_file() or path.suffix not in (".cc", ".py", ".sh", ".h") or "__pycache__" in path.parts:
            continue
        for row, text in tags_of(path):
            if row is None:
                complaints.append(text)
            elif row not in known:
                complaints.append(f"{text}: there is no requirement {row}")
            else:
                shown.setdefault(row, [])
                if text not in shown[row]:
                    shown[row].append(text)
    return shown, complaints


def table(shown):
    rows = requirements()
    owners = sorted({owner for row in rows for owner in row[2].split(", ")})
    out = ["# Conformance", "",
           "Which test shows which requirement. Written by `scripts/conformance.py` from `tests/requirements.tsv`",
           "and the `Shows:` comments above the tests; `scripts/test` fails when it is out of date. A row is *shown*",
           "when at least one test names it.",
           "", "| owner | requirements | shown | open |", "|---|---|---|---|"]
    for owner in owners:
        mine = [row for row in rows if owner in row[2].split(", ")]
        done = sum(row[0] in shown for row in mine)
        out.append(f"| {owner} | {len(mine)} | {done} | {len(mine) - done} |")
    done = sum(row[0] in shown for row in rows)
    out.append(f"| all (a row may have several owners) | {len(rows)} | {done} | {len(rows) - done} |")
    out += ["", "| requirement | clause | owner | what | state | tests |", "|---|---|---|---|---|---|"]
    for name, clause, owner, text in rows:
        tests = "<br>".join(f"`{test}`" for test in shown.get(name, []))
        out.append(f"| {name} | {clause} | {owner} | {text} | {'shown' if tests else 'open'} | {tests} |")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if something is wrong")
    args = parser.parse_args()
    shown, complaints = collect()
    text = table(shown)
    if args.check and (not TABLE.exists() or TABLE.read_text(encoding="utf-8") != text):
        complaints.append("tests/CONFORMANCE.md is out of date: run scripts/conformance.py")
    for complaint in complaints:
        print(complaint)
    if not args.check:
        TABLE.write_text(text, encoding="utf-8")
    print(f"{len(shown)} of {len(requirements())} requirements shown")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
