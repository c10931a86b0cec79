"""Kamailio asks gmesp-control: one method per SIP event, called from the configuration with python_exec().

A method gives the message's fate as its return code (see below); what else gmesp-control says is done here: headers
changed, and the sockets chosen that the answer, or the request, leaves from. $var(gmesp_status) and $var(gmesp_text)
are set with REJECT. What one transaction has to remember is in $avp(gmesp_...), and in $sht(gmesp=>...) for the
onsend_route. Nothing about users is kept, so Kamailio may be restarted at any time. README.md says when to call what.
"""
import re
import time
from collections import deque

import KSR
import libgmesp
from libgmesp import GmespError

# Return codes of python_exec(). It gives NO_VERDICT for an exception too; 0 would end the script.
FORWARD, NO_VERDICT, REJECT, DISCARD = 1, -1, -2, -3
_FATE = {libgmesp.FORWARD: FORWARD, libgmesp.REJECT: REJECT, libgmesp.DISCARD: DISCARD}

_BROKEN = (103, 105, 106, 108)  # GMESP_E_DISCONNECTED, HUNG, FORKED, PROTOCOL: a new connection may do
_PAUSE_S = 1.0  # after a time-out a worker answers at once for so long, instead of waiting each time
_REPORT_END_AFTER_S, _ENDED_MAX = 2.0, 100000
_KEYS = ("ik", "ck")
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]+)')
_URI = re.compile(r"<([^>]*)>")
_CONTACT = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<])+')
_NAME_ADDRESS = re.compile(r'\s*(?:"(?:[^"\\]|\\.)*"|[^"<;]*)<([^>]*)>')


def mod_init():
    """What app_python3 looks for."""
    return Gmesp()


def _get(name):
    return str(KSR.pv.gete(name))


def _number(name):
    text = _get(name)
    return int(text) if text.isdigit() else 0


def _lines(name):
    """Values of all header lines of a name."""
    found = []
    while (line := KSR.hdr.get_idx(name, len(found))) is not None:
        found.append(line)
    return found


def _digest(line):
    """Parameters of a Digest header as (name, value as written)."""
    scheme, _, rest = line.strip().partition(" ")
    return _PARAMETER.findall(rest) if scheme.lower() == "digest" else []


def _value(parameters, name):
    return next((value.strip('"') for key, value in parameters if key.lower() == name), "")


def _write_digest(parameters):
    return "Digest " + ", ".join(f"{name}={value}" for name, value in parameters)


def _contacts():
    """(URI, parameters) of every Contact value of the message."""
    for line in _lines("Contact"):
        for value in _CONTACT.findall(line):
            if found := _NAME_ADDRESS.match(value):
                yield found[1], value[found.end():]
            else:
                uri, _, parameters = value.strip().partition(";")
                yield uri, parameters


def _host_port(uri):
    """"host:port" of a SIP URI, as it is written."""
    return uri.partition(":")[2].rpartition("@")[2].partition(";")[0].partition("?")[0].lower()


def _end(address, port):
    text = libgmesp.address_text(address)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def _remember(**values):
    for name, value in values.items():
        KSR.pv.sets(f"$avp(gmesp_{name})", str(value))


def _remembered(name):
    return _get(f"$avp(gmesp_{name})")


def _transaction():
    return f"{_get('$ci')} {_get('$cs')}"


