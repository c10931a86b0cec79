"""Two NATs on the access network, with phones behind them, before gmespd and the P-CSCF's host.

    ns phoneA 192.168.1.2, fd00:7::2 --+                               ns access      ns pcscf
    ns phoneB 192.168.1.3, fd00:7::3 --+-- inside [ nat1 ] 10.9.0.251 --+
                                                           fd00:9::251  +-- bridge -- wire0 -- acc0 = gmespd = gmesp0
    ns phoneC 192.168.1.2, fd00:7::2 ----- inside [ nat2 ] 10.9.0.252 --+                                   10.9.0.1
                                                           fd00:9::252                                      fd00:9::1

The NATs are Linux's own: nftables masquerades address and port. Phones speak ESP in UDP from an ordinary socket on
port 4500; what stands in it is scapy's. Inner packets have the public address (TS 33.203 M.7.1).
"""
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

from scapy.layers.inet import UDP
from scapy.layers.ipsec import ESP
from scapy.packet import Raw, raw

import lab
import topology
import wire
from sa_sets import ENCAPSULATION_PORT, TUNNEL, SaSet

NATS = {"nat1": {4: "10.9.0.251", 6: "fd00:9::251"}, "nat2": {4: "10.9.0.252", 6: "fd00:9::252"}}
_INSIDE = {4: "192.168.1.1", 6: "fd00:7::1"}
_RULES = """
table {family} nat {{
 chain postrouting {{
  type nat hook postrouting priority 100
  oifname "out" udp sport 4500 masquerade to :20000-60000 random
 }}
}}
"""
_OUTER_BYTES = {4: 20 + 8, 6: 40 + 8}  # IP and UDP
_SOCKET = {4: socket.AF_INET, 6: socket.AF_INET6}
_CTNETLINK, _DELETE, _REQUEST_AND_ACK = 1, 2, 5


@dataclass(frozen=True)
class PhoneSet(SaSet):
    """The set of a phone: SPIs of its own choice, the NAT's public address within and without."""
    public: str = ""
    first_spi: int = 0

    ue = property(lambda self: self.public)
    outer_ue = property(lambda self: self.public)
    spi_uc = property(lambda self: self.first_spi)
    spi_us = property(lambda self: self.first_spi + 1)


def phone_set(index, family, nat, first_spi):
    return PhoneSet(index, family, TUNNEL, "hmac-sha-1-96", "aes-cbc", NATS[nat][family], first_spi)


def build(phones):
    """`phones`: name to (NAT, {family: private address}). To be called inside lab.run_isolated()."""
    for namespace in ("access", "pcscf", *NATS, *phones):
        lab.sh(f"ip netns add {namespace} && ip netns exec {namespace} sysctl -qw "
               "net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
    lab.ip_batch("access", [
        "link add bridge type bridge mcast_snooping 0", "link set bridge up",
        "link add wire0 type veth peer name acc0 netns pcscf", "link set wire0 master bridge up"])
    lab.sh("ip netns exec pcscf sysctl -qw net.ipv6.conf.acc0.disable_ipv6=1")
    lab.ip_batch("pcscf", ["link set lo up", f"link set acc0 address {topology.PCSCF_MAC}",
                           "link set acc0 up"])
    _finish_checksums("access", "wire0")
    _finish_checksums("pcscf", "acc0")
    topology.load_rules("pcscf", topology.ACCESS_PORT_RULES)
    for nat, public in NATS.items():
        _build_nat(nat, public)
    for name, (nat, private) in phones.items():
        lab.ip_batch(nat, [f"link add {name} type veth peer name eth0 netns {name}",
                           f"link set {name} master inside up"])
        lab.ip_batch(name, ["link set eth0 up", f"addr add {private[4]}/24 dev eth0",
                            f"addr add {private[6]}/64 dev eth0 nodad",
                            f"route add default via {_INSIDE[4]}",
                            f"route add default via {_INSIDE[6]}"])
        _finish_checksums(name, "eth0")


def _build_nat(nat, public):
    lab.sh(f"ip netns exec {nat} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    lab.ip_batch(nat, [f"link add out type veth peer name {nat} netns access",
                       "link add inside type bridge mcast_snooping 0",
                       f"addr add {public[4]}/24 dev out", f"addr add {public[6]}/64 dev out nodad",
                       f"addr add {_INSIDE[4]}/24 dev inside",
                       f"addr add {_INSIDE[6]}/64 dev inside nodad",
                       "link set out up", "link set inside up"])
    lab.ip_batch("access", [f"link set {nat} master bridge up"])
    _finish_checksums(nat, "out")
    topology.load_rules(nat, _RULES.format(family="ip") + _RULES.format(family="ip6"))


