#!/usr/bin/env python3
"""Prints crypto/known_answers.cc: what every suite must make of patterned packets.

The answers come from Python's hashlib and hmac and the package `cryptography`; neither engine of
the product has a part in them. To make the file again:

    python3 tests/crypto/make_known_answers.py \
        | clang-format --assume-filename=x.cc > crypto/known_answers.cc
"""
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:  # before version 43
    TripleDES = algorithms.TripleDES

HEADER = bytes.fromhex("c0ffee01" "00000001")  # SPI, sequence number
ICV_BYTES = 12  # RFC 2403, RFC 2404

# name: hash, key bytes
INTEGRITY = {"kHmacMd5_96": (hashlib.md5, 16), "kHmacSha1_96": (hashlib.sha1, 20)}
# name: algorithm, key bytes, IV bytes, block bytes, text sizes
CIPHERS = {
    "kNull": (None, 0, 0, 4, (4, 44, 48, 52, 112, 1400)),
    "kAesCbc128": (algorithms.AES, 16, 16, 16, (16, 32, 48, 96, 128, 1408)),
    "kDesEde3Cbc": (TripleDES, 24, 8, 8, (8, 40, 48, 64, 256)),
}

TOP = """\
#include "crypto/known_answers.h"

namespace gmesp::crypto {
namespace {

// Sizes stand on both sides of the 64-byte blocks of the hashes, and include the least.
constexpr KnownAnswer kAnswers[] = {"""

BOTTOM = """\
};

}  // namespace

std::span<const KnownAnswer> known_answers() { return kAnswers; }

}  // namespace gmesp::crypto"""


def pattern(count, start, step):
    """The known_answer_* functions of crypto/known_answers.h."""
    return bytes((start + i * step) & 0xFF for i in range(count))


def ciphered(cipher, text):
    """IV and cipher text."""
    algorithm, key_bytes, iv_bytes, _, _ = CIPHERS[cipher]
    iv = pattern(iv_bytes, 0xA5, 11)
    if algorithm is None:
        return iv, text
    encryptor = Cipher(algorithm(pattern(key_bytes, 0x31, 7)), modes.CBC(iv)).encryptor()
    return iv, encryptor.update(text) + encryptor.finalize()


def row(integrity, cipher, size):
    digest, key_bytes = INTEGRITY[integrity]
    block_bytes = CIPHERS[cipher][3]
    iv, text = ciphered(cipher, pattern(size, 3, 7))
    icv = hmac.new(pattern(key_bytes, 0x10, 1), HEADER + iv + text, digest).digest()[:ICV_BYTES]
    suite = f"{{Integrity::{integrity}, Cipher::{cipher}}}"
    return f'    {{{suite}, {size}, "{text[-block_bytes:].hex()}", "{icv.hex()}"}},'


def main():
    print(TOP)
    for integrity in INTEGRITY:
        for cipher, parameters in CIPHERS.items():
            for size in parameters[-1]:
                print(row(integrity, cipher, size))
    print(BOTTOM)


if __name__ == "__main__":
    main()