class Gmesp:
    def __init__(self):
        self._control, self._paused_until = None, 0.0
        self._ended = deque(maxlen=_ENDED_MAX)  # of the timer process: (when, set)

    def child_init(self, _rank):
        return 0

    # --- REGISTER ---------------------------------------------------------------------------------------------------

    def register(self, _msg):
        """SM1, SM7, and what else a UE sends as REGISTER."""
        digest = _digest(next(iter(_lines("Authorization")), ""))
        contact, parameters = next(_contacts(), ("", ""))
        key = _parameter(parameters, "+sip.instance")
        verdict = self._ask("register", self._arrival(), _get("$sel(via[1].host)"), _value(digest, "username"),
                            _get("$tu"), key, _transaction(), _answer_kind(digest), _lines("Security-Client"),
                            _lines("Security-Verify"))
        if verdict is None:
            return NO_VERDICT
        _remember(impi=verdict.impi.decode(), key=key, contact=_host_port(contact), transaction=_transaction(),
                  expires=_parameter(parameters, "expires") or _get("$hdr(Expires)"))
        if verdict.action == libgmesp.FORWARD:
            _mark_integrity(digest, bool(verdict.is_integrity_protected))
            _take_out_agreement()
        return self._answer_as(verdict)

    def challenge(self, _msg):
        """SM4 becomes SM6. Whatever the return code, the keys are out of the message by then."""
        lines = _lines("WWW-Authenticate")
        KSR.hdr.remove("WWW-Authenticate")
        keys = next((line for line in map(_digest, lines) if _value(line, "ik")), [])
        try:
            ik, ck = (bytes.fromhex(_value(keys, name)) for name in _KEYS)
        except ValueError:
            ik = ck = b""
        if len(ik) != libgmesp.KEY_BYTES or len(ck) not in (0, libgmesp.KEY_BYTES):
            ik = ck = b""  # gmesp-control refuses, and says why
        verdict = self._ask("challenge", _remembered("impi"), _remembered("key"), _remembered("transaction"), ik, ck)
        if verdict is None:
            return NO_VERDICT
        if verdict.action == libgmesp.FORWARD:
            for line in filter(None, map(_digest, lines)):
                kept = [pair for pair in line if pair[0].lower() not in _KEYS]
                KSR.hdr.append(f"WWW-Authenticate: {_write_digest(kept)}\r\n")
            KSR.hdr.append(f"Security-Server: {verdict.security_server.decode()}\r\n")
        return self._answer_late(verdict)

    def register_answer(self, _msg, status=""):
        """A final answer to REGISTER, or `status` if the registrar gave none."""
        code = int(status) if status else _number("$rs")
        expires_s, impus = self._granted() if code < 300 else (0, [])
        impus = impus if expires_s else []
        verdict = self._ask("register_answer", _remembered("impi"), _remembered("key"), _remembered("transaction"),
                            code, impus, expires_s)
        return NO_VERDICT if verdict is None else self._answer_late(verdict)

    @staticmethod
    def _granted():
        """(seconds, IMPUs) that a 200 grants the UE of this transaction. None, if it asked to be de-registered: what
        the answer lists then are other UEs of the user."""
        if _remembered("expires") == "0":
            return 0, []
        contacts = list(_contacts())
        own = [pair for pair in contacts if _host_port(pair[0]) == _remembered("contact")] or contacts
        granted = [_parameter(parameters, "expires") or _get("$hdr(Expires)") for _, parameters in own]
        impus = [uri for line in _lines("P-Associated-URI") for uri in _URI.findall(line)] or [_get("$tu")]
        return max((int(text) for text in granted if text.isdigit()), default=0), impus[:libgmesp.IDENTITIES_MAX]

    def deregistered(self, _msg, impi):
        """The network has ended the registration (NOTIFY of the reg event package)."""
        verdict = self._ask("deregistered", impi)
        return NO_VERDICT if verdict is None else _fate(verdict)

    # --- everything else --------------------------------------------------------------------------------------------

    def request_from_ue(self, _msg):
        """$var(gmesp_impi) and $var(gmesp_impu): who sent it, by the SA it came on."""
        is_emergency = _get("$ru").lower().startswith("urn:service:sos")
        verdict = self._ask("message", self._arrival(), _get("$rm"), 0, is_emergency)
        if verdict is None:
            return NO_VERDICT
        KSR.pv.sets("$var(gmesp_impi)", verdict.impi.decode())
        KSR.pv.sets("$var(gmesp_impu)", _preferred(verdict))
        _remember(set=verdict.arrived_on)
        return self._answer_as(verdict)

    def reply_from_ue(self, _msg):
        verdict = self._ask("message", self._arrival(), "", _number("$rs"))
        return NO_VERDICT if verdict is None else _fate(verdict)

    def request_to_ue(self, _msg):
        """By the UE's Contact in the request URI, or in $du where a Route names it. Sets $du and $fs."""
        uri = _get("$ru")
        address, port = _get("$rd"), _number("$rp")
        verdict = self._ask("route", address, port)
        if verdict is None:
            return NO_VERDICT
        if verdict.action != libgmesp.FORWARD:
            return _fate(verdict)
        send = verdict.send
        protocol = "tcp" if _parameter(uri.partition(";")[2], "transport").lower() == "tcp" else "udp"
        socket = f"{protocol}:{_end(send.local, send.local_port)}"
        KSR.pv.sets("$du", f"sip:{_end(send.remote, send.remote_port)};transport={protocol}")
        KSR.pv.sets("$fs", socket)
        _remember(set=send.set)
        if not _get("$fs"):
            return _no_socket(socket)
        return FORWARD

    # --- hints ------------------------------------------------------------------------------------------------------

    def transaction_begins(self, _msg):
        if _remembered("set") not in ("", "0"):
            self._ask("transaction_begin", int(_remembered("set")))
        return FORWARD

    def transaction_ended(self, _msg, number):
        """In the timer process, as the next one. The last answer is to leave, and to be repeated, while the set is
        there: so its end is reported some time later."""
        self._ended.append((time.monotonic() + _REPORT_END_AFTER_S, int(number)))
        return FORWARD

    def report_ended(self, _msg):
        """Once a second. What gmesp-control does not take now stays for the next time."""
        while self._ended and self._ended[0][0] <= time.monotonic():
            if self._ask("transaction_end", self._ended[0][1]) is None:
                return NO_VERDICT
            self._ended.popleft()
        return FORWARD

    # --- gmesp-control ----------------------------------------------------------------------------------------------

    def _ask(self, call, *arguments):
        """The verdict; None, and a line in the log, if there is none. A gmesp-control that was started again since the
        last call is found at once: what is reported twice counts once."""
        try:
            if time.monotonic() < self._paused_until:
                raise GmespError(libgmesp.TIMEOUT, "gmesp-control did not answer a moment ago")
            try:
                return getattr(self._connection(), call)(*arguments)
            except GmespError as why:
                if why.error not in _BROKEN:
                    raise
                self._drop_connection()
                return getattr(self._connection(), call)(*arguments)
        except GmespError as why:
            if why.error in _BROKEN:
                self._drop_connection()
            elif why.error == libgmesp.TIMEOUT and time.monotonic() >= self._paused_until:
                self._paused_until = time.monotonic() + _PAUSE_S
            KSR.err(f"gmesp {call}: {why}\n")
            return None

    def _connection(self):
        """Made by the worker that uses it, after Kamailio has forked."""
        if self._control is None:
            self._control = libgmesp.Control(_get("$var(gmesp_library)"), _get("$var(gmesp_socket)"),
                                             _number("$var(gmesp_timeout_ms)"))
        return self._control

    def _drop_connection(self):
        if self._control is not None:
            self._control.close()
        self._control = None

    @staticmethod
    def _arrival():
        """$Rp is no use: for a connection that Kamailio made it is the first port of the address."""
        return libgmesp.arrival(_get("$si"), _number("$sp"), _get("$Ri"), _number("$sel(dst.port)"),
                                _get("$proto") == "tcp")

    # --- where answers go -------------------------------------------------------------------------------------------

    @staticmethod
    def _answer_as(verdict):
        """Before a transaction is made. TCP: on the connection of the request. UDP: Kamailio answers from the socket
        that a request came to, to where it came from, so it is told that these are the verdict's (7.1)."""
        send = verdict.send
        KSR.set_reply_no_connect()  # a new connection would leave from any port, in clear
        if _get("$proto") == "udp" and send.remote_port:
            socket = f"udp:{_end(send.local, send.local_port)}"
            if KSR.corex.set_recv_socket(socket) < 0:
                return _no_socket(socket)
            KSR.corex.set_source_address(f"udp:{_end(send.remote, send.remote_port)}")
            if _number("$sel(via[1].port)") != send.remote_port:
                KSR.force_rport()
            _remember(answer_from=socket)
        return _fate(verdict)

    @staticmethod
    def _answer_late(verdict):
        """Where the registrar's answer changes that, onsend_route sends it there instead (7.3.1.1)."""
        socket = f"udp:{_end(verdict.send.local, verdict.send.local_port)}"
        if verdict.send.remote_port and _remembered("answer_from") not in ("", socket):
            remote = _end(verdict.send.remote, verdict.send.remote_port)
            KSR.pv.sets("$sht(gmesp=>$T(id_index):$T(id_label)::from)", socket)
            KSR.pv.sets("$sht(gmesp=>$T(id_index):$T(id_label)::to)", f"sip:{remote};transport=udp")
        return _fate(verdict)


