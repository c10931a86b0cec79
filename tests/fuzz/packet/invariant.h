// What a fuzz target states about every input: a broken statement ends the program, as a memory
// error would.
#pragma once

#include <cstdio>
#include <cstdlib>

#define GMESP_INVARIANT(holds)                                         \
  do {                                                                 \
    if (!(holds)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds); \
      std::abort();                                                    \
    }                                                                  \
  } while (false)
