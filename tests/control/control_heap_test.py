#!/usr/bin/env python3
"""The memory of gmesp-control: large pages, and what is taken at the start.

Usage: control_heap_test.py GMESPD GMESP_CONTROL GMESPCTL LIBGMESP. Runs the processes of control_daemon_test.py.
"""
import os
import re
import sys
from pathlib import Path

from control_daemon_test import IS_SANITIZED, pair
from verdict import run_functions


def has_huge_heap(running):
    """Whether the kernel may back gmesp-control's heap with huge pages."""
    process = Path(f"/proc/{running.processes['control'].pid}")
    assert (process / "comm").read_text(encoding="ascii") == "gmesp-control\n"
    heap = re.search(r"\[heap\].*?VmFlags:([^\n]*)", (process / "smaps").read_text(encoding="ascii"), re.DOTALL)
    return "hg" in heap[1].split()


def test_the_heap_takes_huge_pages_unless_the_operator_says_otherwise():
    if IS_SANITIZED:
        return  # it has a heap of its own
    with pair() as running:
        running.up()
        assert has_huge_heap(running)
        running.kill("control")
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=0"
        try:
            running.start("control").wait_log("compared with gmespd", times=2)
        finally:
            del os.environ["GLIBC_TUNABLES"]
        assert not has_huge_heap(running)


def test_memory_for_the_expected_registrations_is_taken_at_the_start():
    if IS_SANITIZED:
        return  # it takes more at any time
    anonymous = {}
    for expected in (0, 100_000):
        with pair(more=f"[registration]\nexpected = {expected}") as running:
            running.up()
            status = Path(f"/proc/{running.processes['control'].pid}/status").read_text(encoding="ascii")
            anonymous[expected] = int(status.split("RssAnon:")[1].split()[0]) * 1024
    assert 100_000 * 1200 < anonymous[100_000] - anonymous[0] < 100_000 * 1536, anonymous


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
