// The header fields of a SIP message, one after another, as views with their folds (RFC 3261 7.3).
//
// Threading: pure functions. Ownership: views point into the block given. Errors: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gmesp::screen {

/// Header fields that the screen knows, their compact forms included.
enum class HeaderId : uint8_t {
  kOther,
  kAcceptContact,
  kAllowEvents,
  kCallId,
  kContact,
  kContentEncoding,
  kContentLength,
  kContentType,
  kCseq,
  kEvent,
  kFrom,
  kIdentity,
  kIdentityInfo,
  kReferTo,
  kReferredBy,
  kRejectContact,
  kRequestDisposition,
  kRoute,
  kSessionExpires,
  kSubject,
  kSupported,
  kTo,
  kVia,
};

struct HeaderField {
  HeaderId id;
  std::string_view name;   ///< as written
  std::string_view value;  ///< with its folds, without blanks around it
};

/// The fields of a header block in their order: `for (HeaderField field; fields.next(field);)`.
class HeaderFields {
 public:
  explicit HeaderFields(std::string_view header_block) : rest_(header_block) {}

  /// False at the end.
  bool next(HeaderField& field);

 private:
  std::string_view rest_;
};

/// Bytes of the field that starts `rest`, its folds and line end included. 0: no byte of a next
/// line shows yet that the field ends.
size_t field_bytes(std::string_view rest);

/// `line` is one field with its folds. Without a name before a colon: no name, and the line as
/// value.
HeaderField read_field(std::string_view line);

}  // namespace gmesp::screen
