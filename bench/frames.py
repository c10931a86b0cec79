"""Real frames for a device under test, from the cache of its own core (frame_port.cc, alike_frames.h)."""
import struct
import time
from pathlib import Path

from device import DeviceError

SOURCE, SINK = "net_null_frames,size=64", "net_null_sink,no-rx=1"
WORD_BYTES = 8
TO_GIVE, MEASURED_FROM, IS_OPEN, MEASURED_NS = 3, 4, 5, 6  # words of the file


class Frames:
    """What `esp_capture --differences` wrote to `path`. A device that was started with devices() takes them from its
    access side (`uplink`) or its host side."""

    def __init__(self, build, path, is_uplink):
        self.port, self.path, self.is_uplink = Path(build).resolve() / "bench/libgmesp_frame_port.so", path, is_uplink

    def devices(self):
        """Arguments of a Device."""
        names = (SOURCE, SINK) if self.is_uplink else (SINK, SOURCE)
        return {"access": names[0], "host": names[1],
                "environment": {"LD_PRELOAD": str(self.port), "GMESP_BENCH_FRAMES": str(self.path)}}

    def close(self, to_give):
        """None is given until rate(). The clock runs for the last three quarters."""
        self._write(IS_OPEN, 0)
        self._write(TO_GIVE, to_give)
        self._write(MEASURED_FROM, to_give // 4)
        self._write(MEASURED_NS, 0)

    def rate(self, device, seconds=60):
        """Lets a device have them that has sent nothing yet; packets per second that it sends."""
        given = self._read(TO_GIVE)
        self._write(IS_OPEN, 1)
        deadline = time.monotonic() + seconds
        while self._read(MEASURED_NS) == 0:
            if device.process.poll() is not None or time.monotonic() > deadline:
                raise DeviceError(f"{device.name} has not taken {given} frames in {seconds} s:\n"
                                  f"{device.log()[-1500:]}")
            time.sleep(0.02)
        measured = given - self._read(MEASURED_FROM)
        share = device.sent() / given
        if share < 0.99:
            raise DeviceError(f"{device.name} sent {share * 100:.1f} % of {given} frames:\n{device.log()[-1500:]}")
        return share * measured / self._read(MEASURED_NS) * 1e9

    def _write(self, word, value):
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(word * WORD_BYTES)
            file.write(struct.pack("=Q", value))

    def _read(self, word):
        with open(self.path, "rb", buffering=0) as file:
            file.seek(word * WORD_BYTES)
            return struct.unpack("=Q", file.read(WORD_BYTES))[0]
