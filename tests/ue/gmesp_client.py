"""libgmesp for Python: the calls of gmesp_control.h that a SIP proxy makes, as methods of Control.

Verdicts come back as dicts; an error of the library raises GmespError. Threading: one thread per Control.
"""
import ctypes as c
import ipaddress

IDENTITY, IDENTITIES, LINES = 256, 32, 16
ACTIONS = {1: "forward", 2: "reject", 3: "discard"}
ANSWERS = {"none": 0, "response": 1, "auts": 2, "network_failure": 3}
MODES = {0: "clear", 1: "transport", 2: "udp-enc-tun"}


class GmespError(Exception):
    def __init__(self, error, text):
        super().__init__(f"{text} ({error})")
        self.error = error


class Arrival(c.Structure):
    _fields_ = [("source", c.c_uint8 * 16), ("local", c.c_uint8 * 16), ("source_port", c.c_uint16),
                ("local_port", c.c_uint16), ("is_tcp", c.c_uint8), ("reserved", c.c_uint8 * 3)]


class RegisterRequest(c.Structure):
    _fields_ = [("size", c.c_uint32), ("answer", c.c_uint32), ("arrival", Arrival), ("via", c.c_uint8 * 16),
                ("impi", c.c_char_p), ("impu", c.c_char_p), ("registration_key", c.c_char_p),
                ("transaction", c.c_char_p), ("security_client", c.POINTER(c.c_char_p)),
                ("security_verify", c.POINTER(c.c_char_p)), ("security_client_lines", c.c_uint32),
                ("security_verify_lines", c.c_uint32)]


class Challenge(c.Structure):
    _fields_ = [("size", c.c_uint32), ("ik_bytes", c.c_uint8), ("ck_bytes", c.c_uint8),
                ("reserved", c.c_uint8 * 2), ("impi", c.c_char_p), ("registration_key", c.c_char_p),
                ("transaction", c.c_char_p), ("ik", c.c_uint8 * 16), ("ck", c.c_uint8 * 16)]


class RegisterAnswer(c.Structure):
    _fields_ = [("size", c.c_uint32), ("status", c.c_uint32), ("impi", c.c_char_p),
                ("registration_key", c.c_char_p), ("transaction", c.c_char_p),
                ("impus", c.POINTER(c.c_char_p)), ("impu_count", c.c_uint32), ("reserved", c.c_uint32),
                ("expires_ms", c.c_uint64)]


class Message(c.Structure):
    _fields_ = [("size", c.c_uint32), ("is_request", c.c_uint8), ("is_emergency", c.c_uint8),
                ("status", c.c_uint16), ("arrival", Arrival), ("method", c.c_char_p)]


class Destination(c.Structure):
    _fields_ = [("size", c.c_uint32), ("ue_port", c.c_uint16), ("reserved", c.c_uint16), ("impi", c.c_char_p),
                ("registration_key", c.c_char_p), ("ue_address", c.c_uint8 * 16), ("set", c.c_uint64)]


class Send(c.Structure):
    _fields_ = [("set", c.c_uint64), ("mode", c.c_uint32), ("local_port", c.c_uint16),
                ("remote_port", c.c_uint16), ("local", c.c_uint8 * 16), ("remote", c.c_uint8 * 16),
                ("on_same_connection", c.c_uint8), ("same_connection_possible", c.c_uint8),
                ("reserved", c.c_uint8 * 6)]


class Verdict(c.Structure):
    _fields_ = [("size", c.c_uint32), ("error", c.c_int32), ("tag", c.c_uint64), ("action", c.c_uint32),
                ("refusal", c.c_uint32), ("sip_status", c.c_uint32), ("is_integrity_protected", c.c_uint8),
                ("is_repetition", c.c_uint8), ("reserved", c.c_uint8 * 2), ("arrived_on", c.c_uint64),
                ("send", Send), ("impi", c.c_char * IDENTITY), ("impu_count", c.c_uint32),
                ("reserved2", c.c_uint32), ("impus", (c.c_char * IDENTITY) * IDENTITIES),
                ("security_server", c.c_char * 2048), ("clause", c.c_char * 64), ("text", c.c_char * 256)]


class Options(c.Structure):
    _fields_ = [("size", c.c_uint32), ("wants_events", c.c_uint32), ("timeout_ms", c.c_int32),
                ("reserved", c.c_uint32), ("socket_path", c.c_char_p)]


def _packed(address):
    parsed = ipaddress.ip_address(address)
    packed = parsed.packed if parsed.version == 6 else b"\0" * 10 + b"\xff\xff" + parsed.packed
    return (c.c_uint8 * 16)(*packed)


def _address(packed):
    whole = ipaddress.IPv6Address(bytes(packed))
    return str(whole.ipv4_mapped or whole)


def _texts(lines):
    return (c.c_char_p * max(1, len(lines)))(*[line.encode() for line in lines]), len(lines)


def _sized(kind, **fields):
    made = kind(**fields)
    made.size = c.sizeof(kind)
    return made


