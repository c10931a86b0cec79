"""IMS AKA: the card, the home network, and the digest that carries it (TS 33.102 6.3, TS 33.203 6.1, RFC 3310)."""
import base64
import hashlib
import hmac
import os
from dataclasses import dataclass

from milenage import Milenage

AMF = b"\x80\x00"
_RESYNCHRONISATION_AMF = b"\0\0"  # TS 33.102 6.3.3
_SQN_BYTES, _AMF_BYTES, _MAC_BYTES = 6, 2, 8
_SQN_MAX = (1 << 48) - 1
_SQN_JUMP_MAX = 1 << 28  # TS 33.102 C.2.1: no jump that would bring the counter near its end


class NetworkFailure(Exception):
    """The MAC in AUTN is wrong: whoever sent the challenge does not know K (TS 33.203 6.1.2.2)."""


class SynchronisationFailure(Exception):
    """The sequence number in AUTN is out of range; `auts` tells the home network the card's (6.1.3)."""

    def __init__(self, auts):
        super().__init__("the sequence number of the challenge is out of range")
        self.auts = auts


@dataclass(frozen=True)
class CardAnswer:
    res: bytes
    ck: bytes
    ik: bytes


@dataclass(frozen=True)
class Vector:
    """An authentication vector, good for one challenge."""

    rand: bytes
    autn: bytes
    xres: bytes
    ck: bytes
    ik: bytes

    def nonce(self):
        """RFC 3310 3.2."""
        return base64.b64encode(self.rand + self.autn).decode()


def _xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _sqn_bytes(number):
    return number.to_bytes(_SQN_BYTES, "big")


class Usim:
    """The card: accepts each sequence number once, and only forward."""

    def __init__(self, k, opc, sqn_highest=0):
        self._functions = Milenage(k, opc)
        self.sqn_highest = sqn_highest

    def auts(self, rand):
        """What goes back in a synchronisation failure (TS 33.102 6.3.3)."""
        sqn = _sqn_bytes(self.sqn_highest)
        mac_s = self._functions.f1_star(rand, sqn, _RESYNCHRONISATION_AMF)
        return _xor(sqn, self._functions.f5_star(rand)) + mac_s

    def authenticate(self, rand, autn):
        """The card's answer; the MAC is checked before the number is believed."""
        if len(rand) != 16 or len(autn) != 16:
            raise NetworkFailure(f"RAND and AUTN have 16 bytes each, not {len(rand)} and {len(autn)}")
        sqn = _xor(autn[:_SQN_BYTES], self._functions.f5(rand))
        amf, mac = autn[_SQN_BYTES:_SQN_BYTES + _AMF_BYTES], autn[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._functions.f1(rand, sqn, amf)):
            raise NetworkFailure("the MAC of the challenge is wrong")
        number = int.from_bytes(sqn, "big")
        if not 0 < number - self.sqn_highest <= _SQN_JUMP_MAX:
            raise SynchronisationFailure(self.auts(rand))
        self.sqn_highest = number
        return CardAnswer(self._functions.f2(rand), self._functions.f3(rand), self._functions.f4(rand))


class HomeSubscriber:
    """One subscriber as the home network knows it."""

    _SQN_STEP = 32  # five bits of index, as TS 33.102 C.3.2 has it

    def __init__(self, k, opc, sqn):
        self._functions = Milenage(k, opc)
        self.sqn = sqn

    def vector(self, rand):
        """The vector of the present sequence number."""
        functions, sqn = self._functions, _sqn_bytes(self.sqn)
        mac = functions.f1(rand, sqn, AMF)
        autn = _xor(sqn, functions.f5(rand)) + AMF + mac
        return Vector(rand, autn, functions.f2(rand), functions.f3(rand), functions.f4(rand))

    def next_vector(self):
        if self.sqn + self._SQN_STEP > _SQN_MAX:
            raise OverflowError("the sequence numbers of this subscriber are used up")
        self.sqn += self._SQN_STEP
        return self.vector(os.urandom(16))

    def resynchronise(self, rand, auts):
        """Takes the card's number from AUTS; False, and nothing changed, if AUTS is not the card's."""
        if len(auts) != _SQN_BYTES + _MAC_BYTES:
            return False
        sqn = _xor(auts[:_SQN_BYTES], self._functions.f5_star(rand))
        if not hmac.compare_digest(auts[_SQN_BYTES:], self._functions.f1_star(rand, sqn, _RESYNCHRONISATION_AMF)):
            return False
        self.sqn = int.from_bytes(sqn, "big")
        return True


def digest_response(digest, method, password):
    """RFC 2617 3.2.2, with and without qop=auth. AKAv1-MD5 has RES as binary password (RFC 3310 3.3), and an empty one
    beside auts (3.4)."""
    def md5(*parts):
        return hashlib.md5(b":".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()

    ha1 = md5(digest["username"], digest["realm"], password)
    ha2 = md5(method, digest["uri"])
    if "qop" not in digest:
        return md5(ha1, digest["nonce"], ha2)
    return md5(ha1, digest["nonce"], digest["nc"], digest["cnonce"], digest["qop"], ha2)


def challenge_of_nonce(nonce):
    """(RAND, AUTN) of a nonce; NetworkFailure if it holds none."""
    try:
        decoded = base64.b64decode(nonce, validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) < 32:
        raise NetworkFailure("the nonce holds no RAND and AUTN")
    return decoded[:16], decoded[16:32]
