// What nearly every test includes, compiled once for each test program: half of a test's time with
// the compiler was spent on reading it.
#ifndef GMESP_TESTS_PRECOMPILED_TESTS_H
#define GMESP_TESTS_PRECOMPILED_TESTS_H

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#endif
