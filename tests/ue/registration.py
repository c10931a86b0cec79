"""One registration as the UE does it: SM1, SM6, SM7, SM12 of TS 33.203 7.2, and what may go wrong (6.1, 7.3)."""
import base64
import secrets
import time
from dataclasses import dataclass

import sip
from aka import NetworkFailure, SynchronisationFailure, challenge_of_nonce, digest_response
from esp import TRANSPORT, TUNNEL, SaSet
from held_set import HeldSet
from security_agreement import MECHANISM, entries, is_usable, offer

NEW_SET_LIFETIME_S = 240.0  # reg-await-auth of TS 24.229
_CHALLENGES_MAX = 3


class Unacceptable(Exception):
    """The UE abandons the registration (7.3.2.2); the text says why."""


@dataclass(frozen=True)
class Outcome:
    """`status` of the last answer, None if the UE gave up or heard nothing; `challenges` seen on the way."""

    status: int | None
    reason: str
    challenges: int
    answer: sip.Message | None = None


class Registration:
    def __init__(self, ue, expires_s, clear):
        self._ue, self._expires_s = ue, expires_s
        with ue.lock:
            ue.table.prune()
            ue.table.abandon()  # one procedure at a time (7.4.1a)
            self._live = ue.table.live
            self._on = None if clear else self._live  # the set that protects SM1
        self._challenges, self._has_sent_sm7 = 0, False
        self._choose_parameters()

    def run(self):
        answer = self._send_sm1()
        # Any answer to SM7 ends the procedure; a synchronisation failure makes the network send another challenge.
        while answer is not None and answer.status == 401 and not self._has_sent_sm7 and \
                self._challenges < _CHALLENGES_MAX:
            self._challenges += 1
            try:
                answer = self._meet_challenge(answer)
            except Unacceptable as why:
                self._ue.table.abandon()
                return Outcome(None, str(why), self._challenges)
        return self._finish(answer)

    # --- SM1 --------------------------------------------------------------------------------------------------------

    def _choose_parameters(self):
        """Own SPIs and ports. port_us stays while the UE is registered (7.1), the rest is new and random."""
        ue, table = self._ue, self._ue.table
        self._spi_uc = table.random_spi()
        self._spi_us = table.random_spi(self._spi_uc)
        low, high = ue.stack.ports
        self._port_us = self._live.agreed.port_us if self._live else table.random_port(low, high)
        self._port_uc = table.random_port(low, high, self._port_us)
        self._security_client = offer(self._spi_uc, self._spi_us, self._port_uc, self._port_us, ue.integrities,
                                      ue.ciphers, ue.modes)

    def _register(self, held, authorization, security_verify):
        ue = self._ue
        uri = f"sip:{ue.subscription.domain}"
        headers = ue.headers("REGISTER", held, ue.tcp)
        headers += [("Expires", str(self._expires_s)), ("Supported", "path"), ("Require", "sec-agree"),
                    ("Proxy-Require", "sec-agree"),
                    ("Authorization", sip.digest_header({"username": ue.subscription.impi,
                                                         "realm": ue.subscription.domain, "uri": uri,
                                                         **authorization})),
                    ("Security-Client", self._security_client)]
        headers += [("Security-Verify", line) for line in security_verify]
        return sip.request("REGISTER", uri, headers)

    def _send_sm1(self, **authorization):
        """On the live set, or in clear."""
        message = self._register(self._on, {"nonce": "", "response": "", **authorization},
                                 self._on.security_server if self._on else [])
        if self._ue.tamper:
            self._ue.tamper("SM1", message)
        return self._ue.transact(message, self._on, self._ue.tcp)

    # --- SM6 and SM7 ------------------------------------------------------------------------------------------------

    def _meet_challenge(self, challenge):
        """Sends SM7, or tells the network why not; the answer to that."""
        ue = self._ue
        digest = sip.digest(challenge.get("WWW-Authenticate"))
        if digest.get("algorithm", "").lower() != "akav1-md5" or digest.get("realm") != ue.subscription.domain:
            raise Unacceptable("the challenge is not AKAv1-MD5 for this domain")
        try:
            card = ue.usim.authenticate(*challenge_of_nonce(digest.get("nonce", "")))
        except NetworkFailure as why:
            self._send_sm1(nonce=digest.get("nonce", ""))  # an empty response to this nonce (6.1.2.2)
            raise Unacceptable(str(why)) from why
        except SynchronisationFailure as failure:
            ue.table.abandon()
            self._choose_parameters()
            return self._send_sm1(**self._response(digest, b""), auts=base64.b64encode(failure.auts).decode())
        held = self._agree(challenge, card)
        try:
            ue.hold(held)
        except OSError as error:
            raise Unacceptable(f"a protected port is not free: {error}") from error
        message = self._register(held, self._response(digest, card.res), held.security_server)
        if ue.tamper:
            ue.tamper("SM7", message)
        self._has_sent_sm7 = True
        return ue.transact(message, held, ue.tcp, may_fail_on=self._on)

    def _response(self, digest, password):
        values = {"username": self._ue.subscription.impi, "realm": digest["realm"], "nonce": digest["nonce"],
                  "uri": f"sip:{self._ue.subscription.domain}", "algorithm": "AKAv1-MD5"}
        if "auth" in digest.get("qop", "").split(","):
            values |= {"qop": "auth", "nc": "00000001", "cnonce": secrets.token_hex(8)}
        return values | {"response": digest_response(values, "REGISTER", password)}

    def _agree(self, challenge, card):
        """The new set from SM6: the first entry of the network's list that this UE supports (7.2, M.7.2)."""
        ue, lines = self._ue, challenge.all("Security-Server")
        chosen = next((entry for entry in entries(lines) if self._supports(entry)), None) if lines else None
        if chosen is None:
            raise Unacceptable("SM6 has no entry that this UE supports")
        self._check_parameters(chosen, entries(lines))
        mode = self._mode(chosen, sip.parameters(challenge.get("Via")).get("received"))
        ik, ck = ue.keys_of(card)
        agreed = SaSet(ue=ue.inner_address, pcscf=ue.pcscf, port_uc=self._port_uc, port_us=self._port_us,
                       port_pc=chosen.port_c, port_ps=chosen.port_s, spi_uc=self._spi_uc, spi_us=self._spi_us,
                       spi_pc=chosen.spi_c, spi_ps=chosen.spi_s, integrity=chosen.integrity, cipher=chosen.cipher,
                       ik=ik, ck=ck, mode=mode)
        try:
            agreed.sas("ue")
        except ValueError as why:
            raise Unacceptable(str(why)) from why
        return HeldSet(agreed, lines, time.monotonic() + NEW_SET_LIFETIME_S)

    def _supports(self, entry):
        ue = self._ue
        return (entry.mechanism == MECHANISM and entry.protocol == "esp" and entry.integrity in ue.integrities
                and entry.cipher in ue.ciphers and (entry.mode is None or entry.mode in ue.modes))

    def _check_parameters(self, chosen, offered):
        """The network's SPIs and ports as 7.1 and 7.4 have them."""
        numbers = (chosen.spi_c, chosen.spi_s, chosen.port_c, chosen.port_s)
        if any((other.spi_c, other.spi_s, other.port_c, other.port_s) != numbers for other in offered
               if other.mechanism == MECHANISM):
            raise Unacceptable("the entries of SM6 disagree on SPIs or ports")
        if not is_usable(chosen):
            raise Unacceptable(f"SM6 has unusable SPIs or ports: {numbers}")
        if {chosen.spi_c, chosen.spi_s} & {self._spi_uc, self._spi_us}:
            raise Unacceptable("SM6 repeats an SPI of this UE")
        if self._on and chosen.port_s != self._on.agreed.port_ps:
            raise Unacceptable("port_ps changed in a re-registration")
        if any(held.agreed.port_pc == chosen.port_c for held in self._ue.table.all()):
            raise Unacceptable("port_pc is that of a set in use")

    def _mode(self, chosen, received):
        """M.7.2: what SM6 names; else transport, unless there is a NAT. A tunnel stays a tunnel (M.7.4.1a)."""
        ue = self._ue
        if self._on and self._on.agreed.mode == TUNNEL and chosen.mode != TUNNEL:
            raise Unacceptable("SM6 leaves UDP-encapsulated tunnel mode in a re-registration")
        if chosen.mode is None and received:
            raise Unacceptable("behind a NAT, and SM6 names no mode")
        mode = chosen.mode or TRANSPORT
        if mode == TUNNEL and self._on is None and received:
            ue.inner_address = received
        if mode == TUNNEL and ue.inner_address != ue.address:
            ue.stack.add_address(ue.inner_address)
        return mode

    # --- SM12 -------------------------------------------------------------------------------------------------------

    def _finish(self, answer):
        ue = self._ue
        with ue.lock:
            if answer is None or answer.status != 200:
                ue.table.abandon()
                status = answer.status if answer else None
                return Outcome(status, "refused" if answer else "no answer", self._challenges, answer)
            granted_s = int(answer.get("Expires", str(self._expires_s)))
            if ue.table.new:
                ue.table.succeed(granted_s)
            elif ue.table.live:
                ue.table.extend(granted_s)
            if self._expires_s == 0:
                ue.table.clear()
        return Outcome(200, "registered", self._challenges, answer)
