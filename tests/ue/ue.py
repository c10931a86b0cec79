"""A UE that does its side of TS 33.203: identities, sockets, SA table, and which message may come or go on which SA.

register() is in registration.py; here is what it and ordinary requests share.
"""
import queue
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import sip
from esp import CIPHERS, HASHES, TRANSPORT
from held_set import SetTable
from registration import Registration
from sip_endpoint import SipEndpoint

CLEAR_PORT = 5060
T1_S = 0.5


@dataclass
class Subscription:
    """What the card says."""

    impi: str
    impu: str
    domain: str


@dataclass
class _Waiting:
    """A client transaction: the set it began on (None: clear), and where its answers go."""

    held: object
    is_register: bool
    may_fail_on: object = None  # SM7: the set that protected SM1, which failure answers may use (7.4.1a)
    answers: queue.Queue = field(default_factory=queue.Queue)


class Ue:
    """`stack` is the EspStack of its address. `tamper(step, message)`, if set, may change "SM1" and "SM7" before they
    go; `keys_of(card answer)` gives (IK, CK): both are for tests of what the network does with a dishonest UE. Requests
    are answered with 200 at once, unless `serves_at_once` is off and answer() is left to the test. `discards` counts
    messages not taken, by reason; `served` lists the Arrivals of requests taken. Threading: one caller at a time;
    answers go out from a thread of the UE's own."""

    def __init__(self, stack, namespace, pcscf, subscription, usim, tcp=False, integrities=tuple(HASHES),
                 ciphers=CIPHERS, modes=(TRANSPORT,), timeout_s=4.0, t1_s=T1_S):
        self.stack, self.pcscf, self.subscription, self.usim, self.tcp = stack, pcscf, subscription, usim, tcp
        self.integrities, self.modes = integrities, modes
        self.ciphers = ciphers if "null" in ciphers else (*ciphers, "null")  # the mechanism always has it
        self.timeout_s, self._t1_s = timeout_s, t1_s
        self.address = self.inner_address = stack.address  # inner: the public one, once known to be behind a NAT
        self.call_id, self._cseq = secrets.token_hex(12), 0
        self.tamper, self.keys_of = None, lambda answer: (answer.ik, answer.ck)
        self.discards, self.served, self.serves_at_once = Counter(), [], True
        self.lock, self._waiting = threading.RLock(), {}
        self.table = SetTable(t1_s, self._set_gone)
        self.endpoint = SipEndpoint(namespace, self._arrived)
        self.endpoint.open((self.address, CLEAR_PORT))

    def close(self):
        """Power off: no SA and no key stays (8.1)."""
        with self.lock:
            self.table.clear()
        self.endpoint.close()

    def move(self, stack):
        """Takes another IP address, that of `stack`: all SAs go, so the next registration begins in clear (7.5)."""
        with self.lock:
            self.table.clear()
            self.endpoint.close_port((self.address, CLEAR_PORT))
            self.stack, self.address, self.inner_address = stack, stack.address, stack.address
            self.endpoint.open((self.address, CLEAR_PORT))

    def register(self, expires_s=3600, clear=False):
        """A whole registration, on the live set if there is one and `clear` does not forbid it; Outcome."""
        return Registration(self, expires_s, clear).run()

    def deregister(self):
        return self.register(expires_s=0)

    # --- sets -------------------------------------------------------------------------------------------------------

    def hold(self, held):
        """Takes a registration's new set into use for SM7; OSError if a port is not free."""
        agreed = held.agreed
        with self.lock:
            self.table.begin(held)
            self.stack.install(agreed)
            try:
                self.endpoint.open((agreed.ue, agreed.port_us))
                self.endpoint.open((agreed.ue, agreed.port_uc), listens=False)
            except OSError:
                self.table.abandon()
                raise

    def _set_gone(self, held):
        self.stack.remove(held.agreed)
        self.endpoint.close_port((held.agreed.ue, held.agreed.port_uc))
        if all(other.agreed.port_us != held.agreed.port_us for other in self.table.all()):
            self.endpoint.close_port((held.agreed.ue, held.agreed.port_us))

    # --- requests of the UE -----------------------------------------------------------------------------------------

    def headers(self, method, held, tcp, to=None):
        """Via to CSeq of a new request on a set, or in clear."""
        self._cseq += 1
        port, address = (held.agreed.port_us, held.agreed.ue) if held else (CLEAR_PORT, self.address)
        own = f"<{self.subscription.impu}>"
        return [("Via", sip.via("TCP" if tcp else "UDP", address, port)), ("Max-Forwards", "70"),
                ("From", f"{own};tag={secrets.token_hex(4)}"), ("To", f"<{to}>" if to else own),
                ("Call-ID", self.call_id if method == "REGISTER" else secrets.token_hex(12)),
                ("CSeq", f"{self._cseq} {method}"),
                ("Contact", f"<sip:{sip.bracketed(address)}:{port}{';transport=tcp' if tcp else ''}>")]

    def request(self, method, body=b"", to="sip:echo@home.test", tcp=None):
        """Sends a request on the live set; its final answer, or None. A 2xx to INVITE is acknowledged."""
        tcp = self.tcp if tcp is None else tcp
        with self.lock:
            self.table.prune()
            held = self.table.live
        if held is None:
            raise sip.SipError("not registered: no service before SM12 (7.4.1a)")
        sent = sip.request(method, to, self.headers(method, held, tcp, to), body)
        answer = self.transact(sent, held, tcp)
        if method == "INVITE" and answer and answer.status < 300:
            ack = [(name, value) for name, value in sent.headers if name in ("From", "Call-ID", "Max-Forwards")]
            ack += [("Via", sip.via("TCP" if tcp else "UDP", held.agreed.ue, held.agreed.port_us)),
                    ("To", answer.get("To")), ("CSeq", sent.get("CSeq").replace("INVITE", "ACK"))]
            self.send(sip.request("ACK", to, ack), held, tcp)
        return answer

    def send(self, message, held, tcp):
        """From port_uc to port_ps of the set, or from the clear port to the clear port."""
        if held is None:
            self.endpoint.send(message, (self.address, CLEAR_PORT), (self.pcscf, CLEAR_PORT), tcp)
        else:
            agreed = held.agreed
            self.endpoint.send(message, (agreed.ue, agreed.port_uc), (agreed.pcscf, agreed.port_ps), tcp)

    def transact(self, message, held, tcp, may_fail_on=None):
        """The final answer, or None if the time is over. Over UDP the request is repeated (RFC 3261 17.1.2)."""
        waiting = _Waiting(held, message.method == "REGISTER", may_fail_on)
        name = message.transaction()
        with self.lock:
            self._waiting[name] = waiting
            if held:
                self.table.transaction_begins(held, name)
        data, wait_s, deadline = message.encode(), self._t1_s, time.monotonic() + self.timeout_s
        try:
            self.send(data, held, tcp)
            while (left_s := deadline - time.monotonic()) > 0:
                try:
                    answer = waiting.answers.get(timeout=min(left_s, wait_s))
                    if answer.status >= 200:
                        return answer
                except queue.Empty:
                    if not tcp and time.monotonic() < deadline:
                        self.send(data, held, tcp)
                    wait_s *= 2
        except OSError:  # TCP: no connection, which is no answer either
            pass
        finally:
            with self.lock:
                del self._waiting[name]
                if held:
                    self.table.transaction_ends(held, name)
        return None

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _arrived(self, arrival):
        with self.lock:
            self.table.prune()
            held = self.table.find(arrival.local[1], arrival.remote[1])
            reason = self._why_not(arrival, held)
            if reason:
                self.discards[reason] += 1
                return
            message = arrival.message
            if held and held is self.table.live and message.cseq_method() != "REGISTER":
                self.table.confirm()
            if message.is_request:
                self.served.append(arrival)
                if held and message.method != "ACK":
                    self.table.transaction_begins(held, message.transaction())
                if self.serves_at_once:
                    self.answer(arrival)
            else:
                self._waiting[message.transaction()].answers.put(message)

    def _why_not(self, arrival, held):
        """Why a message is not to be taken (7.1 ports item 4 and rule 7, 7.4.1a); None if it is."""
        message = arrival.message
        waiting = None if message.is_request else self._waiting.get(message.transaction())
        if held is None and arrival.local[1] != CLEAR_PORT:
            return "no SA of this port pair"
        if held and not arrival.tcp and arrival.local[1] != held.agreed.port_us:
            return "UDP at the protected client port"
        if not message.is_request and waiting is None:
            return "answer to nothing"
        if held is None:
            return None if waiting and waiting.is_register and waiting.held is None else "in clear"
        if waiting and waiting.is_register:
            fails_on_old = held is waiting.may_fail_on and message.status >= 400
            return None if held is waiting.held or fails_on_old else "answer on the wrong SA"
        return "before SM12" if held is self.table.new else None

    def answer(self, arrival, status=200):
        """Answers a request: over UDP on the set that brought it, over TCP on its connection."""
        message = arrival.message
        with self.lock:
            held = self.table.find(arrival.local[1], arrival.remote[1])
            if message.method == "ACK" or held is None:
                return
            made = message.answer(status, Contact=f"<sip:{sip.bracketed(held.agreed.ue)}:{held.agreed.port_us}>")
            if arrival.tcp:
                self.endpoint.send(made, arrival.local, arrival.remote, True)
            else:
                self.send(made, held, False)
            self.table.transaction_ends(held, message.transaction())
