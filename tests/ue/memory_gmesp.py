"""A stand-in for gmesp with which UE and network can be tested alone: one subscriber, no checks that a UE could fail.

It has the calls of gmesp_client.Control. Its SAs live in an EspStack of the P-CSCF.
"""
import itertools

from esp import TRANSPORT, TUNNEL, SaSet
from security_agreement import entries, offer


class MemoryGmesp:
    def __init__(self, stack, address, port_ps, suites=(("hmac-sha-1-96", "aes-cbc"),)):
        self._stack, self._address, self._port_ps = stack, address, port_ps
        self.suites, self._spis, self._ports = suites, itertools.count(0x40000000), itertools.count(6200)
        self._offers, self._numbers = {}, itertools.count(1)
        self.sets, self._procedure, self.out = {}, None, 0  # number -> SaSet; (SM1's set, new set); newest in use

    def _number(self, source, source_port, local_port):
        pair = source_port, local_port
        return next((number for number, held in self.sets.items() if held.ue == source and pair in (
            (held.port_uc, held.port_ps), (held.port_us, held.port_pc))), 0)

    def _verdict(self, number, action="forward", **more):
        held = self.sets.get(number)
        send = {"set": number, "local": self._address, "local_port": held.port_pc if held else 5060,
                "remote": held.ue if held else "", "remote_port": held.port_us if held else 0}
        return {"action": action, "status": 0, "reason": "", "indicator": False, "arrived_on": 0, "impi": "",
                "impus": [], "send": send, **more}

    def _remove(self, *numbers):
        for number in numbers:
            if number in self.sets:
                self._stack.remove(self.sets.pop(number))

    def register_request(self, impi, _impu, transaction, source, source_port, _local, local_port, tcp=False,
                         via_host=None, security_client_lines=(), security_verify_lines=(), auth="none"):
        del tcp, security_verify_lines
        arrived_on = self._number(source, source_port, local_port)
        self._impi = impi
        if auth != "response":
            self._offers[transaction] = entries(security_client_lines), source, via_host != source, arrived_on
        is_right = bool(arrived_on) and arrived_on == (self._procedure[1] if auth == "response" else self.out)
        return self._verdict(arrived_on, indicator=is_right, arrived_on=arrived_on)

    def challenge(self, _impi, transaction, ik, ck):
        offered, source, is_behind_nat, on = self._offers[transaction]
        if self._procedure:
            self._remove(self._procedure[1])
        tunnelled = on and self.sets[on].mode == TUNNEL or is_behind_nat and not on
        mode = TUNNEL if tunnelled else TRANSPORT
        integrity, cipher = next((suite for suite in self.suites for entry in offered
                                  if suite == (entry.integrity, entry.cipher) and entry.mode == mode), self.suites[-1])
        first, number = offered[0], next(self._numbers)
        held = self.sets[number] = SaSet(
            ue=source, pcscf=self._address, port_uc=first.port_c, port_us=first.port_s, port_pc=next(self._ports),
            port_ps=self._port_ps, spi_uc=first.spi_c, spi_us=first.spi_s, spi_pc=next(self._spis),
            spi_ps=next(self._spis), integrity=integrity, cipher=cipher, ik=ik, ck=ck, mode=mode)
        self._stack.install(held)
        self._procedure = on, number
        header = ", ".join(offer(held.spi_pc, held.spi_ps, held.port_pc, held.port_ps, (a,), (b,), (mode,))
                           for a, b in self.suites)
        return self._verdict(on, security_server=header)

    def registered(self, _impi, transaction, _impus, _expires_s):
        if not self._procedure or transaction in self._offers:  # not challenged
            verdict = self._verdict(self.out)
        else:
            on, new = self._procedure
            self._remove(*(number for number in self.sets if number not in (on, new)))
            self._procedure, self.out = None, on or new
            verdict = self._verdict(new)
        return verdict  # a de-registered UE's sets stay: nobody is left to use them

    def failed(self, _impi, _transaction, _status):
        on, new = self._procedure or (self.out, 0)
        return self._verdict(on or new)

    def message(self, source, source_port, _local, local_port, is_request=True, method="", status=0, tcp=False):
        del is_request, method, status, tcp
        number = self._number(source, source_port, local_port)
        if number == 0:
            return self._verdict(0, "discard")
        if number > self.out:
            self._remove(*(other for other in self.sets if other < number))
            self.out = number
        return self._verdict(number, arrived_on=number, impi=self._impi)

    def route(self, _impi="", set_number=0):
        return self._verdict(set_number or self.out)

    def deregistered(self, _impi):
        self._remove(*list(self.sets))

    def transaction_begin(self, _set_number):
        return self._verdict(0)

    def transaction_end(self, _set_number):
        return self._verdict(0)
