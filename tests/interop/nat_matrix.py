#!/usr/bin/python3
"""Phones behind real NATs, over IPv4 and IPv6: equal SPIs and private addresses, new ports, keep-alives."""
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
from nat_network import Host, Phone, missing, phone_set  # noqa: E402

HERE = Path(__file__).resolve().parent
_A, _B = {4: "192.168.1.2", 6: "fd00:7::2"}, {4: "192.168.1.3", 6: "fd00:7::3"}
_PLACES = {"phoneA": ("nat1", _A), "phoneB": ("nat1", _B), "phoneC": ("nat2", _A)}
_A_BOTH, _C_BOTH = ("phoneA-v4", "phoneA-v6"), ("phoneC-v4", "phoneC-v6")
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
        rows = [(name, nat, family) for family in (4, 6) for name, (nat, _) in _PLACES.items()]
        self.sets = [phone_set(index, family, nat, _FIRST_SPI)
                     for index, (_, nat, family) in enumerate(rows)]
        self.phones = {f"{name}-v{family}": Phone(name, sa_set)
                       for (name, _, family), sa_set in zip(rows, self.sets)}
        wire.write_profile_of_sets(self.profile, self.sets)

    def start(self, nat_settings):
        """A gmespd with these settings, that has the phones' sets and knows no port yet."""
        if self.gmespd is not None:
            self.gmespd.process.stop()
        self.gmespd = topology.Gmespd(self.build, f"[nat]\n{nat_settings}\n")
        self.gmespd.start()
        self.gmespd.load(self.sets)

    def ports(self, names):
        """port_Uenc of phones, as gmespd has it."""
        return {name: self.gmespd.listed(self.phones[name].sa_set)["outer_ue_port"]
                for name in names}

    def exchange(self, names):
        """A request of each phone; those that get no answer."""
        awaited = {}
        for name in names:
            self.texts += 1
            text = f"{name} {self.texts}"
            self.phones[name].send(text)
            awaited[name] = (self.phones[name], f"answer to {text}")
        return missing(awaited, 5.0)

    def push(self, names):
        """A request to each phone that comes unasked; those that it does not reach."""
        awaited = {}
        for name in names:
            self.texts += 1
            awaited[name] = (self.phones[name], f"push {self.texts}")
            self.host.push(self.phones[name].sa_set, awaited[name][1])
        return missing(awaited, 2.0)


def _answered(report, world, names, when):
    silent = world.exchange(names)
    report.check(not silent, f"{when}: no answer to {silent}")


# Shows: R-M-06, R-M-07, R-M-11, R-3948-02, R-C-08
def test_equal_choices(report, world):
    """Phones with equal SPIs and, on two NATs, equal private addresses: each gets its own alone."""
    for _ in range(3):
        _answered(report, world, world.phones, "at first")
    lost = world.push(world.phones)
    report.check(not lost, f"not reached: {lost}")
    for name, phone in world.phones.items():
        foreign = [text for text in phone.inbox if text.startswith("answer") and name not in text]
        report.check(not foreign and not phone.foreign,
                     f"{name}: got {foreign} and {phone.foreign} packets of others")
    ports = world.ports(world.phones)
    for family in (4, 6):
        report.check(ports[f"phoneA-v{family}"] != ports[f"phoneB-v{family}"],
                     f"behind one NAT: {ports}")
    report.check(min(ports.values()) >= 20_000, f"not translated: {ports}")
    report.group(f"{len(ports)} phones with SPI {_FIRST_SPI:#x}, ports {ports}")


# Shows: R-M-09, R-M-08
def test_new_port_followed(report, world):
    """After the NAT forgot its mappings a packet of the phone shows the new port: gmespd follows."""
    old = world.ports(_A_BOTH)
    nat_network.forget_connections("nat1")
    _answered(report, world, _A_BOTH, "after the port changed")
    new = world.ports(_A_BOTH)
    report.check(all(old[name] != new[name] for name in old), f"ports {old}, then {new}")
    lost = world.push(_A_BOTH)
    report.check(not lost, f"not reached at {new}: {lost}")
    _answered(report, world, _C_BOTH, "behind the other NAT")
    report.group(f"rebinding followed: {old}, then {new}")


# Shows: R-M-09
def test_new_port_kept(report, world):
    """With follow_peer_port = false the first port stays and the change is an event; once the phone
    registers anew (its set is replaced) the new one is learned."""
    _answered(report, world, _A_BOTH, "at first")
    old = world.ports(_A_BOTH)
    watch = lab.Process("watch", [world.gmespd.control, "--socket", world.gmespd.socket, "--json",
                                  "watch"])
    time.sleep(1)
    nat_network.forget_connections("nat1")
    silent = world.exchange(_A_BOTH)
    report.check(silent == list(_A_BOTH), f"{silent}: not answered at a port that is not known")
    changes = [event["value"] for event in map(json.loads, watch.output().splitlines())
               if event["event"] == "peer_port_changed"]
    watch.stop()
    report.check(len(changes) == len(old) and not set(changes) & set(old.values()),
                 f"ports {old}, events: {changes}")
    report.check(world.ports(_A_BOTH) == old, f"ports {old} became {world.ports(_A_BOTH)}")
    sets = [world.phones[name].sa_set for name in _A_BOTH]
    for sa_set in sets:
        world.gmespd.delete(sa_set)
    world.gmespd.load(sets)
    _answered(report, world, _A_BOTH, "after the set was replaced")
    new = world.ports(_A_BOTH)
    report.check(all(old[name] != new[name] for name in old), f"ports {old}, replaced: {new}")
    report.group(f"rebinding reported: {old} kept, {changes} seen")


# Shows: R-3948-01, R-M-08
def test_keep_alives(report, world):
    """A NAT that forgets after a few seconds: the phone that sends keep-alives can be reached, the
    one that is silent cannot. gmespd counts keep-alives and hands none on."""
    for nat in nat_network.NATS:
        nat_network.set_idle_timeout(nat, _IDLE_S)
        nat_network.forget_connections(nat)
    _answered(report, world, _A_BOTH + _C_BOTH, "before the silence")
    before = world.gmespd.drops().get("nat_keep_alive", 0)
    for _ in range(_SILENT_S):
        for name in _A_BOTH:
            world.phones[name].keep_alive()
        time.sleep(1)
    lost = world.push(_A_BOTH)
    report.check(not lost, f"not reached in spite of keep-alives: {lost}")
    lost = world.push(_C_BOTH)
    report.check(lost == list(_C_BOTH), f"reached though the NAT must have forgotten: not {lost}")
    counted = world.gmespd.drops().get("nat_keep_alive", 0) - before
    sent = _SILENT_S * len(_A_BOTH)
    report.check(counted == sent, f"{counted} keep-alives counted, {sent} sent")
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
    owners, malformed = Counter(), []
    for sa_set in world.sets:
        world.gmespd.export_keys(world.profile / "esp_sa", sa_set)
        good = wire.good_packets(world.capture.path, world.profile)
        report.check(bool(good), f"{sa_set.name}: no packet decrypted with its keys")
        owners.update(good)
        # What the keys of another phone make of a packet with the same SPI says nothing.
        malformed += wire.tshark(world.capture.path, world.profile, "-Y",
                                 "_ws.malformed && (!esp || esp.icv_good == 1)", *wire.NOT_ABOVE_ESP)
    sent = wire.esp_packets(world.capture.path, world.profile)
    report.check(set(owners) == set(sent) and set(owners.values()) == {1},
                 f"good by nobody's keys: {sorted(set(sent) - set(owners))}; owners {owners}")
    world.gmespd.export_keys(world.profile / "esp_sa")
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
