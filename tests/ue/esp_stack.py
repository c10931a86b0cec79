"""IPsec for one IP address in user space, so that ordinary sockets speak ESP on a kernel that has none.

How packets go: every port of one range is a protected port. A routing rule (address, source port in the range) sends
what leaves such a port into a TUN device. Here its SA is found by addresses and ports, it becomes ESP, and leaves by a
raw socket, or by the UDP socket on port 4500 in tunnel mode. What comes in on those two sockets is opened, checked
against the selectors of its SA, and written to the TUN device, from where the kernel delivers it. A packet filter drops
whatever would pass a protected port without the TUN device, so nothing clear is on it, with or without SAs (7.1).

The address itself stays on the ordinary interface. Behind a NAT the inner packets have the public address (M.7.1),
which add_address() puts on the TUN device. The TUN device takes packets of any size, because transport mode is for
whole datagrams (RFC 2406 3.3.4); the kernel fragments after ESP.
"""
import fcntl
import ipaddress
import itertools
import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections import Counter

import lab
from esp import IPV4_IN_ESP, IPV6_IN_ESP, PROTOCOLS, TRANSPORT, TUNNEL, EspError
from ip_packet import PacketError, address_bytes, inner_packet, is_multicast, read_packet, transport_packet

ENCAPSULATION_PORT = 4500
KEEP_ALIVE = b"\xff"  # RFC 3948 2.3
_IKE_MARKER = bytes(4)  # RFC 3948 2.2: no ESP
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 1, 0x1000
_MTU_BYTES, _TCP_MSS_BYTES = 65535, 1300  # the MSS leaves room for ESP in 1500 bytes
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT = 10, 0
_BUFFER_BYTES = 4 << 20
_PACKET_BYTES_MAX = 1 << 16
_tables = itertools.count(100)  # routing tables, one per stack


def _open_tun(name):
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return handle


