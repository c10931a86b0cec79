"""libgmesp for Python: the calls of gmesp_control.h that a SIP proxy makes, as methods of Control.

Threading: one thread per Control. Fork: a child opens its own Control.
"""
import ctypes as c
import ipaddress

IDENTITY_BYTES, IDENTITIES_MAX, HEADER_LINES_MAX = 256, 32, 16
SECURITY_SERVER_BYTES, KEY_BYTES, DETAIL_BYTES, CLAUSE_BYTES = 2048, 16, 256, 64
FORWARD, REJECT, DISCARD = 1, 2, 3
ANSWER_NONE, ANSWER_RESPONSE, ANSWER_SYNCHRONISATION_FAILURE, ANSWER_NETWORK_FAILURE = 0, 1, 2, 3
BAD_ARGUMENT, TIMEOUT = 28, 104

_Address = c.c_uint8 * 16


class GmespError(Exception):
    """No verdict; `error` is an enum gmesp_error of gmesp.h."""

    def __init__(self, error, text):
        super().__init__(f"{text} ({error})")
        self.error = error


class Arrival(c.Structure):
    _fields_ = [("source", _Address), ("local", _Address), ("source_port", c.c_uint16), ("local_port", c.c_uint16),
                ("is_tcp", c.c_uint8), ("reserved", c.c_uint8 * 3)]


class RegisterRequest(c.Structure):
    _fields_ = [("size", c.c_uint32), ("answer", c.c_uint32), ("arrival", Arrival), ("via", _Address),
                ("impi", c.c_char_p), ("impu", c.c_char_p), ("registration_key", c.c_char_p),
                ("transaction", c.c_char_p), ("security_client", c.POINTER(c.c_char_p)),
                ("security_verify", c.POINTER(c.c_char_p)), ("security_client_lines", c.c_uint32),
                ("security_verify_lines", c.c_uint32)]


class Challenge(c.Structure):
    _fields_ = [("size", c.c_uint32), ("ik_bytes", c.c_uint8), ("ck_bytes", c.c_uint8), ("reserved", c.c_uint8 * 2),
                ("impi", c.c_char_p), ("registration_key", c.c_char_p), ("transaction", c.c_char_p),
                ("ik", c.c_uint8 * KEY_BYTES), ("ck", c.c_uint8 * KEY_BYTES)]


class RegisterAnswer(c.Structure):
    _fields_ = [("size", c.c_uint32), ("status", c.c_uint32), ("impi", c.c_char_p), ("registration_key", c.c_char_p),
                ("transaction", c.c_char_p), ("impus", c.POINTER(c.c_char_p)), ("impu_count", c.c_uint32),
                ("reserved", c.c_uint32), ("expires_ms", c.c_uint64)]


class Message(c.Structure):
    _fields_ = [("size", c.c_uint32), ("is_request", c.c_uint8), ("is_emergency", c.c_uint8), ("status", c.c_uint16),
                ("arrival", Arrival), ("method", c.c_char_p)]


class Destination(c.Structure):
    _fields_ = [("size", c.c_uint32), ("ue_port", c.c_uint16), ("reserved", c.c_uint16), ("impi", c.c_char_p),
                ("registration_key", c.c_char_p), ("ue_address", _Address), ("set", c.c_uint64)]


class Send(c.Structure):
    _fields_ = [("set", c.c_uint64), ("mode", c.c_uint32), ("local_port", c.c_uint16), ("remote_port", c.c_uint16),
                ("local", _Address), ("remote", _Address), ("on_same_connection", c.c_uint8),
                ("same_connection_possible", c.c_uint8), ("reserved", c.c_uint8 * 6)]


class Verdict(c.Structure):
    _fields_ = [("size", c.c_uint32), ("error", c.c_int32), ("tag", c.c_uint64), ("action", c.c_uint32),
                ("refusal", c.c_uint32), ("sip_status", c.c_uint32), ("is_integrity_protected", c.c_uint8),
                ("is_repetition", c.c_uint8), ("reserved", c.c_uint8 * 2), ("arrived_on", c.c_uint64), ("send", Send),
                ("impi", c.c_char * IDENTITY_BYTES), ("impu_count", c.c_uint32), ("reserved2", c.c_uint32),
                ("impus", (c.c_char * IDENTITY_BYTES) * IDENTITIES_MAX),
                ("security_server", c.c_char * SECURITY_SERVER_BYTES), ("clause", c.c_char * CLAUSE_BYTES),
                ("text", c.c_char * DETAIL_BYTES)]


