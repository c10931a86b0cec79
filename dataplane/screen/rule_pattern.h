// What is told of a pattern before it is compiled: how large it becomes, since Hyperscan cannot be
// interrupted and a few nested repeats keep it busy for minutes; and how to look for it in a text
// that its place is only a part of.
//
// Threading: pure functions. Errors: none; what is no pattern has a size too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gmesp::screen {

/// Characters and classes of `pattern` with every bounded repeat written out, at least; saturates.
uint64_t pattern_positions(std::string_view pattern);

/// A pattern that matches in any text around `pattern`'s own, as long as what stands next to that
/// is no letter, digit or '_': the anchors at its ends are left out. Empty: none is known.
std::string pattern_anywhere(std::string_view pattern);

}  // namespace gmesp::screen
