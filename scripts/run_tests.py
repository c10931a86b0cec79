#!/usr/bin/env python3
"""Builds gmesp in every kind that must work and runs every check; called by scripts/test.

Prints one line per step with its time; what a step printed is in build/logs/STEP.log, and is shown when the step
fails. The last line is "N passed, N failed": GoogleTest cases count one each, every other check counts one.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "logs"
GTEST_PASSED = re.compile(r"^\[  PASSED  \] (\d+) tests?\.", re.M)
GTEST_FAILED = re.compile(r"^\[  FAILED  \] (\d+) tests?,", re.M)
SHOWN_ON_FAILURE_LINES = 60
CI_FUZZ_SECONDS = 8
# A run of CI has 40 minutes. A sanitizer's step takes about this share of the time of the plain build, and these
# seconds to run; where it would end too late it is left out, and the run says so.
CI_SECONDS = 37 * 60
CI_NEEDS = {"asan": (0.9, 240), "fuzz": (0, 120), "tsan": (0.4, 120)}

# name: (folder, compiler, meson options). One configuration per kind; clang covers the sanitizers and the fuzzers,
# so that both compilers see every file.
QUICK = ["-Dbenchmarks=false", "-Doptimization=1", "-Ddebug=false"]  # sanitizers need line numbers only
BUILDS = {
    "plain": ("build", {"CC": "gcc", "CXX": "g++"}, []),
    "asan": ("build/asan", {"CC": "clang-14", "CXX": "clang++-14"},
             ["-Dsanitize=address", "-Dfuzzers=true", *QUICK]),
    "tsan": ("build/tsan", {"CC": "gcc", "CXX": "g++"}, ["-Dsanitize=thread", *QUICK]),
}

STEPS = ["tidy", "plain", "vectors", "interop", "asan", "fuzz", "tsan"]

# Real peers: the program in tests/interop, and what makes it short, or whole with --full.
INTEROP = {
    "kernel peers": ("kernel_matrix.py", ["--output", "build/interop"], ["--output", "build/interop", "--full"]),
    "long streams": ("endurance.py", ["--reduced"], []),
    "NATs": ("nat_matrix.py", [], []),
    "interrupted run": ("interrupt_test.py", [], []),
    "Kamailio by preload": ("kamailio_mnl.py", ["--reduced"], []),
    "Kamailio by script": ("kamailio_script.py", ["--reduced"], []),
}

# What has threads, and what runs it: nothing else is of interest to the thread sanitizer.
TSAN_CI_TARGETS = ["tests/ipsec/ipsec_tests", "tests/pipeline/pipeline_tests", "tests/control/control_test",
                   "tests/control/control_client_tests"]
TSAN_CI_TESTS = ["ipsec", "pipeline", "control", "control_client"]
TSAN_TARGETS = [*TSAN_CI_TARGETS, "dataplane/gmespd", "control/cli/gmespctl"]
TSAN_TESTS = [*TSAN_CI_TESTS, "daemon"]
# Whole programs on real ports run in the plain build only; sanitizers would make them slow, not better.
ASAN_TESTS = ["--no-suite", "real-ports"]
# In CI: what reads what anybody may send.
ASAN_CI_TESTS = ["crypto", "packet", "ipsec", "pipeline", "control", "sa", "screen"]
ASAN_CI_TARGETS = ["tests/crypto/crypto_test", "tests/packet/packet_tests", "tests/ipsec/ipsec_tests",
                   "tests/pipeline/pipeline_tests", "tests/control/control_test", "tests/sa/sa_tests",
                   "tests/screen/screen_tests", "tests/fuzz/gate/gate_fuzzer", "tests/fuzz/link/message_fuzzer",
                   "tests/fuzz/mnl/xfrm_request_fuzzer",
                   "tests/fuzz/packet/packet_fuzzer", "tests/fuzz/packet/reassembler_fuzzer",
                   "tests/fuzz/sa/security_header_fuzzer", "tests/fuzz/screen/sip_fuzz",
                   "tests/fuzz/shm/shm_record_fuzz", "tests/fuzz/config/config_fuzz"]


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def add(self, passed, failed):
        self.passed += passed
        self.failed += failed


def run(name, command, env=None, count=None, tally=None, timeout_s=1800):
    """Runs one step. `count(output, ok)` gives (passed, failed); by default the step itself counts one."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name.replace(' ', '-')}.log"
    started = time.monotonic()
    print(f"  {name:<34}", end="", flush=True)
    with open(log, "w", encoding="utf-8") as out:
        try:
            code = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=out,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  timeout=timeout_s, check=False).returncode
        except subprocess.TimeoutExpired:
            code = -1
            out.write(f"\nstopped after {timeout_s} s\n")
    ok = code == 0
    output = log.read_text(encoding="utf-8", errors="replace")
    passed, failed = count(output, ok) if count else ((1, 0) if ok else (0, 1))
    if not ok and failed == 0:
        failed = 1
    tally.add(passed, failed)
    seconds = time.monotonic() - started
    print(f"{'ok' if ok else 'FAILED':<8}{passed:>5} passed {failed:>3} failed {seconds:>7.1f} s", flush=True)
    if not ok:
        print("\n".join("    | " + line for line in output.splitlines()[-SHOWN_ON_FAILURE_LINES:]))
        print(f"    whole log: {log.relative_to(ROOT)}", flush=True)
    return ok


