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

/// A pattern that matches wherever `pattern` matches in a piece of the text, whatever stands around
/// that piece: anchors at its ends and word boundaries are left out. Empty: none is known.
std::string pattern_anywhere(std::string_view pattern);

/// The longest word, perhaps in other letters, that every match of a pattern_anywhere() holds.
/// Empty: there is none.
std::string pattern_word(std::string_view anywhere);

}  // namespace gmesp::screen
