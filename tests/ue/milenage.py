"""Milenage, the example algorithm set f1, f1*, f2..f5, f5* of AKA (3GPP TS 35.206), on the AES of `cryptography`."""
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK_BYTES = 16


def _aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _rotated(block, bits):
    """Cyclic rotation towards the most significant bit; all rotations of TS 35.206 are whole bytes."""
    return block[bits // 8:] + block[:bits // 8]


def operator_constant(k, op):
    """OPc of a subscriber's key and the operator's OP (TS 35.206 4.1)."""
    return _xor(_aes(k, op), op)


class Milenage:
    """The functions under one subscriber's key K and OPc."""

    # Rotations r1..r5 in bits, and the last byte of the constants c1..c5, whose other bytes are 0 (TS 35.206 4.1).
    _ROTATION_BITS = {1: 64, 2: 0, 3: 32, 4: 64, 5: 96}
    _CONSTANT = {1: 0, 2: 1, 3: 2, 4: 4, 5: 8}

    def __init__(self, k, opc):
        if len(k) != BLOCK_BYTES or len(opc) != BLOCK_BYTES:
            raise ValueError(f"K and OPc have 16 bytes each, not {len(k)} and {len(opc)}")
        self._k, self._opc = k, opc

    def _masked(self, rand):
        return _aes(self._k, _xor(rand, self._opc))

    def _out1(self, rand, sqn, amf):
        in1 = (sqn + amf) * 2
        rotated = _rotated(_xor(in1, self._opc), self._ROTATION_BITS[1])
        return _xor(_aes(self._k, _xor(self._masked(rand), rotated)), self._opc)

    def _out(self, number, rand):
        rotated = _rotated(_xor(self._masked(rand), self._opc), self._ROTATION_BITS[number])
        constant = bytes(15) + bytes((self._CONSTANT[number],))
        return _xor(_aes(self._k, _xor(rotated, constant)), self._opc)

    def f1(self, rand, sqn, amf):
        """MAC-A, 8 bytes."""
        return self._out1(rand, sqn, amf)[:8]

    def f1_star(self, rand, sqn, amf):
        """MAC-S, 8 bytes."""
        return self._out1(rand, sqn, amf)[8:]

    def f2(self, rand):
        """RES, 8 bytes."""
        return self._out(2, rand)[8:]

    def f3(self, rand):
        """CK, 16 bytes."""
        return self._out(3, rand)

    def f4(self, rand):
        """IK, 16 bytes."""
        return self._out(4, rand)

    def f5(self, rand):
        """AK, 6 bytes."""
        return self._out(2, rand)[:6]

    def f5_star(self, rand):
        """AK of a resynchronisation, 6 bytes."""
        return self._out(5, rand)[:6]
