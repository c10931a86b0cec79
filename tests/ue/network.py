"""The network behind the UE: a P-CSCF's SIP side, with a registrar (S-CSCF) and home subscribers (HSS) in one process.

It knows nothing of IPsec. `gmesp` answers all of that: an object with the calls of gmesp_client.Control. The parts keep
to their roles: the registrar puts ik and ck into its 401, the proxy takes them out (7.2).
"""
import base64
import binascii
import queue
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import sip
from aka import digest_response
from gmesp_client import GmespError
from sip_endpoint import SipEndpoint

CLEAR_PORT = 5060
T1_S = 0.5


@dataclass
class Subscriber:
    home: object  # aka.HomeSubscriber
    impus: list
    challenge: object = None  # the vector that waits for its response
    is_registered: bool = False
    statuses: list = field(default_factory=list)  # what the registrar answered
    indicators: list = field(default_factory=list)  # integrity-protected of the requests, as the registrar saw it


class Registrar:
    """The S-CSCF's decisions about a REGISTER, as messages."""

    def __init__(self, domain, subscribers, expires_s_max=3600, challenges_always=True):
        self.domain, self.subscribers = domain, subscribers
        self.expires_s_max, self.challenges_always = expires_s_max, challenges_always

    def answer(self, request):
        """The final answer; 401 carries ik and ck. integrity-protected is the P-CSCF's word (6.1.5)."""
        digest = sip.digest(request.get("Authorization"))
        subscriber = self.subscribers.get(digest.get("username"))
        if subscriber is None:
            return request.answer(403)
        is_protected = digest.get("integrity-protected") == "yes"
        made = self._answer(request, digest, subscriber, is_protected)
        subscriber.indicators.append(digest.get("integrity-protected"))
        subscriber.statuses.append(made.status)
        return made

    def _answer(self, request, digest, subscriber, is_protected):
        kind = kind_of(digest)
        vector, nonce = subscriber.challenge, digest.get("nonce")
        is_answer = vector is not None and nonce == vector.nonce()
        if kind in ("response", "auts", "network_failure"):
            subscriber.challenge = None  # a vector is for one attempt (6.1.1)
        if kind == "response":
            expected = digest_response(digest, "REGISTER", vector.xres) if is_answer else None
            is_right = is_answer and is_protected and secrets.compare_digest(digest["response"], expected)
            return self._granted(request, subscriber) if is_right else request.answer(403)
        if kind == "network_failure":
            return request.answer(403)
        if kind == "auts" and not (is_answer and self._resynchronised(subscriber, vector, digest["auts"])):
            return request.answer(403)
        if kind == "none" and is_protected and subscriber.is_registered and not self.challenges_always:
            return self._granted(request, subscriber)
        return self._challenge(request, subscriber)

    @staticmethod
    def _resynchronised(subscriber, vector, auts):
        try:
            return subscriber.home.resynchronise(vector.rand, base64.b64decode(auts, validate=True))
        except binascii.Error:
            return False

    def _challenge(self, request, subscriber):
        vector = subscriber.challenge = subscriber.home.next_vector()
        return request.answer(401, WWW_Authenticate=sip.digest_header(
            {"realm": self.domain, "nonce": vector.nonce(), "algorithm": "AKAv1-MD5", "qop": "auth",
             "ik": vector.ik.hex(), "ck": vector.ck.hex()}))

    def _granted(self, request, subscriber):
        expires_s = min(int(request.get("Expires", "0")), self.expires_s_max)
        subscriber.is_registered = expires_s > 0
        return request.answer(200, Expires=str(expires_s), Contact=f"{request.get('Contact')};expires={expires_s}",
                              P_Associated_URI=", ".join(f"<{impu}>" for impu in subscriber.impus))


def kind_of(digest):
    """What an Authorization header brings (R-6.1.5-04: only `response` is one)."""
    if "auts" in digest:
        return "auts"
    if digest.get("response"):
        return "response"
    return "network_failure" if digest.get("nonce") else "none"


