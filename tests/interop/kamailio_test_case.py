"""What the tests with Kamailio share: a phone and a home network for each, and what must hold on the wires in all."""
import socket
import unittest

import lab
import sip
from access_network import PCSCF
from access_wire import AccessWire, clear_leaks
from key_log import KeyLog
from kamailio_pcscf import MW, KamailioPcscf
from real_network import PORT_PS, PROTECTED_PORTS, Phone

IMPI = "phone@home.test"


class KamailioTest(unittest.TestCase):
    """All tests use the same daemons and Kamailio; each has a home network and a phone of its own. `programs` (of
    KamailioPcscf), `output`, the folder of the capture, and `methods` that must be seen in it are to be set."""

    @classmethod
    def setUpClass(cls):
        cls.pcscf = KamailioPcscf(cls.programs)
        cls.real = cls.pcscf.real
        cls.capture = lab.Capture("router", "wire", cls.output / "access.pcap")
        cls.key_log = KeyLog(cls.real.ctl)
        cls.pcscf.start()

    @classmethod
    def tearDownClass(cls):
        cls.capture.stop()
        cls.pcscf.close()
        cls.key_log.assert_all_good(cls.capture.path, cls.output / "wireshark", PROTECTED_PORTS, cls.methods, {})

    def world(self, version=4, nat=False, tcp=False):
        self.doCleanups()  # of the world before this one
        self.key_log.forget()
        self.wire, self.host = AccessWire(), AccessWire("pcscf", "gmesp0")
        self.addCleanup(self.wire.close)
        self.addCleanup(self.host.close)
        self.frames, self.clear_frames, self.vectors = [], [], []
        self.home, keys = self.pcscf.home(IMPI)
        self.addCleanup(self.home.close)
        self.subscriber = self.home.registrar.subscribers[IMPI]
        next_vector = self.subscriber.home.next_vector
        self.subscriber.home.next_vector = lambda: self.vectors.append(next_vector()) or self.vectors[-1]
        self.phone = Phone(IMPI, keys[IMPI], version, nat, tcp)
        self.addCleanup(self.phone.close)
        self.ue = self.phone.ue
        self.ue.timeout_s = 6.0
        self.key_log.note_before(self.ue)
        self.addCleanup(self.assert_nothing_clear)
        self.addCleanup(self.assert_no_key_left)
        self.addCleanup(self.assert_no_defect)
        self.addCleanup(self.forget_user)

    def forget_user(self):
        if self.real.sets(IMPI):
            self.real.ctl("evict", IMPI)

    # --- what must hold in every test -------------------------------------------------------------------------------

    def assert_no_defect(self):
        self.assertEqual((self.ue.endpoint.failures, self.home.endpoint.failures), ([], []))

    def seen(self):
        """Everything on the access wire since the world began."""
        self.frames += self.wire.frames()
        return self.frames

    def sent_by_kamailio(self):
        """What Kamailio sent towards the UEs, before gmespd protected it."""
        self.clear_frames += self.host.frames()
        return b"\n".join(frame.payload for frame in self.clear_frames
                          if frame.ports and frame.destination not in PCSCF.values())

    def assert_nothing_clear(self):
        self.assertEqual(clear_leaks(self.seen(), PCSCF.values(), PROTECTED_PORTS, self.phone.stack.ports), [])

    def assert_no_key_left(self):
        text = self.sent_by_kamailio().lower()
        self.assertIn(b"sip/2.0", text)
        self.assertNotRegex(text, rb'[ ,](ik|ck)\s*=')
        for vector in self.vectors:
            for secret in (vector.ik, vector.ck):
                self.assertNotIn(secret.hex().encode(), text)

    def answers_from(self, status):
        """Local ports of UDP answers to UEs with this status. (TCP repeats what a UE did not live to acknowledge.)"""
        self.sent_by_kamailio()
        return [frame.ports[0] for frame in self.clear_frames if frame.source in PCSCF.values() and frame.ports
                and frame.protocol == socket.IPPROTO_UDP and f"SIP/2.0 {status} ".encode() in frame.payload]

    # --- steps ------------------------------------------------------------------------------------------------------

    def assert_registered(self, outcome, challenges=1):
        self.assertEqual((outcome.status, outcome.challenges), (200, challenges), outcome.reason)

    def call_ue(self, method, body=b"down", **named):
        return self.home.request(IMPI, method, body, MW, **named)

    def assert_served(self, tcp=False):
        """A MESSAGE and an INVITE each way, from and to the ports of 7.1 of the live set."""
        agreed = self.ue.table.live.agreed
        for method in ("MESSAGE", "INVITE"):
            answer = self.ue.request(method, b"up", tcp=tcp)
            self.assertEqual(answer and answer.status, 200, f"{method} of the UE")
            taken = next(one.message for one in reversed(self.home.served) if one.message.method == method)
            self.assertEqual((taken.get("P-Asserted-Identity"), taken.body), (f"<sip:{IMPI}>", b"up"))
            uri = self.home.bindings[IMPI].contact.partition(";")[0] + (";transport=tcp" if tcp else "")
            answer = self.call_ue(method, contact=uri)
            self.assertEqual(answer and answer.status, 200, f"{method} to the UE")
            arrival = next(one for one in reversed(self.ue.served) if one.message.method == method)
            self.assertEqual((arrival.local[1], arrival.remote[1], arrival.tcp, arrival.message.body),
                             (agreed.port_us, agreed.port_pc, tcp, b"down"))
            self.assertEqual(sip.via_host(arrival.message.get("Via"))[1], PORT_PS)
        lab.wait_for(lambda: self.ue.served[-1].message.method == "ACK", 3, "ACK to the UE")
        lab.wait_for(lambda: any(one.message.method == "ACK" for one in self.home.served), 3, "ACK of the UE")

    def states(self):
        return [row["state"] for row in self.real.sets(IMPI)]