def _finish_checksums(namespace, interface):
    """veth leaves checksums to a NIC that is not there, and AF_PACKET would see them unfinished."""
    lab.sh(f"ip netns exec {namespace} ethtool -K {interface} tx off gso off tso off gro off")


def forget_connections(nat):
    """As a NAT that restarts: the next packet of a phone gets another port, over IPv4 and IPv6."""
    with lab.socket_in(nat, socket.AF_NETLINK, socket.SOCK_RAW, 12) as netfilter:  # NETLINK_NETFILTER
        kind = _CTNETLINK << 8 | _DELETE
        netfilter.send(struct.pack("=IHHIIBBH", 20, kind, _REQUEST_AND_ACK, 1, 0,
                                   socket.AF_UNSPEC, 0, 0))
        error = struct.unpack_from("=i", netfilter.recv(4096), 16)[0]
    if error:
        raise lab.LabError(f"{nat}: connection tracking cannot be emptied (error {-error})")


def set_idle_timeout(nat, seconds):
    """How long the NAT keeps a mapping on which nothing passes."""
    lab.sh(f"ip netns exec {nat} sysctl -qw net.netfilter.nf_conntrack_udp_timeout={seconds} "
           f"net.netfilter.nf_conntrack_udp_timeout_stream={seconds}")


class Phone:
    """One UE; `inbox` holds the texts that came for it, `foreign` counts what it could not read."""

    def __init__(self, namespace, sa_set):
        self.sa_set, self.inbox, self.foreign = sa_set, deque(), 0
        self._sequence, self._ip = 0, wire.ip_class(sa_set.family)
        self._socket = lab.socket_in(namespace, _SOCKET[sa_set.family], socket.SOCK_DGRAM)
        if sa_set.family == 6:  # the port of IPv4 is another socket's
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.bind(("", ENCAPSULATION_PORT))
        self._socket.connect((sa_set.pcscf, ENCAPSULATION_PORT))
        threading.Thread(target=self._receive, daemon=True).start()

    def send(self, text):
        """From the client port to the P-CSCF's server port: SA-a."""
        row = self.sa_set
        self._sequence += 1
        clear = (self._ip(src=row.ue, dst=row.pcscf) / UDP(sport=row.port_uc, dport=row.port_ps)
                 / Raw(text.encode()))
        sa = wire.association(row, row.spi_ps, "in")
        whole = raw(sa.encrypt(self._ip(raw(clear)), seq_num=self._sequence))
        self._socket.send(whole[_OUTER_BYTES[row.family]:])

    def keep_alive(self):
        """RFC 3948 2.3."""
        self._socket.send(b"\xff")

    def _receive(self):
        while True:
            try:
                self._take(self._socket.recv(65535))
            except ConnectionRefusedError:
                pass  # an ICMP error of the way, told at the socket

    def _take(self, data):
        """SA-d. Wireshark's and scapy's SPI look-up alike know nothing of who else chose it."""
        row = self.sa_set
        sa = wire.association(row, row.spi_us, "out")
        try:
            outer = self._ip(src=row.pcscf, dst=row.public) / ESP(data)
            inner = sa.decrypt(self._ip(raw(outer)))
        except Exception:  # scapy's own error for a wrong ICV, or whatever its parser makes of it
            self.foreign += 1
            return
        self.inbox.append(raw(inner[UDP].payload).decode())


class Host:
    """The SIP proxy: answers each text from its client port, as TS 33.203 7.1 says for UDP."""

    def __init__(self, sets):
        self.sets = {sa_set.port_ps: sa_set for sa_set in sets}
        self.clients = {}
        for sa_set in sets:
            self.clients[sa_set.port_pc] = self._bound(sa_set, sa_set.port_pc)
            server = self._bound(sa_set, sa_set.port_ps)
            threading.Thread(target=self._serve, args=(server, sa_set), daemon=True).start()

    @staticmethod
    def _bound(sa_set, port):
        made = lab.socket_in("pcscf", _SOCKET[sa_set.family], socket.SOCK_DGRAM)
        made.bind((sa_set.pcscf, port))
        return made

    def _serve(self, server, sa_set):
        while True:
            self.push(sa_set, "answer to " + server.recv(65535).decode())

    def push(self, sa_set, text):
        self.clients[sa_set.port_pc].sendto(text.encode(), (sa_set.ue, sa_set.port_us))


def missing(awaited, timeout_s):
    """Names of phones for which their text does not come; `awaited`: name to (Phone, text)."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = [name for name, (phone, text) in awaited.items() if text not in phone.inbox]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)
