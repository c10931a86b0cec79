#!/usr/bin/python3
"""The Linux kernel as UE against gmespd for long: packets in a row in both directions on one SA set.

Judged by the numbers in the payload, by the UE's /proc/net/xfrm_stat and by gmespd's counters. --reduced is for CI.
"""
import argparse
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import lab  # noqa: E402
lab.require()  # before the imports below fail on what it names
import kernel_matrix  # noqa: E402
import sa_sets  # noqa: E402
import wire  # noqa: E402
from world import World  # noqa: E402

HERE = Path(__file__).resolve().parent
_PACKETS, _REDUCED_PACKETS = 100_000, 3_000
_AT_ONCE = 1000  # packets of one order to a peer
_BYTES = 300


def _stream(peer, index, packets, stalls):
    """Has a peer send its stream; orders follow one another without a pause."""
    for first in range(0, packets, _AT_ONCE):
        answer = peer.ask("stream", index=index, first=first, size=_BYTES,
                          packets=min(_AT_ONCE, packets - first))
        if not answer["ok"]:
            raise lab.LabError(f"stream on set {index}: {answer['error']}")
        stalls.append(answer["stalls"])


def _arrived(receiver, index, packets, timeout_s=10.0):
    """What has come of a stream when it is whole, or after the time: its end may be under way."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = receiver.ask("streamed", index=index)
        if found["received"] == packets or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


# Shows: R-C-08, R-2406-03, R-6.3-01, R-6.3-02, R-M-06, R-M-08
def test_endurance(report, world, ue, pcscf, sa_set, packets):
    """Every number arrives once and unchanged, both ways at the same time; nobody counts a drop."""
    began = time.monotonic()
    stalls = []
    up, down = (threading.Thread(target=_stream, args=(peer, sa_set.index, packets, stalls))
                for peer in (ue, pcscf))
    for thread in (up, down):
        thread.start()
    for thread in (up, down):
        thread.join()
    seconds = time.monotonic() - began
    for name, receiver in (("UE to P-CSCF", pcscf), ("P-CSCF to UE", ue)):
        found = _arrived(receiver, sa_set.index, packets)
        report.check(found["received"] == packets and not found["repeated"] and not found["changed"],
                     f"{sa_set.name}: {name}: of {packets}: {found}")
    counters = world.gmespd.listed(sa_set)["sas"]
    for role in ("in_uc_ps", "out_pc_us"):
        found = counters[role]
        report.check(found["packets"] >= packets and found["sequence"] == found["packets"]
                     and not found["replays"] and not found["other_drops"],
                     f"{sa_set.name}: {role}: {found}")
    report.group(f"{sa_set.name}: {packets} packets of {_BYTES} bytes each way in {seconds:.0f} s, "
                 f"{sum(stalls)} stalls")


def check_nothing_dropped(report, world):
    """All that is counted as a fault anywhere is zero."""
    drops, errors, lost = (world.gmespd.drops(), world.guest.xfrm_errors(),
                           world.gmespd.lost_at_ports())
    report.check(not drops, f"gmespd dropped {drops}")
    report.check(not errors, f"the UE's kernel counts ESP errors: {errors}")
    report.check(not lost, f"gmespd's ports lost {lost} packets")


def check_capture(report, world):
    """With keys exported by gmespctl every ICV is good and nothing is malformed."""
    world.capture.stop()
    counted = wire.icv_verdicts(world.capture_path, world.profile)
    report.group(f"Wireshark, with exported keys: {dict(counted)}")
    report.check(set(counted) == {"good"}, f"ICV verdicts {dict(counted)}")


def run(arguments):
    sets = sa_sets.endurance_sets()
    report = kernel_matrix.Report()
    world = World(arguments.build.resolve(), arguments.output.resolve(), sets,
                  lambda text, seconds: report.group(f"{text} ({seconds:.1f} s)"))
    try:
        world.gmespd.load(sets)
        ue, pcscf, host = kernel_matrix.start_peers(world, "endurance")
        for sa_set in sets:
            # The first packet of a NATed UE shows its port; until then nothing can go down.
            report.exchange(ue.ask("ask_udp", index=sa_set.index, size=100), f"{sa_set.name}: UDP")
            test_endurance(report, world, ue, pcscf, sa_set, arguments.packets)
        host.stop()
        check_nothing_dropped(report, world)
        world.use_exported_keys()
        check_capture(report, world)
    finally:
        world.guest.collect_logs()
        lab.keep_logs(world.output / "logs")
    print(f"{'FAILED' if report.failures else 'passed'}: {report.passed} checks good, "
          f"{len(report.failures)} failed\ncapture: {world.capture_path}")
    return 1 if report.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = HERE.parent.parent
    parser.add_argument("--packets", type=int, default=_PACKETS, help="each way, for each set")
    parser.add_argument("--reduced", action="store_const", dest="packets", const=_REDUCED_PACKETS,
                        help=f"{_REDUCED_PACKETS} packets, for CI")
    parser.add_argument("--build", type=Path, default=root / "build")
    parser.add_argument("--output", type=Path, default=root / "build" / "endurance",
                        help="where capture, keys and logs go")
    arguments = parser.parse_args()
    return lab.run_isolated(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
