#!/usr/bin/python3
"""A run that is interrupted in the middle leaves nothing: no process, namespace, interface or file.

Usage: interrupt_test.py [--build DIR]. Interrupts endurance.py by SIGINT, SIGTERM and SIGKILL while traffic flows.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
_UP_WITHIN_S, _GONE_WITHIN_S = 180, 20
_PLACES = ("/run", "/run/netns", "/dev/shm", "/dev/hugepages")
_EXPECTED = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGKILL: -signal.SIGKILL}


def descendants(ancestor):
    """Pids of a process and of all below it, in whatever pid namespace they live."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has just ended
            parent = int(stat[stat.rindex(")") + 2:].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [ancestor]
    while todo:
        process = todo.pop()
        found.append(process)
        todo += children.get(process, [])
    return found


def started(process):
    """What tells a process from a later one with the same number."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else fields[19]


def files():
    """Names in the places where a run could leave something, with those of interfaces."""
    names = {str(Path(place) / name) for place in _PLACES if os.path.isdir(place)
             for name in os.listdir(place)}
    return names | {f"interface {name}" for name in os.listdir("/sys/class/net")}


def interrupt(build, number):
    """Returns what is wrong, as lines."""
    before = files()
    with tempfile.TemporaryDirectory(prefix="gmesp-interrupt-") as folder:
        log = Path(folder) / "log"
        with open(log, "wb") as out:
            run = subprocess.Popen([sys.executable, HERE / "endurance.py", "--build", build,
                                    "--output", Path(folder) / "out"], stdout=out, stderr=out)
        deadline = time.monotonic() + _UP_WITHIN_S
        while "UE: Linux" not in log.read_text() and run.poll() is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        time.sleep(5)  # streams flow by then, or begin
        ours = {process: started(process) for process in descendants(run.pid)}
        if run.poll() is not None or len(ours) < 5:
            run.kill()
            return [f"the run did not come up: {log.read_text()}"]
        run.send_signal(number)
        status = run.wait(_GONE_WITHIN_S)
        wrong = []
        if status != _EXPECTED[number]:
            wrong.append(f"exit status {status}, expected {_EXPECTED[number]}: {log.read_text()}")
        deadline = time.monotonic() + _GONE_WITHIN_S
        alive = lambda: [process for process, start in ours.items()  # noqa: E731
                         if start is not None and started(process) == start]
        while alive() and time.monotonic() < deadline:
            time.sleep(0.2)
        wrong += [f"process {process} is still there" for process in alive()]
    # Other programs of this machine come and go; only what looks like ours counts.
    new = {name for name in files() - before
           if any(word in name for word in ("lab", "gmesp", "netns", "acc0", "wire0", "ue0", "uml"))}
    return wrong + [f"left behind: {name}" for name in sorted(new)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=HERE.parent.parent / "build")
    build = parser.parse_args().build.resolve()
    failed = 0
    for number in _EXPECTED:
        wrong = interrupt(build, number)
        failed += bool(wrong)
        print(f"{'FAILED' if wrong else 'ok':<7} {number.name}", *wrong, sep="\n    " if wrong else " ",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
