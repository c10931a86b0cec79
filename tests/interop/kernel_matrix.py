#!/usr/bin/python3
"""The Linux kernel as UE against gmespd: every suite, mode, family and transport, and attacks.

Without --full: each suite, mode and family once, for CI. See README.md for what is checked.
"""
import argparse
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import lab  # noqa: E402
lab.require()  # before the imports below fail on what it names
import clear_ports  # noqa: E402
import faults  # noqa: E402
import peer  # noqa: E402
import sa_sets  # noqa: E402
import sip_flows  # noqa: E402
import wire  # noqa: E402
from guest import IN_GUEST  # noqa: E402
from world import World  # noqa: E402

HERE = Path(__file__).resolve().parent
_PEER_PORT = 9998
# Inner IP packets from one that needs no fragment to one that fills the MTU before ESP (so it is
# too big for the path: the sender is told, or ESP is fragmented) and one of several fragments.
_MTU_FILLING = {4: 1472, 6: 1452}
_TCP_SIZES = (1, 600, 4000)
# Reasons that count a packet which is no loss: the host learns the path MTU by one such drop.
_HARMLESS = {"too_big_for_path"}


class Report:
    """Counts checks and prints those that fail, with one line a group for the rest."""

    def __init__(self):
        self.failures = []
        self.passed = 0
        self.retries = 0

    def check(self, ok, what):
        if ok:
            self.passed += 1
        else:
            self.failures.append(what)
            print(f"    FAIL {what}", flush=True)
        return ok

    def exchange(self, answer, what):
        self.retries += answer.get("tries", 1) - 1
        return self.check(answer["ok"], f"{what}: {answer.get('error', '')}")

    @staticmethod
    def group(text):
        print(f"  {text}", flush=True)


def start_peers(world, matrix):
    """The traffic program on both sides; returns whom to ask (UE, P-CSCF)."""
    world.guest.start("ue-peer", ["python3", IN_GUEST / "peer.py", "ue", matrix,
                                  f"192.168.255.2:{_PEER_PORT}"])
    host = lab.Process("pcscf-peer", ["/usr/bin/python3", HERE / "peer.py", "pcscf", matrix,
                                      f"127.0.0.1:{_PEER_PORT}"], "pcscf")
    lab.wait_for(lambda: "PEER-READY" in host.output(), 60, "the host's peer", host)
    lab.wait_for(lambda: "PEER-READY" in world.guest.log("ue-peer"), 90, "the UE's peer")

    def connect_host():
        link = lab.socket_in("pcscf", lab.socket.AF_INET, lab.socket.SOCK_STREAM)
        link.connect(("127.0.0.1", _PEER_PORT))
        return link
    return peer.Remote(world.guest.connect(_PEER_PORT)), peer.Remote(connect_host()), host


# Shows: R-C-08, R-6.3-01, R-6.3-02, R-7.1-01, R-7.1-02, R-7.1-08, R-7.1-10, R-D-S3, R-2406-11
# Shows: R-2406-12, R-6.2-01, R-I-01, R-I-02
def test_udp(report, ue, pcscf, sa_set):
    """Small, one-frame, MTU-filling and 4,000-byte messages, asked from either end."""
    for size in (20, 700, 1340, _MTU_FILLING[sa_set.family], 4000):
        report.exchange(ue.ask("ask_udp", index=sa_set.index, size=size),
                        f"{sa_set.name}: UDP from the UE, {size} bytes")
        report.exchange(pcscf.ask("ask_udp", index=sa_set.index, size=size),
                        f"{sa_set.name}: UDP from the P-CSCF, {size} bytes")


# Shows: R-7.1-11, R-6.3-02, R-2401-02, R-C-08
def test_tcp(report, ue, pcscf, sa_set):
    """A connection from either end's client port to the other's server port, echoed."""
    report.exchange(ue.ask("ask_tcp", index=sa_set.index, sizes=_TCP_SIZES),
                    f"{sa_set.name}: TCP from the UE")
    report.exchange(pcscf.ask("ask_tcp", index=sa_set.index, sizes=_TCP_SIZES),
                    f"{sa_set.name}: TCP from the P-CSCF")


# Shows: R-6.3-03, R-2406-04, R-2406-05, R-2406-08, R-M-08
def test_replay_and_spoiled(report, world, ue, sa_set):
    """A frame sent twice and one with a wrong ICV are each dropped for that reason and no other;
    the forged one, far ahead in the sequence, does not move the window."""
    world.injector.drain()
    report.exchange(ue.ask("ask_udp", index=sa_set.index, size=100), f"{sa_set.name}: UDP")
    genuine = world.injector.last_esp(sa_set.spi_ps)
    before = world.gmespd.drops()
    if not report.check(genuine is not None, f"{sa_set.name}: no packet of SA-a on the wire"):
        return
    world.injector.replay(genuine)
    world.injector.spoiled(sa_set, sequence=1_000_000)
    expected = dict(before)
    for reason in ("replay_seen", "icv_wrong"):
        expected[reason] = before.get(reason, 0) + 1
    after = world.drops_settled(expected)
    report.check(after == expected, f"{sa_set.name}: drops {before} became {after}")
    report.exchange(ue.ask("ask_udp", index=sa_set.index, size=100),
                    f"{sa_set.name}: UDP after the forged sequence number")


