"""Milenage and AKA against the test sets of 3GPP TS 35.208 and against libosmocore's own implementation."""
import os
import re
import shutil
import subprocess
import unittest

from aka import HomeSubscriber, NetworkFailure, SynchronisationFailure, Usim, digest_response
from milenage import Milenage, operator_constant

# TS 35.208 4.3, test sets 1, 3, 4, 5 and 6 (2 repeats 1): K RAND SQN AMF OP OPc f1 f1* f2 f5 f3 f4 f5*.
_SETS = """
465b5ce8b199b49faa5f0a2ee238a6bc 23553cbe9637a89d218ae64dae47bf35 ff9bb4d0b607 b9b9
cdc202d5123e20f62b6d676ac72cb318 cd63cb71954a9f4e48a5994e37a02baf
4a9ffac354dfafb3 01cfaf9ec4e871e9 a54211d5e3ba50bf aa689c648370
b40ba9a3c58b2a05bbf0d987b21bf8cb f769bcd751044604127672711c6d3441 451e8beca43b

fec86ba6eb707ed08905757b1bb44b8f 9f7c8d021accf4db213ccff0c7f71a6a 9d0277595ffc 725c
dbc59adcb6f9a0ef735477b7fadf8374 1006020f0a478bf6b699f15c062e42b3
9cabc3e99baf7281 95814ba2b3044324 8011c48c0c214ed2 33484dc2136b
5dbdbb2954e8f3cde665b046179a5098 59a92d3b476a0443487055cf88b2307b deacdd848cc6

9e5944aea94b81165c82fbf9f32db751 ce83dbc54ac0274a157c17f80d017bd6 0b604a81eca8 9e09
223014c5806694c007ca1eeef57f004f a64a507ae1a2a98bb88eb4210135dc87
74a58220cba84c49 ac2cc74a96871837 f365cd683cd92e96 f0b9c08ad02e
e203edb3971574f5a94b0d61b816345d 0c4524adeac041c4dd830d20854fc46b 6085a86c6f63

4ab1deb05ca6ceb051fc98e77d026a84 74b0cd6031a1c8339b2b6ce2b8c4a186 e880a1b580b6 9f07
2d16c5cd1fdf6b22383584e3bef2a8d8 dcf07cbd51855290b92a07a9891e523e
49e785dd12626ef2 9e85790336bb3fa2 5860fc1bce351e7e 31e11a609118
7657766b373d1c2138f307e3de9242f9 1c42e960d89b8fa99f2744e0708ccb53 fe2555e54aa9

6c38a116ac280c454f59332ee35c8c4f ee6466bc96202c5a557abbeff8babf63 414b98222181 4464
1ba00a1a7c6700ac8c3ff3e96ad08725 3803ef5363b947c6aaa225e58fae3934
078adfb488241a57 80246b8d0186bcf1 16c8233f05a0ac28 45b0f69ab06c
3f8c7587fe8e4b233af676aede30ba3b a7466cc1e6b2a1337d49d3b66e95d7b4 1f53cd2b1113
"""
ORACLE = shutil.which("osmo-auc-gen")


def _sets():
    return [[bytes.fromhex(field) for field in block.split()] for block in _SETS.strip().split("\n\n")]


def _oracle(k, opc, amf, sqn, rand, auts=None):
    """What osmo-auc-gen of libosmocore prints: {"AUTN": ..., "IK": ..., "CK": ..., "RES": ..., "SQN.MS": ...}."""
    command = [ORACLE, "-3", "-a", "MILENAGE", "-k", k.hex(), "-o", opc.hex(), "-f", amf.hex(), "-r", rand.hex(),
               *(["-A", auts.hex()] if auts else ["-s", str(int.from_bytes(sqn, "big"))])]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^([^:\n]+):\t(\S+)$", printed, re.M))


