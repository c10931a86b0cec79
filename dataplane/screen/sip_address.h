// Addresses in header values: name-addr and addr-spec with their parameters (RFC 3261 20, 25.1).
//
// Text in quotes is text: a bracket, comma or semicolon in it separates nothing.
// Threading: pure functions. Ownership: views point into the value given. Errors: false.
#pragma once

#include <string_view>

namespace gmesp::screen {

struct SipAddress {
  std::string_view uri;
  std::string_view parameters;  ///< behind the URI, from the first semicolon; may be empty
  bool is_bracketed;            ///< <uri>; without brackets everything behind ; is the header's
};

/// Takes the first address of a comma-separated list off `list`. False: none is left, or the rest
/// cannot be read.
bool take_address(std::string_view& list, SipAddress& address);

/// Takes the first element off `list`, up to `separator` outside of quotes and of <>, and the
/// separator. False: none is left, or a quote does not end.
bool take_element(std::string_view& list, char separator, std::string_view& element);

struct SipParameter {
  std::string_view name;
  std::string_view value;  ///< with its quotes; empty: there is none
};

/// Takes the first parameter off `;name=value;name`. False: none is left, or it cannot be read.
bool take_parameter(std::string_view& parameters, SipParameter& parameter);

/// `small` is in small letters.
bool has_parameter(std::string_view parameters, std::string_view small);

}  // namespace gmesp::screen