class Control:
    """A connection to gmesp-control."""

    def __init__(self, library, socket_path, timeout_ms=2000):
        self._library = c.CDLL(library)
        self._library.gmesp_strerror.restype = c.c_char_p
        self._library.gmesp_control_detail.restype = c.c_char_p
        self._timeout_ms = timeout_ms
        self._control = c.c_void_p()
        detail = c.create_string_buffer(256)
        options = _sized(Options, socket_path=socket_path.encode())
        error = self._library.gmesp_control_open(c.byref(options), c.byref(self._control), detail, 256)
        if error:
            raise GmespError(error, detail.value.decode() or self._library.gmesp_strerror(error).decode())

    def close(self):
        self._library.gmesp_control_close(self._control)
        self._control = c.c_void_p()

    def _call(self, name, *arguments):
        verdict = _sized(Verdict)
        error = getattr(self._library, name)(self._control, *arguments, c.byref(verdict),
                                             c.c_int(self._timeout_ms))
        if error:
            detail = self._library.gmesp_control_detail(self._control).decode()
            raise GmespError(error, detail or self._library.gmesp_strerror(error).decode())
        send = verdict.send
        return {
            "action": ACTIONS[verdict.action], "refusal": verdict.refusal, "status": verdict.sip_status,
            "reason": verdict.text.decode(), "clause": verdict.clause.decode(),
            "indicator": bool(verdict.is_integrity_protected), "repetition": bool(verdict.is_repetition),
            "arrived_on": verdict.arrived_on, "impi": verdict.impi.decode(),
            "impus": [verdict.impus[i].value.decode() for i in range(verdict.impu_count)],
            "security_server": verdict.security_server.decode(),
            "send": {"set": send.set, "mode": MODES[send.mode if send.set else 0],
                     "local": _address(send.local), "local_port": send.local_port,
                     "remote": _address(send.remote), "remote_port": send.remote_port,
                     "same_connection": bool(send.on_same_connection),
                     "same_connection_possible": bool(send.same_connection_possible)},
        }

    @staticmethod
    def _arrival(source, source_port, local, local_port, tcp):
        return Arrival(source=_packed(source), local=_packed(local), source_port=source_port,
                       local_port=local_port, is_tcp=int(tcp))

    def register_request(self, impi, impu, transaction, source, source_port, local, local_port, tcp=False,
                         via_host=None, security_client_lines=(), security_verify_lines=(), auth="none",
                         registration_key=""):
        client, client_lines = _texts(security_client_lines)
        verify, verify_lines = _texts(security_verify_lines)
        request = _sized(RegisterRequest, answer=ANSWERS[auth],
                         arrival=self._arrival(source, source_port, local, local_port, tcp),
                         via=_packed(via_host) if via_host else (c.c_uint8 * 16)(), impi=impi.encode(),
                         impu=impu.encode(), registration_key=registration_key.encode(),
                         transaction=transaction.encode(), security_client=client,
                         security_verify=verify, security_client_lines=client_lines,
                         security_verify_lines=verify_lines)
        return self._call("gmesp_register", c.byref(request))

    def challenge(self, impi, transaction, ik, ck, registration_key=""):
        challenge = _sized(Challenge, ik_bytes=len(ik), ck_bytes=len(ck), impi=impi.encode(),
                           registration_key=registration_key.encode(), transaction=transaction.encode(),
                           ik=(c.c_uint8 * 16)(*ik), ck=(c.c_uint8 * 16)(*ck))
        return self._call("gmesp_challenge", c.byref(challenge))

    def _answer(self, impi, transaction, status, impus, expires_s, registration_key):
        texts, count = _texts(impus)
        answer = _sized(RegisterAnswer, status=status, impi=impi.encode(),
                        registration_key=registration_key.encode(), transaction=transaction.encode(),
                        impus=texts, impu_count=count, expires_ms=int(expires_s * 1000))
        return self._call("gmesp_register_answer", c.byref(answer))

    def registered(self, impi, transaction, impus, expires_s, registration_key=""):
        return self._answer(impi, transaction, 200, impus, expires_s, registration_key)

    def failed(self, impi, transaction, status, registration_key=""):
        return self._answer(impi, transaction, status, [], 0, registration_key)

    def message(self, source, source_port, local, local_port, is_request=True, method="", status=0,
                emergency=False, tcp=False):
        message = _sized(Message, is_request=int(is_request), is_emergency=int(emergency), status=status,
                         arrival=self._arrival(source, source_port, local, local_port, tcp),
                         method=method.encode())
        return self._call("gmesp_message", c.byref(message))

    def route(self, impi="", ue=None, set_number=0, registration_key=""):
        address, port = ue or ("0.0.0.0", 0)
        destination = _sized(Destination, ue_port=port, impi=impi.encode(),
                             registration_key=registration_key.encode(), ue_address=_packed(address),
                             set=set_number)
        return self._call("gmesp_route", c.byref(destination))

    def deregistered(self, impi, registration_key=""):
        return self._call("gmesp_deregistered", impi.encode(), registration_key.encode())

    def transaction_begin(self, set_number):
        return self._call("gmesp_transaction_begin", c.c_uint64(set_number))

    def transaction_end(self, set_number):
        return self._call("gmesp_transaction_end", c.c_uint64(set_number))
