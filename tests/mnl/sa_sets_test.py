#!/usr/bin/env python3
"""libgmesp-mnl as a SIP proxy uses it: the bytes of its netlink messages against a model of gmespd."""
import errno
import json
import os
import sys
import time

import xfrm
from proxy_socket import BUFFER_BYTES, MnlTest, Report, Socket, load_again, run
from xfrm import Algorithms, Sa, SaSet

LIFETIME_S = 7 * 24 * 3600
FOREIGN = {"mode": "transport", "integrity": "hmac-sha-1-96", "cipher": "aes-cbc", "ue": "10.9.9.9",
           "local": "192.0.2.1", "port_uc": 5100, "port_us": 5200, "port_pc": 6100, "port_ps": 6200, "spi_uc": 701,
           "spi_us": 702, "spi_pc": 703, "spi_ps": 704, "integrity_key": "a1" * 20, "cipher_key": "c2" * 16}


class InstallTest(MnlTest):
    # Shows: R-6.3-01, R-7.2-07, R-C-01
    def test_the_set_is_in_force_when_its_last_part_was_sent(self):
        for number, ue, pcscf in ((1, "10.0.0.2", "192.0.2.1"), (2, "2001:db8::2", "2001:db8::1")):
            sa_set = SaSet(number, ue, pcscf)
            with Socket() as socket:
                *parts, last = xfrm.install_messages(sa_set)
                for part in parts:
                    self.assertEqual(socket.send(part), len(part))
                self.assertEqual(len(self.rows()), number - 1)
                socket.send(last)
                row = next(row for row in self.rows() if row["spi_ps"] == sa_set.named()["spi_ps"])
            for field, value in sa_set.named().items():
                self.assertEqual(row[field], value, field)
            self.assertEqual((row["ue"], row["local"], row["mode"]), (ue, pcscf, "transport"))
            self.assertEqual((row["integrity"], row["cipher"]), ("hmac-sha-1-96", "aes-cbc"))
            self.assertIn(row["left_s"], range(LIFETIME_S - 5, LIFETIME_S + 1))

    # Shows: R-7.1-02
    def test_all_algorithms_under_both_names_of_the_kernel(self):
        auths = {"md5": ("hmac-md5-96", 16), "sha1": ("hmac-sha-1-96", 16), "hmac(md5)": ("hmac-md5-96", 16),
                 "hmac(sha1)": ("hmac-sha-1-96", 20)}
        crypts = {"cipher_null": ("null", 0), "aes": ("aes-cbc", 16), "des3_ede": ("des-ede3-cbc", 24),
                  "ecb(cipher_null)": ("null", 0), "cbc(aes)": ("aes-cbc", 16), "cbc(des3_ede)": ("des-ede3-cbc", 24)}
        number = 0
        for auth, (integrity, auth_bytes) in auths.items():
            for crypt, (cipher, crypt_bytes) in crypts.items():
                number += 1
                with self.subTest(auth=auth, crypt=crypt), Socket() as socket:
                    socket.install(SaSet(number), Algorithms(auth, bytes(range(auth_bytes)), crypt,
                                                             bytes(range(100, 100 + crypt_bytes))))
                    row = self.rows()[-1]
                    self.assertEqual((row["integrity"], row["cipher"]), (integrity, cipher))
        self.assertEqual(len(self.rows()), number)

    def test_newer_kamailio_s_crossed_pairs_change_nothing(self):
        sa_set = SaSet(1)
        with Socket() as socket:
            socket.install(sa_set)
            for sa in sa_set.crossed():
                socket.send(xfrm.new_sa(sa))
                socket.send(xfrm.new_policy(sa))
            self.assertEqual(len(self.rows()), 1)
        self.assertEqual(self.rows()[0]["port_uc"], sa_set.named()["port_uc"])

    def test_set_that_is_not_completed_is_told_and_leaves_nothing(self):
        for count in range(1, 8):
            with Report() as report:
                with Socket(library=load_again()) as socket:
                    for part in xfrm.install_messages(SaSet(1))[:count]:
                        socket.send(part)
            self.assertIn(f"a set with {(count + 1) // 2} SAs and {count // 2} policies, of 4 and 4, is not installed: "
                          "the socket was closed", report.text)
        self.assertEqual(self.rows(), [])

    def test_a_second_set_ends_the_unfinished_first(self):
        with Socket(library=load_again()) as socket, Report() as report:
            for part in xfrm.install_messages(SaSet(1))[:5]:
                socket.send(part)
            socket.install(SaSet(2, ue="10.0.0.3"))
        self.assertEqual(self.spis(), [SaSet(2).named()["spi_ps"]])
        self.assertIn("an SA of another set came", report.text)

    def test_an_unfinished_set_does_not_wait_for_ever(self):
        with Socket(library=load_again()) as socket, Report() as report:
            socket.send(xfrm.install_messages(SaSet(1))[0])
            time.sleep(2.2)
            socket.install(SaSet(1))
        self.assertEqual(len(self.rows()), 1)
        self.assertIn("did not come in time", report.text)

    def test_parts_that_do_not_fit_together(self):
        a, d, b, c = SaSet(1).sas()
        stranger = SaSet(9, ue="10.0.0.9").sas()[0]
        for name, sas in {"no way back": (a, d, Sa(b.source, b.destination, 6299, b.destination_port, 1, xfrm.OUT), c),
                          "two ways in": (a, d, b, Sa(*[*c.__dict__.values()][:5], xfrm.OUT))}.items():
            with self.subTest(name), Socket(library=load_again()) as socket:
                parts = [made(sa) for sa in sas for made in (xfrm.new_sa, xfrm.new_policy)]
                for part in parts[:-1]:
                    socket.send(part)
                self.assertIn("two port pairs", self.refused(errno.EINVAL, parts[-1], socket=socket))
        with Socket(library=load_again()) as socket, Report():
            socket.send(xfrm.new_sa(a))
            self.assertIn("no SA came before", self.refused(errno.EINVAL, xfrm.new_policy(stranger), socket=socket))
            other = Algorithms(auth_key=bytes(16))
            text = self.refused(errno.EINVAL, xfrm.new_sa(d, other), socket=socket)
            self.assertIn("other algorithms or keys", text)
        self.assertEqual(self.rows(), [])

    def test_an_spi_that_is_in_use(self):
        with Socket(library=load_again()) as socket:
            socket.install(SaSet(1))
            *parts, last = xfrm.install_messages(SaSet(2, spis=tuple(SaSet(1).named().values())[4:]))
            for part in parts:
                socket.send(part)
            self.refused(errno.EEXIST, last, socket=socket)
        self.assertEqual(len(self.rows()), 1)

    def test_a_full_table_names_its_setting(self):
        self.stop_server()
        self.start_server(capacity=1)
        with Socket(library=load_again()) as socket:
            socket.install(SaSet(1))
            *parts, last = xfrm.install_messages(SaSet(2))
            for part in parts:
                socket.send(part)
            self.assertIn("capacity_sets", self.refused(errno.ENOBUFS, last, socket=socket))


