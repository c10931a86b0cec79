"""Security-Client, -Server and -Verify of RFC 3329 with the mechanism of TS 33.203 Annex H."""
import itertools
import re
from dataclasses import dataclass

from esp import CIPHERS, HASHES, TRANSPORT, TUNNEL
from sip import parameters

MECHANISM = "ipsec-3gpp"
MODES = {TRANSPORT.lower(): TRANSPORT, TUNNEL.lower(): TUNNEL}
_SPI_MIN, _SPI_MAX, _SIP_PORTS = 256, (1 << 32) - 1, (5060, 5061)


@dataclass(frozen=True)
class Entry:
    """One sec-mechanism, defaults filled in; `mode` is None if the entry names none."""

    mechanism: str
    integrity: str
    cipher: str
    protocol: str
    mode: str | None
    spi_c: int
    spi_s: int
    port_c: int
    port_s: int


def _number(text):
    return int(text) if re.fullmatch(r"\d{1,10}", text) else -1


def entries(lines):
    """All entries of the header lines in order; commas and repeated lines are the same."""
    found = []
    for text in re.split(r",", ",".join(lines)):
        mechanism, _, rest = text.strip().partition(";")
        values = parameters(rest)
        mode = values.get("mod")
        found.append(Entry(mechanism.strip().lower(), values.get("alg", "").lower(), values.get("ealg", "null").lower(),
                           values.get("prot", "esp").lower(), mode and MODES.get(mode.lower(), mode.lower()),
                           *(_number(values.get(name, "")) for name in ("spi-c", "spi-s", "port-c", "port-s"))))
    return found


def is_usable(entry):
    """Its numbers can be those of SAs (7.1)."""
    return (_SPI_MIN <= entry.spi_c <= _SPI_MAX and _SPI_MIN <= entry.spi_s <= _SPI_MAX and entry.spi_c != entry.spi_s
            and entry.port_c != entry.port_s
            and all(0 < port < 1 << 16 and port not in _SIP_PORTS for port in (entry.port_c, entry.port_s)))


def offer(spi_c, spi_s, port_c, port_s, integrities=tuple(HASHES), ciphers=CIPHERS, modes=(TRANSPORT,)):
    """A header value with every combination, ciphers first; SPIs have ten digits."""
    numbers = f"spi-c={spi_c:010};spi-s={spi_s:010};port-c={port_c};port-s={port_s}"
    return ", ".join(f"{MECHANISM};alg={integrity};ealg={cipher};mod={mode};{numbers}"
                     for cipher, integrity, mode in itertools.product(ciphers, integrities, modes))
