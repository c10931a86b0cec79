#!/usr/bin/env python3
"""libgmesp-mnl and netlink messages that are cut, lie about themselves, or want what gmespd does not have."""
import errno
import sys

import xfrm
from proxy_socket import MnlTest, Report, Socket, load_again, run
from xfrm import Algorithms, SaSet


class HostileTest(MnlTest):
    def check_untouched(self):
        self.assertEqual(self.rows(), [])

    def test_every_cut_of_every_message(self):
        with Report():
            for whole in (*xfrm.install_messages(SaSet(1))[:2], *xfrm.delete_messages(SaSet(1))[:2]):
                with Socket() as socket:
                    for size in range(1, len(whole)):
                        for data in (whole[:size], size.to_bytes(4, "little") + whole[4:size]):
                            try:
                                socket.send(data)
                            except OSError as error:
                                self.assertIn(error.errno, (errno.EINVAL, errno.ENOSYS))
                            else:  # only attributes behind what is needed may be missing
                                self.assertIn(whole[4], (xfrm.DELSA,))
        self.check_untouched()

    def test_lengths_that_lie(self):
        sa = SaSet(1).sas()[0]
        whole = xfrm.new_sa(sa)
        for length in (0, 15, len(whole) + 1, 2**31, 2**32 - 1):
            self.refused(errno.EINVAL, length.to_bytes(4, "little") + whole[4:])
        at = 16 + xfrm.NEWSA_BYTES
        for length in (0, 3, 71, 2**15, 2**16 - 1):
            self.refused(errno.EINVAL, whole[:at] + length.to_bytes(2, "little") + whole[at + 2:])
        for bits in (0, 8, 64, 120, 127, 129, 136, 256, 2**32 - 1):
            self.assertIn("bits", self.refused(errno.EINVAL, xfrm.new_sa(sa, Algorithms(auth_bits=bits))))
            self.assertIn("bits", self.refused(errno.EINVAL, xfrm.new_sa(sa, Algorithms(crypt_bits=bits))))
        short = xfrm.attribute(xfrm.ALG_AUTH, b"sha1".ljust(64, b"\0") + (160).to_bytes(4, "little") + bytes(19))
        self.assertIn("room for 19", self.refused(errno.EINVAL, xfrm.new_sa(sa, Algorithms(more=short))))
        self.refused(errno.EINVAL, xfrm.delete_sa(sa) + b"\x01")
        self.check_untouched()

    def test_what_gmespd_does_not_have(self):
        sa = SaSet(1).sas()[0]
        unnamed = Algorithms(auth="x" * 64)
        for number, text, data in (
                (errno.ENOSYS, '"sha256"', xfrm.new_sa(sa, Algorithms(auth="sha256"))),
                (errno.ENOSYS, "algorithm", xfrm.new_sa(sa, unnamed)),
                (errno.ENOSYS, "attribute 18",
                 xfrm.new_sa(sa, Algorithms(more=xfrm.attribute(xfrm.ALG_AEAD, bytes(80))))),
                (errno.EOPNOTSUPP, "UDP encapsulation",
                 xfrm.new_sa(sa, Algorithms(more=xfrm.attribute(xfrm.ENCAP, bytes(24))))),
                (errno.EPROTONOSUPPORT, "protocol 51", xfrm.new_sa(sa, protocol=51)),
                (errno.EPROTONOSUPPORT, "mode 1", xfrm.new_sa(sa, mode=1)),
                (errno.EINVAL, "other addresses", xfrm.new_sa(sa, daddr="192.0.2.77")),
                (errno.EINVAL, "prefixes", xfrm.new_sa(sa, prefix_s=24)),
                (errno.EINVAL, "ports", xfrm.new_sa(sa, sport_mask=b"\0\0")),
                (errno.EINVAL, "protocol 17", xfrm.new_sa(sa, proto=17)),
                (errno.EAFNOSUPPORT, "family 0", xfrm.new_sa(sa, family=0)),
                (errno.EINVAL, "without a template", xfrm.new_policy(sa, templates=0)),
                (errno.EINVAL, "one template", xfrm.new_policy(sa, templates=2)),
                (errno.EPROTONOSUPPORT, "required", xfrm.new_policy(sa, optional=1)),
                (errno.EOPNOTSUPP, "action 1", xfrm.new_policy(sa, action=1)),
                (errno.EINVAL, "direction 2", xfrm.new_policy(sa, direction=2)),
                (errno.EOPNOTSUPP, "type 26", xfrm.message(xfrm.UPDSA, bytes(300))),
                (errno.EOPNOTSUPP, "only dumps", xfrm.message(xfrm.GETSA, bytes(24))),
                (errno.EOPNOTSUPP, "NLM_F_ACK", xfrm.message(xfrm.GETSA, b"", xfrm.REQUEST | xfrm.DUMP | xfrm.ACK)),
                (errno.EOPNOTSUPP, "apart", xfrm.delete_sa(sa) + xfrm.new_sa(sa))):
            with self.subTest(text):
                self.assertIn(text, self.refused(number, data))
        self.check_untouched()

    # Shows: R-D-K2
    def test_reports_have_no_keys_and_end(self):
        key = bytes(range(0xa0, 0xb0))
        with Report() as report, Socket(library=load_again()) as socket:
            for _ in range(50):
                with self.assertRaises(OSError):
                    socket.send(xfrm.new_sa(SaSet(1).sas()[0], Algorithms(auth="nothing", auth_key=key)))
        self.assertLessEqual(report.text.count("\n"), 11)
        self.assertNotIn(key.hex(), report.text)
        self.assertNotIn(key, report.text.encode(errors="surrogateescape"))

    def test_groups_and_nothing(self):
        with Socket(bound=False, library=load_again()) as socket, Report() as report:
            self.assertRaises(OSError, socket.bind, groups=1)
            socket.bind()
            self.assertEqual(socket.send(), 0)
            self.assertRaises(BlockingIOError, socket.receive)
        self.assertIn("multicast", report.text)


if __name__ == "__main__":
    sys.exit(run(sys.modules[__name__]))