class RemovalTest(MnlTest):
    def installed(self, *numbers):
        with Socket() as socket:
            for number in numbers:
                socket.install(SaSet(number))

    # Shows: R-6.3-01, R-C-01
    def test_a_set_goes_with_its_first_sa_and_the_other_deletes_are_quiet(self):
        for first in range(4):
            self.installed(1, 2)
            with Socket() as socket, Report() as report:
                parts = xfrm.delete_messages(SaSet(1))
                parts = parts[2 * first:] + parts[:2 * first]
                socket.send(parts[0])
                self.assertEqual(self.spis(), [SaSet(2).named()["spi_ps"]])
                for part in parts[1:]:
                    socket.send(part)
                socket.send(*xfrm.delete_messages(SaSet(2)))
            self.assertEqual((self.rows(), report.text), ([], ""))

    def test_another_process_may_delete(self):
        self.installed(1)
        child = os.fork()
        if child == 0:
            with Socket() as socket:
                socket.send(xfrm.delete_messages(SaSet(1))[0])
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.rows(), [])

    def test_a_policy_takes_its_set_with_it(self):
        self.installed(1, 2)
        with Socket() as socket:
            socket.send(xfrm.delete_policy(SaSet(2).sas()[3]))
        self.assertEqual(self.spis(), [SaSet(1).named()["spi_ps"]])

    def test_what_is_not_there_is_deleted_already(self):
        self.installed(1)
        with Socket() as socket, Report() as report:
            socket.send(*xfrm.delete_messages(SaSet(2)))
            near = SaSet(1).sas()[0]
            socket.send(xfrm.delete_sa(Sa(near.source, "192.0.2.9", 1, 1, near.spi, xfrm.IN)))
            socket.send(xfrm.delete_sa(Sa(near.destination, near.source, 1, 1, near.spi, xfrm.IN)))
        self.assertEqual((self.spis(), report.text), ([SaSet(1).named()["spi_ps"]], ""))

    def test_a_set_can_return_on_the_same_socket(self):
        with Socket() as socket:
            for _ in range(3):
                socket.install(SaSet(1))
                self.assertEqual(len(self.rows()), 1)
                socket.send(*xfrm.delete_messages(SaSet(1)))
                self.assertEqual(self.rows(), [])

    def test_flush_spares_what_others_have_set_up(self):
        for kind in (xfrm.FLUSHSA, xfrm.FLUSHPOLICY):
            self.installed(1, 2, 3)
            if kind == xfrm.FLUSHSA:
                self.ctl("sa", "add", json.dumps(FOREIGN))
            with Socket() as socket:
                socket.send(xfrm.message(kind, bytes(8)))
            self.assertEqual(self.spis(), [FOREIGN["spi_ps"]])
        with Socket() as socket:
            socket.send(xfrm.delete_sa(Sa(FOREIGN["ue"], FOREIGN["local"], 1, 1, FOREIGN["spi_ps"], xfrm.IN)))
        self.assertEqual(self.spis(), [FOREIGN["spi_ps"]])


