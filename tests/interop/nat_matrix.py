#!/usr/bin/python3
"""Phones behind real NATs: several behind one, equal SPIs and private addresses, new ports, keep-alives."""
import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import lab  # noqa: E402
lab.require()  # before the imports below fail on what it names
import nat_network  # noqa: E402
import topology  # noqa: E402
import wire  # noqa: E402
from kernel_matrix import Report  # noqa: E402
from nat_network import Host, Phone, arrives, phone_set  # noqa: E402

HERE = Path(__file__).resolve().parent
_PLACES = {"phoneA": ("nat1", "192.168.1.2"), "phoneB": ("nat1", "192.168.1.3"),
           "phoneC": ("nat2", "192.168.1.2")}
_FIRST_SPI = 0x51000000  # of every phone: each chooses for itself
_IDLE_S = 3  # of the NATs, where keep-alives are tested
_SILENT_S = 7


class NatWorld:
    """Phones, NATs, host, and one gmespd after the other."""

    def __init__(self, build, output):
        nat_network.build(_PLACES)
        self.build, self.gmespd, self.texts = build, None, 0
        self.capture = lab.Capture("access", "wire0", output / "access.pcap")
        self.profile = output / "wireshark"
        self.sets = [phone_set(index, nat, _FIRST_SPI)
                     for index, (nat, _) in enumerate(_PLACES.values())]
        self.phones = {name: Phone(name, sa_set) for name, sa_set in zip(_PLACES, self.sets)}
        wire.write_wireshark_profile(self.profile, self.sets)

    def start(self, nat_settings):
        """A gmespd with these settings, that has the phones' sets and knows no port yet."""
        if self.gmespd is not None:
            self.gmespd.process.stop()
        self.gmespd = topology.Gmespd(self.build, f"[nat]\n{nat_settings}\n")
        self.gmespd.start()
        self.gmespd.load(self.sets)

    def port(self, name):
        """port_Uenc of a phone, as gmespd has it."""
        return self.gmespd.listed(self.phones[name].sa_set)["outer_ue_port"]

    def exchange(self, name):
        """A request of the phone and its answer."""
        self.texts += 1
        text = f"{name} {self.texts}"
        self.phones[name].send(text)
        return arrives(self.phones[name], f"answer to {text}")

    def push(self, name):
        """A request to the phone that comes unasked."""
        self.texts += 1
        text = f"push {self.texts}"
        self.host.push(self.phones[name].sa_set, text)
        return arrives(self.phones[name], text, timeout_s=2.0)


# Shows: R-M-06, R-M-07, R-M-11, R-3948-02, R-C-08
def test_equal_choices(report, world):
    """Phones with equal SPIs and, on two NATs, equal private addresses: each gets its own alone."""
    for _ in range(3):
        for name in world.phones:
            report.check(world.exchange(name), f"{name}: no answer")
    for name, phone in world.phones.items():
        report.check(world.push(name), f"{name}: not reached")
        foreign = [text for text in phone.inbox if text.startswith("answer") and name not in text]
        report.check(not foreign and not phone.foreign,
                     f"{name}: got {foreign} and {phone.foreign} packets of others")
    ports = {name: world.port(name) for name in world.phones}
    report.check(ports["phoneA"] != ports["phoneB"] and min(ports.values()) >= 20_000,
                 f"ports as gmespd knows them: {ports}")
    report.group(f"three phones with SPI {_FIRST_SPI:#x}, ports {ports}")


# Shows: R-M-09, R-M-08
def test_new_port_followed(report, world):
    """After the NAT forgot its mappings a packet of the phone shows the new port: gmespd follows."""
    old = world.port("phoneA")
    nat_network.forget_connections("nat1")
    report.check(world.exchange("phoneA"), "phoneA: no answer after its port changed")
    new = world.port("phoneA")
    report.check(new != old and world.push("phoneA"), f"phoneA: port {old}, then {new}")
    report.check(world.exchange("phoneC"), "phoneC, behind the other NAT: no answer")
    report.group(f"rebinding followed: port {old}, then {new}")


