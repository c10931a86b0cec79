"""The same fault at both ends: gmespd and the UE's kernel each drop it and count it by its own name.

Upwards a frame goes on the access wire, as the router would send it; downwards on the UE's own link, behind the NAT.
"""
import socket
import time
from dataclasses import dataclass

from scapy.layers.inet import UDP
from scapy.packet import Raw, raw

import lab
import wire
from sa_sets import ENCAPSULATION_PORT, TUNNEL, SaSet

# Faults and how gmespd and Linux (/proc/net/xfrm_stat) call them.
_NAMES = {
    "wrong ICV": ("icv_wrong", "XfrmInStateProtoError"),
    "replay": ("replay_seen", "XfrmInStateSeqError"),
    "wrong SPI": ("unknown_spi", "XfrmInNoStates"),
    "wrong selector": ("selector_port", "XfrmInTmplMismatch"),
    "clear on a protected port": ("clear_to_protected_port", "XfrmInTmplMismatch"),
}
_FIRST_SILENT = 80
_NOBODYS_SPI = 0x66666666


def silent_sets(sets):
    """One set for each mode and family of `sets`, on which nothing but faults is ever sent."""
    shapes = {(row.family, row.mode): (row.integrity, row.cipher) for row in sets}
    return [SaSet(_FIRST_SILENT + n, *shape, *suite)
            for n, (shape, suite) in enumerate(shapes.items())]


@dataclass
class _Direction:
    """Towards gmespd on SA-a, or towards the UE on SA-d."""
    sa_set: SaSet
    upwards: bool

    @property
    def spi(self):
        return self.sa_set.spi_ps if self.upwards else self.sa_set.spi_us

    def ends(self):
        row = self.sa_set
        return (row.ue, row.pcscf) if self.upwards else (row.pcscf, row.ue)

    def clear(self, ports=None):
        row = self.sa_set
        if ports is None:
            ports = (row.port_uc, row.port_ps) if self.upwards else (row.port_pc, row.port_us)
        source, destination = self.ends()
        return raw(wire.ip_class(row.family)(src=source, dst=destination)
                   / UDP(sport=ports[0], dport=ports[1]) / Raw(b"MESSAGE sip:x SIP/2.0\r\n\r\n"))

    def other_ports(self):
        """Those of the set's other SA in this direction: known, but not this SA's."""
        row = self.sa_set
        return (row.port_us, row.port_pc) if self.upwards else (row.port_ps, row.port_uc)

    def protected(self, sequence, spi=None, ports=None, flip=0):
        """`flip` changes bits of the ICV's last byte; the UDP checksum around it is right."""
        row = self.sa_set
        sa = wire.association(row, spi or self.spi, "in" if self.upwards else "out")
        if row.mode == TUNNEL and not self.upwards:  # behind the NAT: to the private address
            sa.tunnel_header.dst = row.ue
        clear = wire.ip_class(row.family)(self.clear(ports))
        packet = bytearray(raw(sa.encrypt(clear, seq_num=sequence)))
        packet[-1] ^= flip
        packet = bytes(packet)
        return wire.mend_udp(packet) if row.mode == TUNNEL else packet


class _UeLink:
    """The UE's link, seen from the router: what is sent here reaches the guest and nobody else."""

    def __init__(self, world):
        self.raw = lab.packet_socket("access", "ue0")
        addresses = (world.guest.run("cat /sys/class/net/vec0/address"),
                     lab.sh("ip netns exec access cat /sys/class/net/ue0/address"))
        self.header = b"".join(bytes.fromhex(text.strip().replace(":", "")) for text in addresses)

    def send(self, packet):
        self.raw.send(self.header + wire.ETHERTYPE[packet[0] >> 4] + packet)


_LISTEN = """import socket, time
for family, address, port in {ends}:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((address, port))
    globals()[f"kept{{port}}"] = made
print("LISTENING", flush=True)
time.sleep(3600)
"""


def _listen(world, sets):
    """Sockets for the one good packet of each direction: else an ICMP error would answer it."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}
    script = world.guest.folder / "fault_listener.py"
    script.write_text(_LISTEN.format(
        ends=[(int(family[row.family]), row.ue, row.port_us) for row in sets]))
    world.guest.start("fault-listener", ["python3", "/run/out/fault_listener.py"])
    host = [lab.socket_in("pcscf", family[row.family], socket.SOCK_DGRAM) for row in sets]
    for made, row in zip(host, sets):
        made.bind((row.pcscf, row.port_ps))
    lab.wait_for(lambda: "LISTENING" in world.guest.log("fault-listener"), 90, "the UE's sockets")
    return host


def _packets(direction, fault):
    """What is sent for a fault: the faulty packet last."""
    if fault == "wrong ICV":
        return [direction.protected(sequence=1_000_000, flip=1)]
    if fault == "replay":
        packet = direction.protected(sequence=1)
        return [packet, packet]
    if fault == "wrong SPI":
        return [direction.protected(sequence=2, spi=_NOBODYS_SPI)]
    if fault == "wrong selector":
        return [direction.protected(sequence=3, ports=direction.other_ports())]
    return [direction.clear()]


def _kernel_settled(world, expected, timeout_s=15.0):
    """The UE's ESP error counters, as soon as they are `expected`, or as they are after the time."""
    deadline = time.monotonic() + timeout_s
    while (errors := world.guest.xfrm_errors()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return errors


# Shows: R-6.3-03, R-2406-04, R-2406-05, R-2406-08, R-7.1-05, R-7.1-18, R-C-08
def test_fault(report, world, link, sa_set, fault):
    """gmespd and the kernel count one packet more under the fault's name, and under no other."""
    reason, error = _NAMES[fault]
    drops, errors = world.gmespd.drops(), world.guest.xfrm_errors()
    for packet in _packets(_Direction(sa_set, upwards=True), fault):
        world.injector.send(packet, is_clear=fault.startswith("clear"))
    for packet in _packets(_Direction(sa_set, upwards=False), fault):
        link.send(packet)
    wanted = {**drops, reason: drops.get(reason, 0) + 1}
    found = world.drops_settled(wanted)
    report.check(found == wanted, f"{sa_set.name}: {fault}: gmespd's {drops} became {found}")
    wanted = {**errors, error: errors.get(error, 0) + 1}
    found = _kernel_settled(world, wanted)
    report.check(found == wanted, f"{sa_set.name}: {fault}: the kernel's {errors} became {found}")


def run(report, world, sets):
    """Returns what the capture will show of it: packets with a wrong ICV, and with a wrong SPI."""
    listening = _listen(world, sets)
    link = _UeLink(world)
    for sa_set in sets:
        for fault in _NAMES:
            test_fault(report, world, link, sa_set, fault)
    for made in listening:
        made.close()
    world.guest.stop("fault-listener")
    report.group(f"{len(_NAMES)} faults on {len(sets)} sets, counted alike by gmespd and by Linux: "
                 f"{world.guest.xfrm_errors()}")
    return len(sets), len(sets)