class DumpTest(MnlTest):
    def test_empty(self):
        with Socket() as socket:
            self.assertEqual((socket.dump(xfrm.GETSA), socket.dump(xfrm.GETPOLICY)), ([], []))
            self.assertRaises(BlockingIOError, socket.receive)

    def test_all_four_of_each_set_whatever_the_buffer(self):
        sets = [SaSet(number, *ends) for number, ends in
                enumerate((("10.0.0.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1"), ("10.0.0.3", "192.0.2.1")), 1)]
        with Socket() as socket:
            for sa_set, user in zip(sets, (xfrm.KAMAILIO, xfrm.OPENSIPS, xfrm.KAMAILIO)):
                socket.install(sa_set, Algorithms(user=user))
            self.ctl("sa", "add", json.dumps(FOREIGN))
            users = {"192.0.2.1": xfrm.KAMAILIO, "2001:db8::1": xfrm.OPENSIPS}
            expected = {(sa.source, sa.destination, sa.source_port, sa.destination_port, sa.spi, sa.direction):
                        users[sa_set.pcscf] for sa_set in sets for sa in sa_set.sas()}
            for room in (BUFFER_BYTES, 240, 500, 1 << 16):
                sas = socket.dump(xfrm.GETSA, room)
                policies = socket.dump(xfrm.GETPOLICY, room)
                self.assertEqual((len(sas), len(policies)), (16, 16))
                ours = [entry for entry in sas if entry.user]
                self.assertEqual({(*list(entry.sa.__dict__.values())[:5],): entry.user for entry in ours},
                                 {key[:5]: user for key, user in expected.items()})
                self.assertEqual({(*list(entry.sa.__dict__.values())[:4], entry.sa.direction): entry.user
                                  for entry in policies if entry.user},
                                 {(*key[:4], key[5]): user for key, user in expected.items()})
                others = {entry.sa.source for entry in sas if not entry.user}
                self.assertEqual(others, {FOREIGN["ue"], FOREIGN["local"]})
            with Report() as report:
                socket.send(xfrm.dump(xfrm.GETSA))
                self.assertRaises(OSError, socket.receive, 100)
            self.assertIn("a buffer of 100 bytes, an entry has 240", report.text)

    # Shows: R-D-K2
    def test_no_key_comes_back(self):
        keys = Algorithms(auth_key=bytes(range(0xa0, 0xb0)), crypt_key=bytes(range(0xc0, 0xd0)))
        with Socket() as socket:
            socket.install(SaSet(1), keys)
            for kind in (xfrm.GETSA, xfrm.GETPOLICY):
                socket.send(xfrm.dump(kind))
                data = socket.receive()
                self.assertNotIn(keys.auth_key[:4], data)
                self.assertNotIn(keys.crypt_key[:4], data)

    def test_one_buffer_of_deletes_reaches_as_many_sets_as_it_holds_deletes(self):
        """Kamailio's clean-up at its start: reads until 8 KiB of deletes are full (136 of 60 bytes), sends them."""
        with Socket() as socket:
            for number in range(200):
                socket.install(SaSet(number))
            entries = [entry for entry in socket.dump(xfrm.GETSA)][:136]
            socket.send(*[xfrm.delete_sa(entry.sa) for entry in entries])
            self.assertEqual(len(self.rows()), 200 - 136)
            policies = socket.dump(xfrm.GETPOLICY)[:102]
            socket.send(*[xfrm.delete_policy(entry.sa, entry.user) for entry in policies])
        self.assertEqual(self.rows(), [])

    def test_one_of_a_thousand_sets_is_found(self):
        with Socket() as socket:
            for number in range(1000):
                socket.install(SaSet(number))
            socket.send(xfrm.delete_messages(SaSet(999))[0])
            self.assertEqual(len(socket.dump(xfrm.GETSA)), 4 * 999)


if __name__ == "__main__":
    sys.exit(run(sys.modules[__name__]))