# Shows: R-M-06, R-M-07, R-M-08, R-M-11, R-3948-02
def test_nat(report, world):
    """The NAT changed port 4500, and gmespd answers to the port it changed it to."""
    up, down = wire.encapsulation_ports(world.capture_path)
    translated = up - {sa_sets.ENCAPSULATION_PORT}  # the forged packets come from 4500 itself
    report.check(bool(translated), "NAT: no translated source port seen")
    report.check(bool(down) and down <= translated, f"NAT: answers went to {down}, not {translated}")


# Shows: R-7.1-19, R-2401-01, R-2406-08, R-3602-01
def test_capture(report, world, spoiled, unknown):
    """With keys exported by gmespctl Wireshark agrees on every ICV but the spoiled ones, and finds
    nothing malformed; no protected port in clear, ever."""
    leaks = wire.clear_leaks(world.capture_path, world.injector.clear_sent)
    report.check(not leaks, f"{len(leaks)} clear packets with a protected port on the access "
                 f"wire, the first: {leaks[0][:80].hex() if leaks else ''}")
    counted = wire.icv_verdicts(world.capture_path, world.profile)
    report.group(f"Wireshark: {counted['good']} ESP packets good, {counted['bad']} bad "
                 f"({spoiled} were spoiled), {counted['none']} not checked ({unknown} of no SA)")
    report.check(counted["bad"] == spoiled and counted["none"] == unknown and counted["good"],
                 f"ICV verdicts {dict(counted)}, {spoiled} spoiled")
    malformed = wire.tshark(world.capture_path, world.profile, "-Y", "_ws.malformed",
                            *wire.NOT_ABOVE_ESP)
    report.check(not malformed, f"Wireshark finds {len(malformed)} packets malformed, the first: "
                 f"{malformed[:1]}")


def check_counters(report, world, expected):
    """The UE's kernel found nothing wrong, gmespd dropped what was to be dropped and no more."""
    errors = world.guest.xfrm_errors()
    report.check(not errors, f"the UE's kernel counts ESP errors: {errors}")
    drops = {name: count for name, count in world.gmespd.drops().items()
             if name not in _HARMLESS}
    report.check(drops == expected, f"drops {drops}, expected {expected}")
    report.group(f"drops: {drops}")


def run(arguments):
    matrix = "full" if arguments.full else "reduced"
    sets = sa_sets.full_matrix() if arguments.full else sa_sets.reduced_matrix()
    began = time.monotonic()
    report = Report()
    spares = clear_ports.spare_sets()
    silent = faults.silent_sets(sets)
    world = World(arguments.build.resolve(), arguments.output.resolve(), [*sets, *spares],
                  lambda text, seconds: report.group(f"{text} ({seconds:.1f} s)"), silent)
    try:
        world.gmespd.load(world.all_sets)
        check_exchanges(report, world, matrix, sets)
        for flow in sip_flows.matrix_flows(sets):
            sip_flows.test_session(report, world, *flow)
        check_counters(report, world, {"replay_seen": len(sets), "icv_wrong": len(sets)})
        spoiled, unknown = faults.run(report, world, silent)
        world.use_exported_keys()  # before a set is deleted
        clear_ports.run(report, world, sets, spares)
        world.capture.stop()
        test_nat(report, world)
        test_capture(report, world, len(sets) + spoiled, unknown)
    finally:
        world.guest.collect_logs()
        lab.keep_logs(world.output / "logs")
    seconds = time.monotonic() - began
    print(f"{'FAILED' if report.failures else 'passed'}: {report.passed} checks good, "
          f"{len(report.failures)} failed, {report.retries} retransmissions, {seconds:.0f} s\n"
          f"capture: {world.capture_path}")
    return 1 if report.failures else 0


def check_exchanges(report, world, matrix, sets):
    """Test traffic and attacks on every set; the peers' ports are free again afterwards."""
    ue, pcscf, host = start_peers(world, matrix)
    for sa_set in sets:
        began = time.monotonic()
        failed = len(report.failures)
        test_udp(report, ue, pcscf, sa_set)
        test_tcp(report, ue, pcscf, sa_set)
        test_replay_and_spoiled(report, world, ue, sa_set)
        verdict = "ok" if len(report.failures) == failed else "FAIL"
        report.group(f"{sa_set.name:<60} {verdict:<4} {time.monotonic() - began:5.1f} s")
    host.stop()
    world.guest.stop("ue-peer")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = HERE.parent.parent
    parser.add_argument("--full", action="store_true", help="all 24 combinations")
    parser.add_argument("--build", type=Path, default=root / "build")
    parser.add_argument("--output", type=Path, default=root / "build" / "interop",
                        help="where capture, keys and logs go")
    arguments = parser.parse_args()
    return lab.run_isolated(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
