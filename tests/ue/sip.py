"""SIP messages (RFC 3261), as far as registration and simple requests need them."""
import re
import secrets

MAGIC_COOKIE = "z9hG4bK"
_CRLF = "\r\n"
_HEADERS_BYTES_MAX = 65536
REASONS = {100: "Trying", 180: "Ringing", 200: "OK", 401: "Unauthorized", 403: "Forbidden", 421: "Extension Required",
           481: "Call/Transaction Does Not Exist", 494: "Security Agreement Required", 500: "Server Internal Error",
           503: "Service Unavailable"}


class SipError(Exception):
    """The bytes are no SIP message."""


class Message:
    """A request (`method`, `uri`) or a response (`status`). Header names are kept as written, found in any case."""

    def __init__(self, start_line, headers=(), body=b""):
        self.start_line, self.headers, self.body = start_line, list(headers), body
        words = start_line.split(" ", 2)
        if len(words) < 3:
            raise SipError(f"start line {start_line[:60]!r}")
        self.is_request = words[0] != "SIP/2.0"
        if not self.is_request and not words[1].isdigit():
            raise SipError(f"status {words[1][:20]!r}")
        self.method = words[0] if self.is_request else self.cseq_method()
        self.uri = words[1] if self.is_request else ""
        self.status = 0 if self.is_request else int(words[1])

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name, default=""):
        return next(iter(self.all(name)), default)

    def replace(self, name, *values):
        """Puts these lines in place of all lines of that name; no values: takes the lines out."""
        self.headers = [(key, value) for key, value in self.headers if key.lower() != name.lower()]
        self.headers += [(name, value) for value in values]

    def replace_first(self, name, value):
        """Changes the topmost line of that name where it stands."""
        at = next(index for index, (key, _) in enumerate(self.headers) if key.lower() == name.lower())
        self.headers[at] = (name, value)

    def cseq_method(self):
        return (self.get("CSeq").split() or [""])[-1]

    def transaction(self):
        """The same in a request, its repetitions and its answers."""
        return f"{self.get('Call-ID')} {self.get('CSeq')}"

    def branch(self):
        return parameters(self.get("Via")).get("branch", "")

    def encode(self):
        lines = [self.start_line, *(f"{key}: {value}" for key, value in self.headers),
                 f"Content-Length: {len(self.body)}"]
        return (_CRLF.join(lines) + _CRLF * 2).encode() + self.body

    def answer(self, status, **more):
        """A response with what RFC 3261 8.2.6.2 copies; `more` are header lines, _ standing for -."""
        headers = [(key, value) for key, value in self.headers
                   if key.lower() in ("via", "from", "to", "call-id", "cseq", "record-route")]
        made = Message(f"SIP/2.0 {status} {REASONS.get(status, 'Answer')}",
                       headers + [(key.replace("_", "-"), value) for key, value in more.items()])
        if status > 100 and "tag=" not in made.get("To"):
            made.replace_first("To", f"{made.get('To')};tag={secrets.token_hex(4)}")
        return made


def request(method, uri, headers, body=b""):
    return Message(f"{method} {uri} SIP/2.0", headers, body)


def take_message(data):
    """(first message, bytes behind it), or (None, data) if it is not complete. For datagrams and streams."""
    data = data.lstrip(b"\r\n")
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        if len(data) > _HEADERS_BYTES_MAX:
            raise SipError("headers without end")
        return None, data
    try:
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode()).split(_CRLF)
    except UnicodeDecodeError:
        raise SipError("headers are not UTF-8") from None
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise SipError(f"header line {line[:60]!r}")
        headers.append((name.strip(), value.strip()))
    length = next((value for name, value in headers if name.lower() in ("content-length", "l")), "0")
    if not length.isdigit():
        raise SipError(f"Content-Length {length[:20]!r}")
    if len(rest) < int(length):
        return None, data
    headers = [pair for pair in headers if pair[0].lower() not in ("content-length", "l")]
    return Message(lines[0], headers, rest[:int(length)]), rest[int(length):]


def parameters(text, separator=";"):
    """name -> value of `a=1;b="2"`, names in lower case, quotes taken off; words without = have the value ""."""
    found = {}
    for part in re.findall(rf'(?:"[^"]*"|[^{separator}"])+', text):
        name, _, value = part.strip().partition("=")
        found[name.strip().lower()] = value.strip().strip('"')
    return found


def digest(header):
    """Parameters of a Digest Authorization or WWW-Authenticate value; empty if it is another scheme."""
    scheme, _, rest = header.strip().partition(" ")
    return parameters(rest, ",") if scheme.lower() == "digest" else {}


def digest_header(values):
    """The reverse of digest(); tokens that RFC 2617 has without quotes stay so."""
    plain = ("algorithm", "nc", "qop") if "response" in values else ("algorithm",)
    return "Digest " + ",".join(f"{name}={value}" if name in plain else f'{name}="{value}"'
                                for name, value in values.items())


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def via(transport, address, port):
    return f"SIP/2.0/{transport} {bracketed(address)}:{port};branch={MAGIC_COOKIE}{secrets.token_hex(8)}"


def via_host(value):
    """(host, port) of a Via value; port 5060 if it names none."""
    match = re.match(r"SIP\s*/\s*2\.0\s*/\s*\w+\s+(\[[^\]]+\]|[^;:\s]+)(?:\s*:\s*(\d+))?", value)
    if not match:
        raise SipError(f"Via {value[:60]!r}")
    return match[1].strip("[]"), int(match[2] or 5060)
