"""What a P-CSCF sees of the home network: a registrar with its subscribers, and a user agent that is called and calls.

It keeps what REGISTER told it (Path and Contact), and reaches UEs by these alone, through the P-CSCF.
"""
import queue
import secrets
import time
from dataclasses import dataclass, field

import sip
from network import T1_S
from sip_endpoint import SipEndpoint


@dataclass
class Binding:
    """How to reach a registered UE."""

    contact: str
    path: list


@dataclass
class Inbox:
    answers: queue.Queue = field(default_factory=queue.Queue)


class HomeNetwork:
    """UDP on one address. `requests` are all REGISTERs as they came, `served` all other requests. The registrar does
    not answer while `is_silent`."""

    def __init__(self, namespace, address, registrar, timeout_s=6.0):
        self.address, self.registrar, self.timeout_s = address, registrar, timeout_s
        self.requests, self.served, self.bindings, self.is_silent = [], [], {}, False
        self._sent, self._waiting = {}, {}
        self.endpoint = SipEndpoint(namespace, self._arrived)
        self.endpoint.open(address)

    def close(self):
        self.endpoint.close()

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _arrived(self, arrival):
        message = arrival.message
        if not message.is_request:
            waiting = self._waiting.get(message.transaction())
            if waiting:
                waiting.answers.put(message)
            return
        name = (message.branch(), message.method)
        if name not in self._sent:
            self._sent[name] = self._register(message) if message.method == "REGISTER" else self._serve(arrival)
        if self._sent[name]:
            self.endpoint.send(self._sent[name], arrival.local, arrival.remote, False)

    def _register(self, request):
        self.requests.append(request)
        if self.is_silent:
            return None
        answer = self.registrar.answer(request)
        if answer.status == 200:
            impi = sip.digest(request.get("Authorization"))["username"]
            uri = request.get("Contact").partition("<")[2].partition(">")[0]
            self.bindings[impi] = Binding(uri, request.all("Path"))
        return answer

    def _serve(self, arrival):
        self.served.append(arrival)
        return None if arrival.message.method == "ACK" else arrival.message.answer(200, Contact=self._contact())

    def _contact(self):
        return f"<sip:{self.address[0]}:{self.address[1]}>"

    # --- what goes out ----------------------------------------------------------------------------------------------

    def request(self, impi, method, body=b"", pcscf=None, contact=None, route=None):
        """A request to a registered UE; its final answer, or None. `pcscf` is the (address, port) of Mw, `route` that
        of a dialog."""
        bound = self.bindings[impi]
        uri = contact or bound.contact
        headers = [("Via", sip.via("UDP", *self.address)), ("Max-Forwards", "70"),
                   ("From", f"<sip:caller@{self.registrar.domain}>;tag={secrets.token_hex(4)}"), ("To", f"<{uri}>"),
                   ("Call-ID", secrets.token_hex(12)), ("CSeq", f"1 {method}"), ("Contact", self._contact())]
        sent = sip.request(method, uri, headers + [("Route", line) for line in route or bound.path], body)
        answer = self._transact(sent, pcscf)
        if method == "INVITE" and answer and answer.status < 300:
            ack = [pair for pair in headers if pair[0] in ("From", "Call-ID", "Max-Forwards")]
            ack += [("Via", sip.via("UDP", *self.address)), ("To", answer.get("To")), ("CSeq", "1 ACK")]
            ack += [("Route", line) for line in reversed(answer.all("Record-Route"))]
            to = answer.get("Contact").partition("<")[2].partition(">")[0]
            self.endpoint.send(sip.request("ACK", to, ack), self.address, pcscf, False)
        return answer

    def _transact(self, sent, pcscf):
        """Repeated until the first answer (RFC 3261 17.1)."""
        inbox = self._waiting[sent.transaction()] = Inbox()
        wait_s, deadline, is_heard = T1_S, time.monotonic() + self.timeout_s, False
        self.endpoint.send(sent, self.address, pcscf, False)
        try:
            while (left_s := deadline - time.monotonic()) > 0:
                try:
                    answer = inbox.answers.get(timeout=min(left_s, wait_s))
                    is_heard = True
                    if answer.status >= 200:
                        return answer
                except queue.Empty:
                    if not is_heard:
                        self.endpoint.send(sent, self.address, pcscf, False)
                    wait_s *= 2
            return None
        finally:
            del self._waiting[sent.transaction()]
