"""The UE's SA table (TS 33.203 7.1 rule 5): which sets it holds, since when, for how long, and for what."""
import secrets
import time
from dataclasses import dataclass, field

from esp import SaSet

SPI_MIN, SPI_MAX = 256, (1 << 32) - 1
MARGIN_S = 30.0  # the SAs outlive the registration a little (TS 24.229 5.1.1.4)
_TRANSACTION_TIMEOUT_T1 = 64


@dataclass(eq=False)
class HeldSet:
    agreed: SaSet
    security_server: list  # as received in SM6: what Security-Verify repeats
    expires_at: float  # time.monotonic()
    pending: dict = field(default_factory=dict)  # SIP transactions begun on it: when each times out

    def pairs(self):
        """(UE port, P-CSCF port) of its SAs."""
        return (self.agreed.port_uc, self.agreed.port_ps), (self.agreed.port_us, self.agreed.port_pc)


class SetTable:
    """`new` is good for authentication only, `live` carries what begins now, `old` what began before (7.4.1a)."""

    def __init__(self, t1_s, on_gone):
        self.new = self.live = self.old = None
        self._is_new_confirmed = False  # a further message came on the live set
        self._t1_s, self._on_gone = t1_s, on_gone

    def all(self):
        return [held for held in (self.new, self.live, self.old) if held]

    def find(self, ue_port, pcscf_port):
        return next((held for held in self.all() if (ue_port, pcscf_port) in held.pairs()), None)

    def random_spi(self, *others):
        """Different from every SPI in and out that this UE knows of (7.1)."""
        taken = {*others, *(spi for held in self.all() for spi in (
            held.agreed.spi_uc, held.agreed.spi_us, held.agreed.spi_pc, held.agreed.spi_ps))}
        while (spi := SPI_MIN + secrets.randbelow(SPI_MAX - SPI_MIN + 1)) in taken:
            pass
        return spi

    def random_port(self, low, high, *others):
        """Rule 6: random, and in no entry of the table."""
        taken = {*others, *(port for held in self.all() for port in (held.agreed.port_uc, held.agreed.port_us))}
        while (port := low + secrets.randbelow(high - low + 1)) in taken:
            pass
        return port

    def _remove(self, held):
        self.new, self.live, self.old = (None if slot is held else slot for slot in (self.new, self.live, self.old))
        self._on_gone(held)

    def begin(self, held):
        self.abandon()
        self.new = held

    def abandon(self):
        """The registration that made the new set has failed, or another begins."""
        if self.new:
            self._remove(self.new)

    def succeed(self, expires_s):
        """SM12: the new set is live, the one before it is old, and what was older still is gone."""
        if self.old:
            self._remove(self.old)
        before, self.old, self.live, self.new = self.live, self.live, self.new, None
        # The time that the set had for its registration counts no more.
        self.live.expires_at = before.expires_at if before else 0.0
        self.extend(expires_s)
        self._is_new_confirmed = False

    def extend(self, expires_s):
        """A lifetime never becomes shorter (7.4.1a)."""
        self.live.expires_at = max(self.live.expires_at, time.monotonic() + expires_s + MARGIN_S)

    def confirm(self):
        """A further message came on the live set: the old one goes when nothing is pending on it."""
        self._is_new_confirmed = True
        self.prune()

    def transaction_begins(self, held, name):
        held.pending[name] = time.monotonic() + _TRANSACTION_TIMEOUT_T1 * self._t1_s

    def transaction_ends(self, held, name):
        held.pending.pop(name, None)
        self.prune()

    def prune(self):
        """Removes what is over."""
        now = time.monotonic()
        for held in self.all():
            held.pending = {name: ends for name, ends in held.pending.items() if ends > now}
            if held.expires_at <= now:
                self._remove(held)
        if self.old and self._is_new_confirmed and not self.old.pending:
            self._remove(self.old)

    def clear(self):
        for held in self.all():
            self._remove(held)