class EspStack:
    """SAs of one address. `role` is "ue" or "pcscf". Methods may be called from any thread; one thread of its own moves
    the packets. `drops` counts what was not delivered, by reason."""

    def __init__(self, namespace, address, ports=(10000, 29999), role="ue", name="ims0", keep_alive_s=20.0):
        self.address, self.role = address, role
        self.drops, self.keep_alives = Counter(), 0
        self._namespace, self._name, self.ports, self._table = namespace, name, ports, next(_tables)
        self._is_ipv6 = ipaddress.ip_address(address).version == 6
        self._tunnelled = IPV6_IN_ESP if self._is_ipv6 else IPV4_IN_ESP
        self._keep_alive_s, self._keep_alive_at = keep_alive_s, None
        self._rules = []  # routing rules, taken back by close()
        self._inbound, self._outbound, self._lock = {}, {}, threading.Lock()
        self._tun = lab.in_namespace(namespace, lambda: _open_tun(name))
        self._set_up_device()
        self._raw = self._socket(socket.SOCK_RAW, socket.IPPROTO_ESP)
        self._encapsulated = self._socket(socket.SOCK_DGRAM, 0)
        self._end, self._closing = os.eventfd(0), False
        self._thread = threading.Thread(target=self._run, name=f"esp {namespace}", daemon=True)
        self._thread.start()

    # --- set-up ---------------------------------------------------------------------------------------------------

    def _set_up_device(self):
        lab.ip_batch(self._namespace, [f"link set {self._name} mtu {_MTU_BYTES} addrgenmode none up"])
        for settings in ("all", "default", self._name):
            lab.sh(f"ip netns exec {self._namespace} sysctl -qw net.ipv4.conf.{settings}.rp_filter=0")
        self._ip(f"route add default dev {self._name} table {self._table} advmss {_TCP_MSS_BYTES}")
        self._nft(f"add table inet {self._name}",
                  f"add chain inet {self._name} in {{ type filter hook input priority 0; }}",
                  f"add chain inet {self._name} out {{ type filter hook output priority 0; }}")
        self._guard(self.address)

    def _ip(self, command):
        return lab.sh(f"ip -n {self._namespace} {'-6' if self._is_ipv6 else '-4'} {command}")

    def _nft(self, *lines):
        subprocess.run(["ip", "netns", "exec", self._namespace, "nft", "-f", "-"], input="\n".join(lines) + "\n",
                       text=True, check=True)

    def _guard(self, address):
        """Protected ports of the address are reached through the TUN device and in no other way."""
        low, high = self.ports
        rule = f"from {address} sport {low}-{high} lookup {self._table}"
        self._ip(f"rule add {rule}")
        self._rules.append(rule)
        family, add = "ip6" if self._is_ipv6 else "ip", f"add rule inet {self._name}"
        # IPv6 fragments come here one by one, and nftables takes the middle of a message for ports if one lets it.
        whole_or_first = ("exthdr frag missing", "frag frag-off 0") if self._is_ipv6 else ("",)
        self._nft(*(f"{add} in iifname != {self._name} {family} daddr {address} meta l4proto {{ tcp, udp }} "
                    f"{packet} th dport {low}-{high} counter drop" for packet in whole_or_first),
                  f"{add} out oifname != {self._name} {family} saddr {address} meta l4proto {{ tcp, udp }} "
                  f"th sport {low}-{high} counter drop")

    def add_address(self, address):
        """A second address for inner packets: the public one of a UE behind a NAT. Repetitions change nothing."""
        prefix = "128 nodad" if self._is_ipv6 else "32"
        if f" {address}/" not in self._ip(f"-o address show dev {self._name}"):
            self._ip(f"address add {address}/{prefix} dev {self._name}")
            self._guard(address)

    def _socket(self, kind, protocol):
        family = socket.AF_INET6 if self._is_ipv6 else socket.AF_INET
        made = lab.socket_in(self._namespace, family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        if not self._is_ipv6:
            made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        made.bind((self.address, ENCAPSULATION_PORT if kind == socket.SOCK_DGRAM else 0))
        made.setblocking(False)
        return made

    # --- SAs ------------------------------------------------------------------------------------------------------

    def install(self, sa_set):
        """All four SAs at once. Behind a NAT keep-alives begin."""
        inbound, outbound = sa_set.sas(self.role)
        with self._lock:
            self._inbound.update({sa.spi: sa for sa in inbound})
            self._outbound.update({(*sa.source, *sa.destination): sa for sa in outbound})
            if sa_set.mode != TRANSPORT and self.role == "ue":
                sa_set.peer_port = ENCAPSULATION_PORT
                self._keep_alive_at = self._keep_alive_at or time.monotonic()
        os.eventfd_write(self._end, 1)  # wakes the thread, which has a new time to wait for

    def remove(self, sa_set):
        """Nothing is sent or taken on the set when this returns. A set that is not there is no error."""
        with self._lock:
            self._inbound = {spi: sa for spi, sa in self._inbound.items() if sa.set is not sa_set}
            self._outbound = {ends: sa for ends, sa in self._outbound.items() if sa.set is not sa_set}
            if not any(sa.set.mode != TRANSPORT for sa in self._outbound.values()):
                self._keep_alive_at = None

    def sets(self):
        with self._lock:
            return list({id(sa.set): sa.set for sa in self._inbound.values()}.values())

    def packets(self, spi):
        """Good packets so far on an SA of either direction; 0 for one that is not there."""
        with self._lock:
            return next((sa.packets for sa in (*self._inbound.values(), *self._outbound.values()) if sa.spi == spi), 0)

    def close(self):
        self._closing = True
        os.eventfd_write(self._end, 1)
        self._thread.join()
        for made in (self._raw, self._encapsulated):
            made.close()
        os.close(self._tun)
        os.close(self._end)
        for rule in self._rules:
            self._ip(f"rule del {rule}")
        self._nft(f"delete table inet {self._name}")

    # --- packets --------------------------------------------------------------------------------------------------

    def _run(self):
        sources = {self._tun: self._from_tun, self._raw: self._from_raw, self._encapsulated: self._from_encapsulated,
                   self._end: lambda: os.eventfd_read(self._end)}
        with selectors.DefaultSelector() as selector:
            for source, action in sources.items():
                selector.register(source, selectors.EVENT_READ, action)
            while not self._closing:
                for key, _ in selector.select(self._keep_alive_wait_s()):
                    self._counted(key.data)
                self._send_keep_alives()

    def _counted(self, action, *arguments):
        try:
            with self._lock:
                action(*arguments)
        except (EspError, PacketError) as why:
            self.drops[str(why)] += 1
        except OSError as error:
            self.drops[f"{action.__name__.strip('_')}: {os.strerror(error.errno)}"] += 1

    def _keep_alive_wait_s(self):
        at = self._keep_alive_at
        return None if at is None else max(0.0, at - time.monotonic())

    def _send_keep_alives(self):
        if self._keep_alive_at is None or time.monotonic() < self._keep_alive_at:
            return
        self._keep_alive_at = time.monotonic() + self._keep_alive_s
        for pcscf in {sa_set.pcscf for sa_set in self.sets() if sa_set.mode != TRANSPORT}:
            self._counted(self._encapsulated.sendto, KEEP_ALIVE, (pcscf, ENCAPSULATION_PORT))
            self.keep_alives += 1

    def _from_tun(self):
        data = os.read(self._tun, _PACKET_BYTES_MAX)
        if is_multicast(data):  # the kernel's own: MLD, router solicitations
            return
        packet = read_packet(data)
        ends = (packet.source, packet.source_port, packet.destination, packet.destination_port)
        sa = self._outbound.get(ends)
        if sa is None:
            raise EspError("no SA out")
        if sa.set.mode == TRANSPORT:
            self._raw.sendto(sa.seal(packet.payload, packet.protocol), (packet.destination, 0))
            return
        if sa.set.peer_port is None:
            raise EspError("port_Uenc not known")
        next_header = self._tunnelled
        self._encapsulated.sendto(sa.seal(packet.whole, next_header), (packet.destination, sa.set.peer_port))

    def _from_raw(self):
        data, source = self._raw.recvfrom(_PACKET_BYTES_MAX)
        esp = data if self._is_ipv6 else data[4 * (data[0] & 15):]
        sa = self._inbound_sa(esp, TRANSPORT)
        body, protocol = sa.open(esp)
        if source[0].split("%")[0] != sa.source[0] or protocol not in PROTOCOLS:
            raise EspError("selectors")
        self._deliver(sa, transport_packet(address_bytes(sa.source[0]), address_bytes(self.address), protocol, body))

    def _from_encapsulated(self):
        esp, source = self._encapsulated.recvfrom(_PACKET_BYTES_MAX)
        if esp == KEEP_ALIVE or esp[:4] == _IKE_MARKER:
            return
        sa = self._inbound_sa(esp, TUNNEL)
        body, next_header = sa.open(esp)
        if next_header != self._tunnelled:
            raise EspError("next header")
        if self.role == "pcscf" and sa.set.peer_port is None:
            sa.set.peer_port = source[1]
        self._deliver(sa, inner_packet(body))

    def _inbound_sa(self, esp, mode):
        sa = self._inbound.get(int.from_bytes(esp[:4], "big")) if len(esp) >= 8 else None
        if sa is None or sa.set.mode != mode:
            raise EspError("unknown SPI")
        return sa

    def _deliver(self, sa, whole):
        packet = read_packet(whole)
        if (packet.source, packet.source_port) != sa.source or \
                (packet.destination, packet.destination_port) != sa.destination:
            raise EspError("selectors")
        os.write(self._tun, whole)