# Shows: R-M-09
def test_new_port_kept(report, world):
    """With follow_peer_port = false the first port stays and the change is an event; once the phone
    registers anew (its set is replaced) the new one is learned."""
    report.check(world.exchange("phoneA"), "phoneA: no answer")
    old = world.port("phoneA")
    watch = lab.Process("watch", [world.gmespd.control, "--socket", world.gmespd.socket, "--json",
                                  "watch"])
    time.sleep(1)
    nat_network.forget_connections("nat1")
    report.check(not world.exchange("phoneA"), "phoneA: answered at a port that is not known")
    changes = [event for event in map(json.loads, watch.output().splitlines())
               if event["event"] == "peer_port_changed"]
    watch.stop()
    report.check(len(changes) == 1 and changes[0]["value"] != old, f"events: {changes}")
    report.check(world.port("phoneA") == old, f"phoneA: port {old} became {world.port('phoneA')}")
    sa_set = world.phones["phoneA"].sa_set
    world.gmespd.delete(sa_set)
    world.gmespd.load([sa_set])
    report.check(world.exchange("phoneA") and world.port("phoneA") != old,
                 "phoneA: no answer after its set was replaced")
    report.group(f"rebinding reported: port {old} kept, {[row['value'] for row in changes]} seen")


# Shows: R-3948-01, R-M-08
def test_keep_alives(report, world):
    """A NAT that forgets after a few seconds: the phone that sends keep-alives can be reached, the
    one that is silent cannot. gmespd counts keep-alives and hands none on."""
    for nat in nat_network.NATS:
        nat_network.set_idle_timeout(nat, _IDLE_S)
        nat_network.forget_connections(nat)
    for name in ("phoneA", "phoneC"):
        report.check(world.exchange(name), f"{name}: no answer")
    before = world.gmespd.drops().get("nat_keep_alive", 0)
    for _ in range(_SILENT_S):
        world.phones["phoneA"].keep_alive()
        time.sleep(1)
    report.check(world.push("phoneA"), "phoneA: not reached in spite of its keep-alives")
    report.check(not world.push("phoneC"), "phoneC: reached though its NAT must have forgotten it")
    counted = world.gmespd.drops().get("nat_keep_alive", 0) - before
    report.check(counted == _SILENT_S, f"{counted} keep-alives counted, {_SILENT_S} sent")
    report.group(f"{_SILENT_S} s of silence, NAT forgets after {_IDLE_S}: keep-alives hold the way")


def check_drops(report, world, expected):
    """None but those of `expected` reasons."""
    drops = world.gmespd.drops()
    report.check(set(drops) <= expected, f"drops {drops}, expected only {expected}")


# Shows: R-2406-08, R-2406-11
def test_capture(report, world):
    """Each packet is good by the exported keys of exactly one phone, and nothing is malformed. (One
    phone at a time: Wireshark's table has no ports to tell equal SPIs at one address apart.)"""
    world.capture.stop()
    owners = Counter()
    for sa_set in world.sets:
        world.gmespd.export_keys(world.profile / "esp_sa", sa_set)
        good = wire.good_packets(world.capture.path, world.profile)
        report.check(bool(good), f"{sa_set.name}: no packet decrypted with its keys")
        owners.update(good)
    sent = wire.esp_packets(world.capture.path, world.profile)
    report.check(set(owners) == set(sent) and set(owners.values()) == {1},
                 f"good by nobody's keys: {sorted(set(sent) - set(owners))}; owners {owners}")
    world.gmespd.export_keys(world.profile / "esp_sa")
    malformed = wire.tshark(world.capture.path, world.profile, "-Y", "_ws.malformed",
                            *wire.NOT_ABOVE_ESP)
    report.check(not malformed, f"malformed: {malformed[:1]}")
    report.group(f"Wireshark, with exported keys: {len(owners)} packets, all good")


def check_all(report, world):
    world.start("follow_peer_port = true")
    world.host = Host(world.sets)  # its address is on gmespd's TAP
    test_equal_choices(report, world)
    test_new_port_followed(report, world)
    test_keep_alives(report, world)
    # The NAT that forgot a phone says so of the packet that came for it; likewise below.
    check_drops(report, world, {"nat_keep_alive", "icmp_error_refused"})
    for nat in nat_network.NATS:
        nat_network.set_idle_timeout(nat, 120)
    world.start("follow_peer_port = false")
    test_new_port_kept(report, world)
    check_drops(report, world, {"icmp_error_refused"})
    test_capture(report, world)


def run(arguments):
    report = Report()
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    lock = lab.lock(output)
    try:
        check_all(report, NatWorld(arguments.build.resolve(), output))
    finally:
        lab.keep_logs(output / "logs")
        os.close(lock)
    print(f"{'FAILED' if report.failures else 'passed'}: {report.passed} checks good, "
          f"{len(report.failures)} failed\ncapture: {output / 'access.pcap'}")
    return 1 if report.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = HERE.parent.parent
    parser.add_argument("--build", type=Path, default=root / "build")
    parser.add_argument("--output", type=Path, default=root / "build" / "nat",
                        help="where capture, keys and logs go")
    arguments = parser.parse_args()
    return lab.run_isolated(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
