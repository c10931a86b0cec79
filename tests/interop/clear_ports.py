"""Nothing clear crosses a protected port, whoever sends it: the network, a program, the host's kernel.

Uses SA sets of its own, on whose ports nobody listens unless a check says so.
"""
import json
import socket
import time

import lab
from sa_sets import PCSCF, TRANSPORT, TUNNEL, UE_DIRECT, SaSet
from wire import TCP, UDP, layers

_SIP_PORT = 5060
_REGISTER = (b"REGISTER sip:home.test SIP/2.0\r\nVia: SIP/2.0/UDP ue.test;branch=z9hG4bKclear\r\n"
             b"From: <sip:a@home.test>;tag=1\r\nTo: <sip:a@home.test>\r\nCall-ID: clear\r\n"
             b"CSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n")
_NOBODY = 9999  # a UE port that no SA names
_FIRST_SPARE = 90


def spare_sets():
    suite = ("hmac-sha-1-96", "aes-cbc")
    shapes = ((4, TRANSPORT), (6, TRANSPORT), (4, TUNNEL))
    return [SaSet(_FIRST_SPARE + n, *shape, *suite) for n, shape in enumerate(shapes)]


def _socket(namespace, family, kind, address=None):
    made = lab.socket_in(namespace, socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.settimeout(5)
    if address:
        made.bind(address)
    return made


def _transport_frames(raw):
    """TCP and UDP frames, or fragments of them, waiting on a packet socket."""
    raw.setblocking(False)
    frames = []
    try:
        while True:
            frame = raw.recv(65535)
            if layers(frame)[1] in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
                frames.append(frame)
    except BlockingIOError:
        return frames


def _grew(world, reason, before, at_least):
    """Whether the counter of a reason grew by at least so many."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if world.gmespd.drops().get(reason, 0) - before.get(reason, 0) >= at_least:
            return True
        time.sleep(0.1)
    return False


# Shows: R-7.1-18, R-2401-01, R-D-U2
def test_from_the_network(report, world, sets):
    """Clear UDP and TCP to protected ports, also with the UE's own address and ports: dropped,
    counted exactly, and the host's interface stays silent."""
    raw = lab.packet_socket("pcscf", "gmesp0")
    before, sent = world.gmespd.drops(), 0
    for sa_set in (next(row for row in sets if row.family == 4),
                   next(row for row in sets if row.family == 6)):
        for source in (UE_DIRECT[sa_set.family], sa_set.ue):
            for port, ue_port in ((sa_set.port_ps, sa_set.port_uc),
                                  (sa_set.port_pc, sa_set.port_us)):
                for transport in (UDP(sport=ue_port, dport=port),
                                  TCP(sport=ue_port, dport=port, flags="S")):
                    world.injector.clear(sa_set, source, transport)
                    sent += 1
    expected = dict(before)
    expected["clear_to_protected_port"] = before.get("clear_to_protected_port", 0) + sent
    after = world.drops_settled(expected)
    report.check(after == expected, f"{sent} clear packets: drops {before} became {after}")
    report.check(not _transport_frames(raw),
                 "a clear packet to a protected port reached the host's interface")


# Shows: R-D-U1
def test_from_the_network_in_fragments(report, world, sets):
    """The same cut into fragments so small that the first one does not show a TCP port's flags,
    or not even the ports in one piece."""
    raw = lab.packet_socket("pcscf", "gmesp0")
    for sa_set in (next(row for row in sets if row.family == 4),
                   next(row for row in sets if row.family == 6)):
        world.injector.clear_fragments(sa_set, UDP(sport=_NOBODY, dport=sa_set.port_ps))
        world.injector.clear_fragments(sa_set, TCP(sport=_NOBODY, dport=sa_set.port_pc, flags="S"))
    time.sleep(0.5)
    report.check(not _transport_frames(raw),
                 "a fragmented clear packet to a protected port reached the host's interface")


# Shows: R-7.1-20
def test_other_ports_pass(report, world):
    """Clear traffic to other ports passes both ways, as does the host's ICMP error about it."""
    for family in (4, 6):
        server = _socket("pcscf", family, socket.SOCK_DGRAM, (PCSCF[family], _SIP_PORT))
        client = _socket("access", family, socket.SOCK_DGRAM)
        try:
            client.sendto(_REGISTER, (PCSCF[family], _SIP_PORT))
            data, source = server.recvfrom(1000)
            server.sendto(b"401", source)
            good = data == _REGISTER and client.recv(100) == b"401"
            client.connect((PCSCF[family], _NOBODY))
            client.send(b"nobody there")
            try:
                client.recv(100)
                good = False
            except ConnectionRefusedError:
                pass
        except TimeoutError:
            good = False
        report.check(good, f"IPv{family}: clear traffic to other ports does not pass")


# Shows: R-7.1-19, R-2401-01
def test_from_a_program(report, world, spares):
    """UDP and a TCP SYN from protected ports to UE ports that no SA names: not sent."""
    before, attempts = world.gmespd.drops(), 0
    for sa_set in spares[:2]:
        for port in (sa_set.port_ps, sa_set.port_pc):
            target = (sa_set.ue, _NOBODY)
            sender = _socket("pcscf", sa_set.family, socket.SOCK_DGRAM, (sa_set.pcscf, port))
            sender.sendto(b"clear", target)
            caller = _socket("pcscf", sa_set.family, socket.SOCK_STREAM, (sa_set.pcscf, port))
            caller.settimeout(0.2)
            try:
                caller.connect(target)
                report.check(False, f"IPv{sa_set.family}: connected in clear from {port}")
            except TimeoutError:
                pass
            attempts += 2
    report.check(_grew(world, "no_sa_for_protected_port", before, attempts),
                 f"{attempts} clear sendings: {world.gmespd.drops()}")


# Shows: R-M-07
def test_before_the_port_is_known(report, world, spares):
    """On a tunnel set nothing is sent before the UE's first packet has shown its port."""
    before, sa_set = world.gmespd.drops(), spares[2]
    sender = _socket("pcscf", 4, socket.SOCK_DGRAM, (sa_set.pcscf, sa_set.port_pc))
    sender.sendto(b"too early", (sa_set.ue, sa_set.port_us))
    report.check(_grew(world, "peer_port_unknown", before, 1), "tunnel: sent before port_Uenc")


_UE_TO_CLOSED_PORTS = """python3 -c '
import socket
for family, ue, uc, pcscf, ps in {rows}:
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    datagram = socket.socket(kind, socket.SOCK_DGRAM)
    datagram.bind((ue, uc))
    datagram.sendto(b"nobody listens", (pcscf, ps))
    stream = socket.socket(kind, socket.SOCK_STREAM)
    stream.settimeout(15)
    stream.bind((ue, uc))
    try:
        stream.connect((pcscf, ps))
    except ConnectionRefusedError:
        print("refused", family)
'"""


# Shows: R-7.1-19, R-D-U2
def test_from_the_kernel(report, world, spares):
    """Protected traffic to closed ports: the host kernel's RST goes back inside ESP, its ICMP
    error, which would quote the decrypted packet, does not go at all."""
    before = world.gmespd.drops()
    rows = [(row.family, row.ue, row.port_uc, row.pcscf, row.port_ps) for row in spares[:2]]
    told = world.guest.run(_UE_TO_CLOSED_PORTS.format(rows=json.dumps(rows).replace("'", '"')))
    for sa_set in spares[:2]:
        report.check(f"refused {sa_set.family}" in told,
                     f"IPv{sa_set.family}: the RST of a closed port did not reach the UE")
    report.check(_grew(world, "icmp_quotes_protected", before, 2),
                 f"ICMP errors quoting decrypted packets: {world.gmespd.drops()}")


_UE_KEEPS_A_CONNECTION = """
import socket, sys, time
link = socket.create_connection(("{pcscf}", {ps}), 15, ("{ue}", {uc}))
link.sendall(b"hello")
print("CONNECTED", flush=True)
time.sleep(2.5)
try:
    link.sendall(b"after the end")
except OSError:
    pass
time.sleep(1)
"""


# Shows: R-D-T1, R-7.4-04
def test_deleted_set(report, world, spares):
    """A set deleted under an open TCP connection: neither data nor FIN nor RST leaves in clear,
    and what the UE still sends is an unknown SPI."""
    sa_set = spares[0]
    listener = _socket("pcscf", 4, socket.SOCK_STREAM, (sa_set.pcscf, sa_set.port_ps))
    listener.listen()
    listener.settimeout(60)  # the guest may be slow to start a program
    script = world.guest.folder / "keep_connection.py"
    script.write_text(_UE_KEEPS_A_CONNECTION.format(
        pcscf=sa_set.pcscf, ps=sa_set.port_ps, ue=sa_set.ue, uc=sa_set.port_uc))
    world.guest.start("keep-connection", ["python3", "/run/out/keep_connection.py"])
    link = listener.accept()[0]
    link.settimeout(15)
    report.check(link.recv(100) == b"hello", "deleted set: no connection to begin with")
    before = world.gmespd.drops()
    world.gmespd.delete(sa_set)
    link.sendall(b"nobody may read this")
    link.close()
    report.check(_grew(world, "no_sa_for_protected_port", before, 2), "data or FIN not dropped")
    report.check(_grew(world, "unknown_spi", before, 1), "the UE's packet was not dropped")


def run(report, world, sets, spares):
    test_before_the_port_is_known(report, world, spares)
    test_from_the_network(report, world, sets)
    test_from_the_network_in_fragments(report, world, sets)
    test_other_ports_pass(report, world)
    test_from_a_program(report, world, spares)
    test_from_the_kernel(report, world, spares)
    test_deleted_set(report, world, spares)
    report.group(f"clear traffic on protected ports: drops now {world.gmespd.drops()}")
