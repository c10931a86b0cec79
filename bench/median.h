// The middle one of measurements.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace gmesp::bench {

/// Of at least one.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace gmesp::bench
