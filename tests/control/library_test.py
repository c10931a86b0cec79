#!/usr/bin/env python3
"""libgmesp from outside: what it needs, what it exports, and that its headers are C11 and C++.

library_test.py LIBRARY CC CXX HEADER...
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, CC, CXX, *HEADERS = sys.argv[1:]
PROGRAM = """
#include "gmesp.h"
#include "gmesp_control.h"
int main(void) {
  struct gmesp_sa_set set;
  GMESP_INIT(&set);
  struct gmesp_dp_options options;
  GMESP_INIT(&options);
  options.role = GMESP_READER;
  options.socket_path = "/nowhere/s";
  struct gmesp_dp *dp;
  char detail[GMESP_DETAIL_BYTES];
  int error = gmesp_dp_open(&options, &dp, detail, sizeof detail);
  gmesp_sa_set_wipe(&set);
  gmesp_dp_close(dp);
  struct gmesp_control_options control_options;
  GMESP_INIT(&control_options);
  control_options.socket_path = "/nowhere/s";
  struct gmesp_control *control;
  int control_error = gmesp_control_open(&control_options, &control, detail, sizeof detail);
  struct gmesp_challenge challenge;
  GMESP_INIT(&challenge);
  int fed = gmesp_submit_challenge(control, &challenge, 1);
  gmesp_control_close(control);
  if (control_error != GMESP_E_NOT_CONNECTED || fed != GMESP_E_BAD_ARGUMENT) return 2;
  return error == GMESP_E_NOT_CONNECTED && set.size == sizeof set ? 0 : 1;
}
"""


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


class Library(unittest.TestCase):
    # Shows: R-C-04
    def test_needs_libc_alone(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", LIBRARY))
        self.assertLessEqual(set(needed), {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})

    # Shows: R-C-04
    def test_nothing_of_the_cpp_run_time_is_missing(self):
        undefined = output("nm", "-D", "--undefined-only", LIBRARY).split()
        self.assertEqual([name for name in undefined if name.startswith(("_Z", "__cxa_throw", "__gxx"))], [])

    # Shows: R-C-04
    def test_exports_what_the_headers_declare(self):
        exported = {line.split()[-1].split("@")[0] for line in
                    output("nm", "-D", "--defined-only", LIBRARY).splitlines()} - {"GMESP_0"}
        declared = set()
        for header in HEADERS:
            with open(header, encoding="utf-8") as file:
                declared.update(re.findall(r"\b(gmesp_\w+)\(", re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)))
        self.assertEqual(exported, declared)

    # Shows: R-C-04
    def test_soname(self):
        self.assertIn("[libgmesp.so.0]", output("readelf", "-d", LIBRARY))

    # Shows: R-C-04
    def test_headers_are_c11_and_cpp_and_programs_link_without_cpp(self):
        include = "-I" + os.path.dirname(HEADERS[0])
        strict = ["-Wall", "-Wextra", "-pedantic", "-Werror", include]
        with tempfile.TemporaryDirectory() as folder:
            for compiler, standard, suffix in ((CC, "c11", "c"), (CXX, "c++11", "cc")):
                source, program = f"{folder}/p.{suffix}", f"{folder}/p_{suffix}"
                with open(source, "w", encoding="utf-8") as file:
                    file.write(PROGRAM)
                subprocess.run([*compiler.split(), f"-std={standard}", *strict, source, "-o", program,
                                LIBRARY, "-Wl,-rpath," + os.path.dirname(LIBRARY)], check=True)
                subprocess.run([program], check=True)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
