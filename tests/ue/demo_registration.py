"""The demo's chapter in which a phone registers: each message of TS 33.203 6.1.1 as it goes, and the SAs it makes."""
import access_wire
import sip
from access_network import PCSCF
from access_wire import AccessWire
from real_network import LINGER_S, PROTECTED_PORTS, Phone, RealNetwork, settled

_IMPI = "phone@home.test"
_UE, _PCSCF, _SCSCF = "UE", "P-CSCF", "S-CSCF"
_PICTURE = """
  UE ══ESP══▶ router ══ESP══▶ ┌────────┐ ──clear SIP──▶ P-CSCF: SIP proxy ──▶ S-CSCF, HSS
  AKA and ESP                 │ gmespd │                       │ libgmesp
  in Python                   └───▲────┘               ┌───────▼───────┐
                                  └───shared memory────┤ gmesp-control │
                                                       └───────────────┘
"""


class _Teller:
    """Prints each step of a registration as it happens, told by UE, proxy and registrar."""

    def __init__(self, real, phone, network):
        self._real, self._ue, self._number = real, phone.ue, 0
        self._answer = network.registrar.answer
        self._ue.tamper, network.tamper, network.registrar.answer = self._ue_sends, self._proxy_sends, self._registrar

    def _say(self, names, source, destination, where, text):
        print(f"    {names:<10} {source + ' > ' + destination:<16} {where:<12} {text}", flush=True)

    def _ue_sends(self, step, message):
        if step == "SM1":
            where = "in clear" if self._ue.table.live is None else "on old SAs"
            entries = message.get("Security-Client").split(",")
            self._say(step, _UE, _PCSCF, where, f"REGISTER; Security-Client with {len(entries)} entries")
        else:
            self._say(step, _UE, _PCSCF, "on new SAs", "REGISTER; response computed with RES, Security-Verify")

    def _registrar(self, request):
        is_sm7 = bool(sip.digest(request.get("Authorization")).get("response"))
        indicator = sip.digest(request.get("Authorization")).get("integrity-protected")
        self._say("SM8, SM9" if is_sm7 else "SM2, SM3", _PCSCF, _SCSCF, "home network",
                  f"REGISTER; integrity-protected={indicator}")
        answer = self._answer(request)
        has_keys = answer.status == 401
        self._say("SM4, SM5" if has_keys else "SM10, SM11", _SCSCF, _PCSCF, "home network",
                  "401; RAND, AUTN, and IK and CK for the P-CSCF" if has_keys else
                  f"{answer.status}; RES was right, Expires {answer.get('Expires')}")
        return answer

    def _proxy_sends(self, step, message):
        if step == "SM6":
            where = "in clear" if self._ue.table.live is None else "on old SAs"
            text = f"401; IK and CK taken out, Security-Server added: {_numbers(message)}"
        else:
            where, text = "on new SAs", f"{message.status} OK"
        self.table()
        self._say(step, _PCSCF, _UE, where, text)

    def table(self):
        """gmespctl registrations, narrowed."""
        rows = self._real.sets(_IMPI)
        if not rows:
            print("               gmespctl registrations: no SA set", flush=True)
        for row in rows:
            marks = " ".join(mark for mark in ("latest", "outbound") if row[f"is_{mark}"])
            ports = " ".join(f"{name} {row[f'port_{name}']:<5}" for name in ("uc", "us", "pc", "ps"))
            text = f"set {row['number']} {row['state']:<12} {ports} {row['cipher']}/{row['integrity']} {marks}"
            print(f"               {text}".rstrip(), flush=True)


def _numbers(message):
    values = sip.parameters(message.get("Security-Server").split(",")[0].partition(";")[2])
    return f"port-c={values['port-c']}, port-s={values['port-s']}"


def _serve(story, phone, network, method):
    """One request each way on the live SAs."""
    answer = phone.ue.request(method, b"hello")
    story.step(bool(answer) and answer.status == 200, f"{method} from the phone: answered with 200")
    answer = network.request(_IMPI, method, b"hello")
    story.step(bool(answer) and answer.status == 200, f"{method} to the phone: answered with 200")


def _register_first(story, phone):
    outcome = phone.ue.register()
    story.step(outcome.status == 200, "registered: mutual AKA, four SAs between phone and gmespd")


def _register_again(story, real, teller, phone, network):
    print("\n  Registered again, on the SAs it has:", flush=True)
    old = phone.ue.table.live.agreed
    outcome = phone.ue.register()
    new = phone.ue.table.live.agreed
    story.step(outcome.status == 200 and new.spi_ps != old.spi_ps, "registered again: both sets are there")
    answer = network.request(_IMPI, "MESSAGE")
    story.step(bool(answer) and phone.ue.served[-1].remote[1] == old.port_pc,
               "MESSAGE to the phone: still on the old SAs, the new ones have carried nothing but SM7")
    answer = phone.ue.request("MESSAGE")
    is_gone = settled(lambda: [row["spi_ps"] for row in real.sets(_IMPI)] == [new.spi_ps])
    story.step(bool(answer) and is_gone, "MESSAGE from the phone on the new SAs: the old ones are gone")
    teller.table()
    answer = network.request(_IMPI, "INVITE")
    story.step(bool(answer) and phone.ue.served[-1].remote[1] == new.port_pc, "call to the phone: on the new SAs")


def _deregister(story, real, teller, phone):
    print("\n  Switched off:", flush=True)
    outcome = phone.ue.deregister()
    story.step(outcome.status == 200, "de-registered; the 200 came protected, its SAs stay for a repetition")
    teller.table()
    story.step(settled(lambda: not real.sets(_IMPI), LINGER_S + 2), "64*T1 later (6.4 s here) nothing is left of it")


def show(story, build):
    """Runs the chapter in the private world of lab.run_isolated(); `build` is where the daemons were built."""
    story.chapter("7. A phone registers (TS 33.203 6.1.1): gmesp-control and gmespd, started anew")
    print(_PICTURE, flush=True)
    real = RealNetwork(build / "dataplane" / "gmespd", build / "control" / "daemon" / "gmesp-control",
                       build / "control" / "cli" / "gmespctl", build / "control" / "client" / "libgmesp.so.0")
    real.start()
    network, keys = real.home(4, _IMPI)
    phone = Phone(_IMPI, keys[_IMPI])
    wire = AccessWire()
    teller = _Teller(real, phone, network)
    try:
        _register_first(story, phone)
        for method in ("MESSAGE", "INVITE"):
            _serve(story, phone, network, method)
        _register_again(story, real, teller, phone, network)
        _deregister(story, real, teller, phone)
        frames = wire.frames()
        leaks = access_wire.clear_leaks(frames, PCSCF.values(), PROTECTED_PORTS, phone.stack.ports)
        count = sum(frame.is_esp() for frame in frames)
        story.step(count > 0 and not leaks, f"access wire: {count} ESP packets, nothing clear on a protected port")
    finally:
        for part in (phone, network, wire, real):
            part.close()