def count_meson_tests(folder):
    def count(_, ok):
        log = ROOT / folder / "meson-logs" / "testlog.json"
        if not log.exists():
            return (0, 1)
        passed = failed = 0
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            test = json.loads(line)
            cases = sum(map(int, GTEST_PASSED.findall(test.get("stdout", ""))))
            bad = sum(map(int, GTEST_FAILED.findall(test.get("stdout", ""))))
            if test["result"] == "OK":
                passed += cases or 1
            else:
                passed += cases
                failed += bad or 1
        return (passed, failed)
    return count


def build(kind, tally, targets=(), further=()):
    folder, env, options = BUILDS[kind]
    if not (ROOT / folder / "build.ninja").exists():
        ccache = {key: f"ccache {value}" for key, value in env.items()}
        if not run(f"{kind} configure", ["meson", "setup", folder, *options, *further], env=ccache, tally=tally):
            return False
    cache = {"CCACHE_SLOPPINESS": "pch_defines,time_macros"}
    if "clang" not in env.get("CXX", ""):  # its precompiled headers name files by their absolute paths
        # The cache serves any checkout of the same sources, wherever it stands.
        cache |= {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    return run(f"{kind} build", ["ninja", "-C", folder, *targets], env=cache, tally=tally, timeout_s=2400)


def meson_tests(kind, tally, extra=()):
    folder = BUILDS[kind][0]
    env = {
        "TSAN_OPTIONS": f"suppressions={ROOT}/tests/tsan.supp halt_on_error=1 second_deadlock_stack=1",
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    (ROOT / folder / "meson-logs" / "testlog.json").unlink(missing_ok=True)
    return run(f"{kind} tests", ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", *extra],
               env=env, count=count_meson_tests(folder), tally=tally, timeout_s=2400)


def fuzz(seconds, tally):
    folder = ROOT / BUILDS["asan"][0] / "tests" / "fuzz"
    programs = sorted(path for path in folder.rglob("*_fuzz*")
                      if path.is_file() and os.access(path, os.X_OK) and not path.suffix)
    if not programs:
        tally.add(0, 1)
        print("  fuzzers: none was built")
        return
    for program in programs:
        run(f"fuzz {program.name}", [str(program), f"-max_total_time={seconds}", "-rss_limit_mb=4096",
                                     "-print_final_stats=1", "-verbosity=0"], tally=tally)


def steps(args, tally, started):
    chosen = args.only or STEPS
    built_s = 0

    def wanted(name):
        builds, seconds = CI_NEEDS.get(name, (0, -math.inf))
        late = args.ci and time.monotonic() - started + builds * built_s + seconds > CI_SECONDS
        if late and name in chosen:
            print(f"  {name:<34}left out: {time.monotonic() - started:.0f} s are over; run scripts/test --only {name}")
        return name in chosen and not late

    if wanted("tidy"):
        run("tidy", ["/usr/bin/python3", "scripts/tidy.py"], tally=tally)
        run("conformance table", ["/usr/bin/python3", "scripts/conformance.py", "--check"], tally=tally)
    if wanted("plain"):
        begun = time.monotonic()
        is_built = build("plain", tally, further=["-Ddebug=false"] if args.ci else [])  # a fifth faster to build
        built_s = time.monotonic() - begun
        if is_built:
            meson_tests("plain", tally)
    if wanted("vectors"):
        run("golden vectors", ["scripts/check-vectors", "tests/vectors/golden"], tally=tally)
    if wanted("interop"):
        for name, (program, short, whole) in INTEROP.items():
            run(name, ["/usr/bin/python3", f"tests/interop/{program}", "--build", "build",
                       *(whole if args.full else short)], tally=tally)
        run("demo", ["scripts/demo"], tally=tally)
    if wanted("asan") and build("asan", tally, ASAN_CI_TARGETS if args.ci else ()):
        meson_tests("asan", tally, ASAN_CI_TESTS if args.ci else ASAN_TESTS)
        if wanted("fuzz"):
            fuzz(CI_FUZZ_SECONDS if args.ci else args.fuzz_seconds, tally)
    if wanted("tsan") and build("tsan", tally, TSAN_CI_TARGETS if args.ci else TSAN_TARGETS):
        meson_tests("tsan", tally, TSAN_CI_TESTS if args.ci else TSAN_TESTS)


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=STEPS, help="run these steps only")
    parser.add_argument("--full", action="store_true", help="the whole kernel matrix instead of the reduced one")
    parser.add_argument("--ci", action="store_true", help="as CI runs it: less under sanitizers")
    parser.add_argument("--fuzz-seconds", type=int, default=15, metavar="S", help="per fuzzer (default 15)")
    args = parser.parse_args()
    tally = Tally()
    started = time.monotonic()
    try:
        steps(args, tally, started)
    except KeyboardInterrupt:
        print("\ninterrupted")
        tally.add(0, 1)
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
