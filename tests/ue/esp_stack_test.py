"""Two ESP stacks against each other: suites, families, modes and transports, with ordinary sockets; faults as raw ESP.

scapy's ESP, which shares no line with esp.py, reads and writes packets of each suite, so that two equal mistakes do not
agree with each other.
"""
import itertools
import os
import socket
import struct
import time
import unittest

import lab
from access_network import PCSCF, PUBLIC, UE, UE_PRIVATE
from esp import CIPHERS, HASHES, TRANSPORT, TUNNEL, EspError, SaSet, cipher_key, integrity_key
from esp_stack import EspStack
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

_SCAPY = {"hmac-md5-96": "HMAC-MD5-96", "hmac-sha-1-96": "HMAC-SHA1-96", "aes-cbc": "AES-CBC", "des-ede3-cbc": "3DES",
          "null": "NULL"}
_PATIENCE_S = 8
_spis = itertools.count(0x10000, 4)
_ports = itertools.count(12000, 2)


def sa_set(ue, pcscf, integrity="hmac-sha-1-96", cipher="aes-cbc", mode=TRANSPORT):
    spi, port = next(_spis), next(_ports)
    return SaSet(ue=ue, pcscf=pcscf, port_uc=port, port_us=port + 1, port_pc=6200, port_ps=6100, spi_uc=spi,
                 spi_us=spi + 1, spi_pc=spi + 2, spi_ps=spi + 3, integrity=integrity, cipher=cipher,
                 ik=os.urandom(16), ck=os.urandom(16), mode=mode)


