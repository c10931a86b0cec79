// SIP messages as tests write them: lines with LF in the source, CRLF on the wire; bytes of exact
// size on the heap, so that a sanitizer sees a read beyond the end.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gmesp::screen {

/// LF becomes CRLF.
inline std::string on_wire(std::string_view lines) {
  std::string text;
  for (const char c : lines) {
    if (c == '\n') text += '\r';
    text += c;
  }
  return text;
}

/// Owns `text` without a byte to spare.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view text)
      : bytes_(new uint8_t[text.size()]), size_(text.size()) {
    text.copy(reinterpret_cast<char*>(bytes_.get()), text.size());
  }
  std::span<const uint8_t> span() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_;
};

/// A request with what a request must have; `more` holds further header lines with their LF.
inline std::string request(std::string_view method, std::string_view uri,
                           std::string_view more = {},
                           std::string_view to = "<sip:b@ims.example>") {
  std::string text;
  const auto add = [&text](auto... parts) { (text.append(parts), ...); };
  add(method, " ", uri, " SIP/2.0\n");
  add("Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK776asdhds\n");
  add("Max-Forwards: 70\nFrom: <sip:a@ims.example>;tag=49583\nTo: ", to, "\n");
  add("Call-ID: asd88asd77a@192.0.2.7\nCSeq: 1 ", method, "\n", more, "Content-Length: 0\n\n");
  return on_wire(text);
}

inline std::string response(std::string_view status_line, std::string_view from,
                            std::string_view to) {
  std::string text(status_line);
  const auto add = [&text](auto... parts) { (text.append(parts), ...); };
  add("\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKnashds8\nFrom: ", from, "\nTo: ", to);
  add("\nCall-ID: asd88asd77a@192.0.2.7\nCSeq: 1 INVITE\nContent-Length: 0\n\n");
  return on_wire(text);
}

}  // namespace gmesp::screen
