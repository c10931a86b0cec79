"""Real frames for a device under test, from the cache of its own core (frame_port.cc, alike_frames.h)."""
import struct
import time
from pathlib import Path

from device import DeviceError

SOURCE, SINK = "net_null_frames,size=64", "net_null_sink,no-rx=1"
WORD_BYTES = 8
TO_GIVE, MEASURED_FROM, IS_OPEN, MEASURED_NS = 3, 4, 5, 6  # words of the file


class Frames:
    """What `esp_capture --differences` wrote to `path`, for devices that were started with devices() and take them
    from their access side (`uplink`) or their host side: in turns of so many `packets`, of which the first quarter is
    for a device to find its pace."""

    def __init__(self, build, path, is_uplink, packets):
        self.port, self.path, self.is_uplink = Path(build).resolve() / "bench/libgmesp_frame_port.so", path, is_uplink
        self.packets = packets

    def devices(self):
        """Arguments of a Device."""
        names = (SOURCE, SINK) if self.is_uplink else (SINK, SOURCE)
        return {"access": names[0], "host": names[1],
                "environment": {"LD_PRELOAD": str(self.port), "GMESP_BENCH_FRAMES": str(self.path)}}

    def close(self):
        """None is given until turn()."""
        self._write(IS_OPEN, 0)

    def turn(self, number, device, seconds=60):
        """Lets a device run that is stopped and had all turns before, from the first, which is 0. Packets per second
        that it takes."""
        self._write(TO_GIVE, (number + 1) * self.packets)
        self._write(MEASURED_FROM, number * self.packets + self.packets // 4)
        self._write(MEASURED_NS, 0)
        self._write(IS_OPEN, 1)
        deadline = time.monotonic() + seconds
        with device.resumed():
            while self._read(MEASURED_NS) == 0:
                if device.process.poll() is not None or time.monotonic() > deadline:
                    raise DeviceError(f"{device.name} has not taken {self.packets} frames in {seconds} s:\n"
                                      f"{device.log()[-1500:]}")
                time.sleep(0.002)
        return (self.packets - self.packets // 4) / self._read(MEASURED_NS) * 1e9

    def share_sent(self, turns, device):
        """Of what a stopped device was given in all."""
        with device.resumed():
            share = device.sent() / (turns * self.packets)
        if share < 0.99:
            raise DeviceError(f"{device.name} sent {share * 100:.1f} % of {turns * self.packets} frames:\n"
                              f"{device.log()[-1500:]}")
        return share

    def _write(self, word, value):
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(word * WORD_BYTES)
            file.write(struct.pack("=Q", value))

    def _read(self, word):
        with open(self.path, "rb", buffering=0) as file:
            file.seek(word * WORD_BYTES)
            return struct.unpack("=Q", file.read(WORD_BYTES))[0]