class MilenageTest(unittest.TestCase):
    def test_published_sets(self):
        for k, rand, sqn, amf, op, opc, f1, f1_star, f2, f5, f3, f4, f5_star in _sets():
            with self.subTest(k=k.hex()):
                self.assertEqual(operator_constant(k, op), opc)
                functions = Milenage(k, opc)
                self.assertEqual(functions.f1(rand, sqn, amf), f1)
                self.assertEqual(functions.f1_star(rand, sqn, amf), f1_star)
                self.assertEqual((functions.f2(rand), functions.f5(rand)), (f2, f5))
                self.assertEqual((functions.f3(rand), functions.f4(rand)), (f3, f4))
                self.assertEqual(functions.f5_star(rand), f5_star)

    @unittest.skipUnless(ORACLE, "osmo-auc-gen is missing: apt-get install libosmocore-utils")
    def test_against_libosmocore(self):
        for _ in range(20):
            k, opc, rand = os.urandom(16), os.urandom(16), os.urandom(16)
            sqn, amf = os.urandom(6), b"\x80\x00"
            home, card = HomeSubscriber(k, opc, int.from_bytes(sqn, "big")), Usim(k, opc, sqn_highest=0x123)
            vector = home.vector(rand)
            seen = _oracle(k, opc, amf, sqn, rand)
            self.assertEqual(seen["AUTN"], vector.autn.hex())
            self.assertEqual((seen["IK"], seen["CK"], seen["RES"]),
                             (vector.ik.hex(), vector.ck.hex(), vector.xres.hex()))
            self.assertEqual(seen["IMS nonce"], vector.nonce())
            auts = card.auts(rand)
            self.assertEqual(_oracle(k, opc, amf, sqn, rand, auts)["SQN.MS"], str(0x123))


class AkaTest(unittest.TestCase):
    def setUp(self):
        k, opc = os.urandom(16), os.urandom(16)
        self.home, self.card = HomeSubscriber(k, opc, sqn=0x1000), Usim(k, opc)

    def test_card_accepts_a_vector_once(self):
        vector = self.home.next_vector()
        keys = self.card.authenticate(vector.rand, vector.autn)
        self.assertEqual((keys.res, keys.ck, keys.ik), (vector.xres, vector.ck, vector.ik))
        with self.assertRaises(SynchronisationFailure) as failure:
            self.card.authenticate(vector.rand, vector.autn)
        self.assertTrue(self.home.resynchronise(vector.rand, failure.exception.auts))
        later = self.home.next_vector()
        self.assertEqual(self.card.authenticate(later.rand, later.autn).ik, later.ik)

    def test_card_far_ahead_is_found_again(self):
        self.card.sqn_highest = 0x7000_0000_0000
        vector = self.home.next_vector()
        with self.assertRaises(SynchronisationFailure) as failure:
            self.card.authenticate(vector.rand, vector.autn)
        forged = bytes((failure.exception.auts[0] ^ 1,)) + failure.exception.auts[1:]
        self.assertFalse(self.home.resynchronise(vector.rand, forged))
        self.assertTrue(self.home.resynchronise(vector.rand, failure.exception.auts))
        later = self.home.next_vector()
        self.card.authenticate(later.rand, later.autn)

    def test_wrong_network_is_refused(self):
        vector = self.home.next_vector()
        for bit in range(8 * len(vector.autn)):
            forged = bytearray(vector.autn)
            forged[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(NetworkFailure):
                self.card.authenticate(vector.rand, bytes(forged))

    def test_digest_of_rfc_2617(self):
        # RFC 2617 3.5, the example; the password is what AKAv1-MD5 replaces by RES.
        digest = {"username": "Mufasa", "realm": "testrealm@host.com", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                  "uri": "/dir/index.html", "qop": "auth", "nc": "00000001", "cnonce": "0a4f113b"}
        self.assertEqual(digest_response(digest, "GET", b"Circle Of Life"), "6629fae49393a05397450978507c4ef1")


if __name__ == "__main__":
    unittest.main()
