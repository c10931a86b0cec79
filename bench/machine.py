"""What a result depends on besides the code: machine, versions, commit, and how quiet it was."""
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HUGE_MEGABYTES = 2048
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"dpdk": "libdpdk-dev", "ipsec_mb": "libipsec-mb-dev", "openssl": "libssl-dev", "gcc": "gcc"}


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def steal_seconds():
    """Time that the hypervisor gave to others, all CPUs."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def has_huge_pages():
    """Enough for all programs of a benchmark at the same time. Says so if not."""
    free = free_huge_megabytes()
    if free < HUGE_MEGABYTES:
        print(f"  {free} MB of free hugepages, {HUGE_MEGABYTES} are wanted (GMESP_HUGEPAGES={HUGE_MEGABYTES // 2} "
              "scripts/setup): measured without, slower", file=sys.stderr)
    return free >= HUGE_MEGABYTES


def free_huge_megabytes():
    """Of the usual size of page."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    number = {name: int(fields.get(name, "0").split()[0]) for name in ("HugePages_Free", "Hugepagesize")}
    return number["HugePages_Free"] * number["Hugepagesize"] // 1024


def describe(build):
    return {"cpu": cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "load_average": os.getloadavg()[0],
            "free_huge_megabytes": free_huge_megabytes(),
            "versions": {name: output("dpkg-query", "-W", "-f=${Version}", package)
                         for name, package in PACKAGES.items()},
            "commit": output("git", "rev-parse", "HEAD"),
            "changed_files": len(output("git", "status", "--porcelain").splitlines()),
            "build": str(build), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