def _fate(verdict):
    if verdict.action == libgmesp.REJECT:
        KSR.pv.seti("$var(gmesp_status)", verdict.sip_status)
        KSR.pv.sets("$var(gmesp_text)", verdict.text.decode() or "Refused")
    return _FATE[verdict.action]


def _no_socket(socket):
    KSR.err(f"gmesp: Kamailio does not listen on {socket}, which is a port of gmesp-control's [ports]\n")
    return NO_VERDICT


def _parameter(text, name):
    found = re.search(rf'(?:^|;)\s*{re.escape(name)}\s*=\s*("[^"]*"|[^\s;,>]*)', text, re.I)
    return found[1].strip('"') if found else ""


def _answer_kind(digest):
    """What Authorization brings (6.1.2, 6.1.3)."""
    if _value(digest, "auts"):
        return libgmesp.ANSWER_SYNCHRONISATION_FAILURE
    if _value(digest, "response"):
        return libgmesp.ANSWER_RESPONSE
    return libgmesp.ANSWER_NETWORK_FAILURE if _value(digest, "nonce") else libgmesp.ANSWER_NONE


def _mark_integrity(digest, is_protected):
    """6.1.5: the indicator is this P-CSCF's word, never the UE's."""
    KSR.hdr.remove("Authorization")
    if digest:
        kept = [pair for pair in digest if pair[0].lower() != "integrity-protected"]
        own = ("integrity-protected", '"yes"' if is_protected else '"no"')
        KSR.hdr.append(f"Authorization: {_write_digest([*kept, own])}\r\n")


def _take_out_agreement():
    """The agreement is between UE and P-CSCF (RFC 3329 2.3.1)."""
    for name in ("Security-Client", "Security-Verify"):
        KSR.hdr.remove(name)
    for name in ("Require", "Proxy-Require"):
        options = [option.strip() for line in _lines(name) for option in line.split(",")]
        KSR.hdr.remove(name)
        kept = [option for option in options if option.lower() != "sec-agree"]
        if kept:
            KSR.hdr.append(f"{name}: {', '.join(kept)}\r\n")


def _preferred(verdict):
    """The registered IMPU that the UE asks for, or else its first one (TS 24.229 5.2.6.3)."""
    impus = [verdict.impus[at].value.decode() for at in range(verdict.impu_count)]
    asked = [uri for line in _lines("P-Preferred-Identity") for uri in _URI.findall(line)]
    return next((uri for uri in asked if uri in impus), next(iter(impus), ""))