class Options(c.Structure):
    _fields_ = [("size", c.c_uint32), ("wants_events", c.c_uint32), ("timeout_ms", c.c_int32),
                ("reserved", c.c_uint32), ("socket_path", c.c_char_p)]


def packed(address):
    """16 bytes of "192.0.2.1", "2001:db8::1" or "[2001:db8::1]"; zeros for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return _Address()
    return _Address(*(parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed))


def address_text(octets):
    """The reverse of packed(); IPv6 without brackets."""
    whole = ipaddress.IPv6Address(bytes(octets))
    return str(whole.ipv4_mapped or whole)


def arrival(source, source_port, local, local_port, is_tcp):
    return Arrival(packed(source), packed(local), source_port, local_port, is_tcp)


def _sized(kind, **fields):
    return kind(size=c.sizeof(kind), **fields)


def _text(value):
    """A text for C, where a zero would end it before its time."""
    if "\0" in value:
        raise GmespError(BAD_ARGUMENT, "a zero in a text of the message")
    return value.encode()


def _texts(lines):
    encoded = [_text(line) for line in lines]
    return (c.c_char_p * max(1, len(encoded)))(*encoded)


class Control:
    """A connection to gmesp-control. Calls give a Verdict or raise GmespError, after `timeout_ms` at the latest."""

    def __init__(self, library, socket_path, timeout_ms):
        self._library, self._timeout_ms, self._control = c.CDLL(library), c.c_int(timeout_ms), c.c_void_p()
        self._library.gmesp_strerror.restype = self._library.gmesp_control_detail.restype = c.c_char_p
        options = _sized(Options, timeout_ms=timeout_ms, socket_path=socket_path.encode())
        detail = c.create_string_buffer(DETAIL_BYTES)
        error = self._library.gmesp_control_open(c.byref(options), c.byref(self._control), detail, DETAIL_BYTES)
        if error:
            raise GmespError(error, detail.value.decode() or self._library.gmesp_strerror(error).decode())

    def close(self):
        self._library.gmesp_control_close(self._control)
        self._control = c.c_void_p()

    def _call(self, name, *arguments):
        verdict = _sized(Verdict)
        error = getattr(self._library, name)(self._control, *arguments, c.byref(verdict), self._timeout_ms)
        if error:
            detail = self._library.gmesp_control_detail(self._control) or self._library.gmesp_strerror(error)
            raise GmespError(error, detail.decode())
        return verdict

    def register(self, came, via, impi, impu, key, transaction, answer, security_client, security_verify):
        request = _sized(RegisterRequest, answer=answer, arrival=came, via=packed(via), impi=_text(impi),
                         impu=_text(impu), registration_key=_text(key), transaction=_text(transaction),
                         security_client=_texts(security_client), security_verify=_texts(security_verify),
                         security_client_lines=len(security_client), security_verify_lines=len(security_verify))
        return self._call("gmesp_register", c.byref(request))

    def challenge(self, impi, key, transaction, ik, ck):
        """Keys are bytes; empty: the 401 brought none."""
        challenge = _sized(Challenge, ik_bytes=len(ik), ck_bytes=len(ck), impi=_text(impi),
                           registration_key=_text(key), transaction=_text(transaction))
        challenge.ik[:len(ik)], challenge.ck[:len(ck)] = ik, ck
        try:
            return self._call("gmesp_challenge", c.byref(challenge))
        finally:
            c.memset(c.byref(challenge), 0, c.sizeof(challenge))

    def register_answer(self, impi, key, transaction, status, impus, expires_s):
        answer = _sized(RegisterAnswer, status=status, impi=_text(impi), registration_key=_text(key),
                        transaction=_text(transaction), impus=_texts(impus), impu_count=len(impus),
                        expires_ms=expires_s * 1000)
        return self._call("gmesp_register_answer", c.byref(answer))

    def message(self, came, method="", status=0, is_emergency=False):
        """A request with its `method`, or a response with its `status`."""
        message = _sized(Message, is_request=bool(method), is_emergency=is_emergency, status=status, arrival=came,
                         method=_text(method))
        return self._call("gmesp_message", c.byref(message))

    def route(self, ue_address, ue_port):
        destination = _sized(Destination, ue_port=ue_port, ue_address=packed(ue_address))
        return self._call("gmesp_route", c.byref(destination))

    def deregistered(self, impi, key=""):
        return self._call("gmesp_deregistered", _text(impi), _text(key))

    def transaction_begin(self, number):
        return self._call("gmesp_transaction_begin", c.c_uint64(number))

    def transaction_end(self, number):
        return self._call("gmesp_transaction_end", c.c_uint64(number))