def bound(namespace, kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = lab.socket_in(namespace, family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.settimeout(_PATIENCE_S)
    return made


def exchange_udp(agreed, sizes=(1, 400, 1300, 4000)):
    """Datagrams up from uc to ps and down from pc to us."""
    with bound("ue", socket.SOCK_DGRAM, agreed.ue, agreed.port_uc) as client, \
            bound("ue", socket.SOCK_DGRAM, agreed.ue, agreed.port_us) as server, \
            bound("pcscf", socket.SOCK_DGRAM, agreed.pcscf, agreed.port_ps) as network_server, \
            bound("pcscf", socket.SOCK_DGRAM, agreed.pcscf, agreed.port_pc) as network_client:
        for size in sizes:
            payload = os.urandom(size)
            client.sendto(payload, (agreed.pcscf, agreed.port_ps))
            data, source = network_server.recvfrom(9000)
            assert (data, source[:2]) == (payload, (agreed.ue, agreed.port_uc)), "up"
            network_client.sendto(payload, (agreed.ue, agreed.port_us))
            data, source = server.recvfrom(9000)
            assert (data, source[:2]) == (payload, (agreed.pcscf, agreed.port_pc)), "down"


def _received(connection, size):
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def exchange_tcp(agreed):
    """A connection from the UE and one from the network, 20,000 bytes there and back, closed in order by both."""
    ways = (("ue", agreed.ue, agreed.port_uc, "pcscf", agreed.pcscf, agreed.port_ps),
            ("pcscf", agreed.pcscf, agreed.port_pc, "ue", agreed.ue, agreed.port_us))
    for here, address, port, there, peer, peer_port in ways:
        with bound(there, socket.SOCK_STREAM, peer, peer_port) as listener:
            listener.listen()
            with bound(here, socket.SOCK_STREAM, address, port) as caller:
                caller.connect((peer, peer_port))
                answerer, source = listener.accept()
                assert source[:2] == (address, port), source
                with answerer:
                    answerer.settimeout(_PATIENCE_S)
                    payload = os.urandom(20000)
                    caller.sendall(payload)
                    assert _received(answerer, len(payload)) == payload, "there"
                    answerer.sendall(payload)
                    assert _received(caller, len(payload)) == payload, "back"
                    caller.shutdown(socket.SHUT_WR)
                    assert answerer.recv(1) == b"", "end"
                assert caller.recv(1) == b"", "end"


class EspCoreTest(unittest.TestCase):
    def _scapy(self, agreed, spi):
        return SecurityAssociation(ESP, spi=spi, crypt_algo=_SCAPY[agreed.cipher], auth_algo=_SCAPY[agreed.integrity],
                                   crypt_key=cipher_key(agreed.cipher, agreed.ck) or None,
                                   auth_key=integrity_key(agreed.integrity, agreed.ik))

    def test_scapy_reads_and_writes_the_same_packets(self):
        for integrity, cipher in itertools.product(HASHES, CIPHERS):
            agreed = sa_set(UE[4], PCSCF[4], integrity, cipher)
            (to_client, _), (client, _) = agreed.sas("ue")
            for size in (0, 1, 13, 400):
                datagram = bytes(UDP(sport=agreed.port_uc, dport=agreed.port_ps) / Raw(os.urandom(size)))
                esp = client.seal(datagram, 17)
                opened = self._scapy(agreed, agreed.spi_ps).decrypt(IP(src=agreed.ue, dst=agreed.pcscf) / ESP(esp))
                self.assertEqual(bytes(opened[IP].payload)[:8], datagram[:8])
                self.assertEqual(bytes(opened[IP].payload)[8:8 + size], datagram[8:])
                sealed = self._scapy(agreed, agreed.spi_uc).encrypt(
                    IP(src=agreed.pcscf, dst=agreed.ue) / UDP(sport=1, dport=2) / Raw(datagram), seq_num=size + 1)
                body, protocol = to_client.open(bytes(sealed[ESP]))
                self.assertEqual((body[8:], protocol), (datagram, 17))

    def test_no_triple_des_with_equal_halves(self):
        agreed = sa_set(UE[4], PCSCF[4], cipher="des-ede3-cbc")
        half = os.urandom(8)
        agreed.ck = half + bytes(byte ^ 1 for byte in half)
        self.assertRaises(ValueError, agreed.sas, "ue")

    def test_forged_and_repeated_packets_are_refused(self):
        agreed = sa_set(UE[4], PCSCF[4])
        (inbound, _), _ = agreed.sas("pcscf")
        _, (outbound, _) = agreed.sas("ue")
        packets = [outbound.seal(b"x" * 8, 17) for _ in range(100)]
        forged = struct.pack(">II", agreed.spi_ps, 1000) + packets[0][8:]
        with self.assertRaisesRegex(EspError, "ICV"):
            inbound.open(forged)
        order = [0, 2, 1, 99, 36, 98]
        for number in order:
            inbound.open(packets[number])
        for number in [*order, 35, 3]:
            with self.assertRaisesRegex(EspError, "replayed or too old"):
                inbound.open(packets[number])


class EspStackTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        conf.verb = 0
        cls.ue, cls.pcscf = {}, {}
        for version, address in UE.items():
            cls.ue[address] = EspStack("ue", address, name=f"ims{version}")
        for version, address in UE_PRIVATE.items():
            cls.ue[address] = EspStack("ue", address, name=f"nat{version}", keep_alive_s=0.5)
            cls.ue[address].add_address(PUBLIC[version])
        for version, address in PCSCF.items():
            cls.pcscf[version] = EspStack("pcscf", address, (6000, 6299), "pcscf", f"ims{version}")

    @classmethod
    def tearDownClass(cls):
        for stack in (*cls.ue.values(), *cls.pcscf.values()):
            stack.close()

    def setUp(self):
        time.sleep(0.05)  # the last ACK of the connections before
        for stack in (*self.ue.values(), *self.pcscf.values()):
            stack.drops.clear()

    def _install(self, agreed, address=None):
        version = 6 if ":" in agreed.ue else 4
        ue, pcscf = self.ue[address or agreed.ue], self.pcscf[version]
        # Each end has a record of its own, as in life.
        theirs = SaSet(**vars(agreed))
        ue.install(agreed)
        pcscf.install(theirs)
        self.addCleanup(ue.remove, agreed)
        self.addCleanup(pcscf.remove, theirs)
        return ue, pcscf

    def test_every_suite_over_both_families(self):
        for version, integrity, cipher in itertools.product((4, 6), HASHES, CIPHERS):
            with self.subTest(version=version, integrity=integrity, cipher=cipher):
                agreed = sa_set(UE[version], PCSCF[version], integrity, cipher)
                ue, pcscf = self._install(agreed)
                exchange_udp(agreed)
                exchange_tcp(agreed)
                self.assertEqual((ue.drops, pcscf.drops), ({}, {}))

    # Shows: R-M-13
    def test_behind_a_nat(self):
        for version in (4, 6):
            agreed = sa_set(PUBLIC[version], PCSCF[version], mode=TUNNEL)
            ue, pcscf = self._install(agreed, UE_PRIVATE[version])
            exchange_udp(agreed)
            exchange_tcp(agreed)
            learned = pcscf.sets()[0].peer_port
            if version == 4:
                self.assertIn(learned, range(20000, 30001))
            lab.wait_for(lambda: ue.keep_alives >= 2, 3, "keep-alives")
            self.assertEqual((ue.drops, pcscf.drops), ({}, {}))

    # Shows: R-7.1-30
    def test_protected_ports_take_and_send_nothing_clear(self):
        agreed = sa_set(UE[4], PCSCF[4])
        ue, pcscf = self._install(agreed)
        with bound("ue", socket.SOCK_DGRAM, agreed.ue, agreed.port_us) as server, \
                bound("pcscf", socket.SOCK_DGRAM, agreed.pcscf, 5060) as clear, \
                bound("pcscf", socket.SOCK_DGRAM, agreed.pcscf, 6210) as other:
            server.settimeout(0.3)
            clear.sendto(b"clear", (agreed.ue, agreed.port_us))
            other.sendto(b"no SA", (agreed.ue, agreed.port_us))
            self.assertRaises(TimeoutError, server.recv, 100)
            self.assertEqual(pcscf.drops.pop("no SA out"), 1)
            clear.settimeout(0.3)
            try:
                server.sendto(b"clear", (agreed.pcscf, 5060))
            except PermissionError:
                pass
            self.assertRaises(TimeoutError, clear.recv, 100)
            self.assertEqual(ue.drops.pop("no SA out"), 1)

    # Shows: R-7.1-30
    def test_right_key_but_wrong_ports(self):
        agreed = sa_set(UE[4], PCSCF[4])
        ue, _ = self._install(agreed)
        liar = SaSet(**vars(agreed))
        liar.port_pc += 1  # what the UE's record does not have
        _, (_, to_server) = liar.sas("pcscf")
        datagram = bytes(IP(src=liar.pcscf, dst=liar.ue) / UDP(sport=liar.port_pc, dport=liar.port_us) / Raw(b"wrong"))
        with lab.socket_in("pcscf", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as raw:
            raw.sendto(to_server.seal(datagram[20:], 17), (liar.ue, 0))
        lab.wait_for(lambda: ue.drops["selectors"] == 1, 3, "the drop")
        del ue.drops["selectors"]

    def test_two_sets_at_once_and_then_one(self):
        old, new = sa_set(UE[4], PCSCF[4]), sa_set(UE[4], PCSCF[4])
        new.port_us, new.port_pc = old.port_us, 6201
        ue, _ = self._install(old)
        self._install(new)
        exchange_udp(old)
        exchange_udp(new)
        exchange_tcp(old)
        exchange_tcp(new)
        ue.remove(old)
        exchange_udp(new)
        with bound("ue", socket.SOCK_DGRAM, old.ue, old.port_uc) as client:
            client.sendto(b"too late", (old.pcscf, old.port_ps))
        lab.wait_for(lambda: ue.drops["no SA out"] == 1, 3, "the drop")