class Network:
    """The P-CSCF. `verdicts` keeps what gmesp said about each REGISTER, `served` the requests taken
    with their verdicts; `discards` counts what was dropped. `tamper(step, message)` may change "SM6" and "SM12"."""

    def __init__(self, namespace, address, gmesp, registrar, port_ps, timeout_s=4.0):
        self.address, self.gmesp, self.registrar, self.port_ps = address, gmesp, registrar, port_ps
        self.timeout_s, self.tamper = timeout_s, None
        self.verdicts, self.served, self.discards = [], [], Counter()
        self._gmesp_lock, self._waiting, self._sent = threading.Lock(), {}, {}
        self.endpoint = SipEndpoint(namespace, self._arrived)
        for port in (CLEAR_PORT, port_ps):
            self.endpoint.open((address, port))

    def close(self):
        self.endpoint.close()

    def _ask(self, call, *arguments, **named):
        """Calls of one gmesp connection are made one after the other."""
        with self._gmesp_lock:
            return getattr(self.gmesp, call)(*arguments, **named)

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _arrived(self, arrival):
        try:
            self._take(arrival)
        except GmespError as why:  # no verdict: 503 in clear, silence on a protected port
            self.discards[f"no verdict: {why}"] += 1
            if arrival.message.is_request and arrival.local[1] == CLEAR_PORT:
                self._reply(arrival, arrival.message.answer(503), None)

    def _take(self, arrival):
        message = arrival.message
        if message.is_request and message.method == "REGISTER":
            self._register(arrival)
            return
        (source, source_port), (local, local_port) = arrival.remote, arrival.local
        verdict = self._ask("message", source, source_port, local, local_port, is_request=message.is_request,
                            method=message.method if message.is_request else "", status=message.status,
                            tcp=arrival.tcp)
        if verdict["action"] == "discard":
            self.discards[message.method] += 1
        elif verdict["action"] == "reject":
            self._reply(arrival, message.answer(verdict["status"] or 403), None)
        elif message.is_request:
            self.served.append((arrival, verdict))
            if message.method != "ACK":
                self._serve(arrival, verdict)
        elif message.transaction() in self._waiting:
            self._waiting[message.transaction()].put(message)

    def _serve(self, arrival, verdict):
        """A request for somebody in the network: 200, on the set that brought it."""
        begun_on = verdict["arrived_on"]
        self._ask("transaction_begin", begun_on)
        send = self._ask("route", verdict["impi"], set_number=begun_on)["send"]
        self._reply(arrival, arrival.message.answer(200, Contact=self._contact()), send)
        self._ask("transaction_end", begun_on)

    def _contact(self):
        return f"<sip:{sip.bracketed(self.address)}:{self.port_ps}>"

    # --- REGISTER ---------------------------------------------------------------------------------------------------

    def _register(self, arrival):
        request, (source, source_port), (local, local_port) = arrival.message, arrival.remote, arrival.local
        repeated = self._sent.get((request.branch(), source))
        if repeated:
            self._reply(arrival, *repeated)
            return
        digest = sip.digest(request.get("Authorization"))
        impi, via_host = digest.get("username", ""), sip.via_host(request.get("Via"))[0]
        verdict = self._ask(
            "register_request", impi, request.get("To").strip().partition("<")[2].partition(">")[0],
            request.transaction(), source, source_port, local, local_port, tcp=arrival.tcp, via_host=via_host,
            security_client_lines=request.all("Security-Client"),
            security_verify_lines=request.all("Security-Verify"), auth=kind_of(digest))
        self.verdicts.append(verdict)
        if verdict["action"] == "discard":
            self.discards["REGISTER"] += 1
            return
        if via_host != source:  # RFC 3261 18.2.1
            request.replace_first("Via", f"{request.get('Via')};received={source}")
        if verdict["action"] == "reject":
            self._reply(arrival, request.answer(verdict["status"]), verdict.get("send"))
            return
        if digest:
            own = "yes" if verdict["indicator"] else "no"
            request.replace("Authorization", sip.digest_header(digest | {"integrity-protected": own}))
        answer = self.registrar.answer(request)
        self._answer_register(arrival, impi or verdict["impi"], answer)

    def _answer_register(self, arrival, impi, answer):
        """Tells gmesp how the registrar decided, and sends the answer as it says."""
        transaction, request = arrival.message.transaction(), arrival.message
        if answer.status == 401:
            answer, verdict = self._challenge(request, impi, transaction, answer)
        elif answer.status == 200:
            expires_s = int(answer.get("Expires"))
            impus = self.registrar.subscribers[impi].impus if expires_s else []
            verdict = self._ask("registered", impi, transaction, impus, expires_s)
            if self.tamper:
                self.tamper("SM12", answer)
        else:
            verdict = self._ask("failed", impi, transaction, answer.status)
        if verdict["action"] == "discard":
            return
        self._sent[(request.branch(), arrival.remote[0])] = answer, verdict["send"]
        self._reply(arrival, answer, verdict["send"])

    def _challenge(self, request, impi, transaction, answer):
        """(what goes to the UE, verdict): SM6 without ik and ck, or what gmesp has instead."""
        digest = sip.digest(answer.get("WWW-Authenticate"))
        ik, ck = (bytes.fromhex(digest.pop(name)) for name in ("ik", "ck"))
        verdict = self._ask("challenge", impi, transaction, ik, ck)
        if verdict["action"] == "reject":
            return request.answer(verdict["status"]), verdict
        answer.replace("WWW-Authenticate", sip.digest_header(digest))
        answer.replace("Security-Server", verdict["security_server"])
        if self.tamper:
            self.tamper("SM6", answer)
        return answer, verdict

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _reply(self, arrival, answer, send):
        """TCP: the connection of the request. UDP: where gmesp says, or in clear to where the request came from."""
        if arrival.tcp:
            self.endpoint.send(answer, arrival.local, arrival.remote, True)
        elif send and send["remote_port"]:
            self._send(answer, send, False)
        elif arrival.local[1] == CLEAR_PORT:
            self.endpoint.send(answer, arrival.local, arrival.remote, False)

    def _send(self, message, send, tcp):
        local, remote = (send["local"], send["local_port"]), (send["remote"], send["remote_port"])
        if not tcp:
            self.endpoint.open(local, listens=False)
        self.endpoint.send(message, local, remote, tcp)

    def request(self, impi, method, body=b"", tcp=False):
        """Sends a request to a registered UE as gmesp routes it; the final answer, or None."""
        send = self._ask("route", impi)["send"]
        self._ask("transaction_begin", send["set"])
        uri = f"sip:{sip.bracketed(send['remote'])}:{send['remote_port']}"
        headers = [("Via", sip.via("TCP" if tcp else "UDP", self.address, self.port_ps)), ("Max-Forwards", "70"),
                   ("From", f"<sip:caller@{self.registrar.domain}>;tag={secrets.token_hex(4)}"), ("To", f"<{uri}>"),
                   ("Call-ID", secrets.token_hex(12)), ("CSeq", f"1 {method}"), ("Contact", self._contact())]
        message = sip.request(method, uri, headers, body)
        answers = self._waiting[message.transaction()] = queue.Queue()
        try:
            answer = self._await(message, send, tcp, answers)
            if method == "INVITE" and answer and answer.status < 300:
                ack = [pair for pair in headers if pair[0] in ("Via", "From", "Call-ID", "Max-Forwards")]
                self._send(sip.request("ACK", uri, [*ack, ("To", answer.get("To")), ("CSeq", "1 ACK")]), send, tcp)
            return answer
        finally:
            del self._waiting[message.transaction()]
            self._ask("transaction_end", send["set"])

    def _await(self, message, send, tcp, answers):
        wait_s, deadline = T1_S, time.monotonic() + self.timeout_s
        self._send(message, send, tcp)
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                answer = answers.get(timeout=min(left_s, wait_s))
                if answer.status >= 200:
                    return answer
            except queue.Empty:
                if not tcp:
                    self._send(message, send, False)
                wait_s *= 2
        return None

    def deregister(self, impi):
        """The network ends the registration."""
        self.registrar.subscribers[impi].is_registered = False
        self._ask("deregistered", impi)
