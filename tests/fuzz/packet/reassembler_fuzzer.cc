// Fragments of a few datagrams in any shape and order: no fragment is lost from the books, and what
// is delivered is what one of the senders sent.
#include <algorithm>

#include "dataplane/ipsec/reassembler.h"
#include "frame.h"
#include "invariant.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kDatagramBytesMax = 1280;

/// The input, byte by byte; zeros behind its end.
struct Script {
  const uint8_t* at;
  const uint8_t* end;

  bool is_empty() const { return at == end; }
  uint8_t next() { return is_empty() ? 0 : *at++; }
};

/// Every fragment is in exactly one of these.
struct Books {
  uint64_t added = 0, joined = 0, dropped = 0, overdue = 0;
};

Bytes next_fragment(Script& script) {
  const uint8_t kind = script.next();
  DatagramShape shape;
  shape.is_ipv4 = (kind & 1) != 0;
  shape.source_host = 1 + (kind >> 1 & 1);
  shape.has_hop_by_hop = (kind >> 2 & 1) != 0;
  shape.type_of_service = kind >> 3 & 3;
  shape.vlan_tags = kind >> 5 & 1;
  const bool more = (kind >> 6 & 1) != 0;
  const bool is_odd = (kind >> 7 & 1) != 0;
  const uint32_t offset = script.next() * 8u;
  const uint8_t size = script.next();
  const uint32_t count = (size & 31) * 8u + (is_odd ? size >> 5 : 0);
  shape.protocol = (size & 31) == 7 ? kProtocolFragment : 253;
  const Bytes payload = pattern(offset + count);
  return make_fragment(shape, size >> 6, offset, more,
                       Bytes(payload.begin() + offset, payload.end()));
}

void take(Reassembler& reassembler, uint32_t slot, uint8_t room, Books& books) {
  Frame whole = Frame::empty(room == 0 ? 64 : kDatagramBytesMax);
  uint32_t fragments = 0;
  const bool fits = reassembler.take(slot, whole.packet, 0, fragments);
  books.joined += fragments;
  if (!fits) return;
  GMESP_INVARIANT(parse(whole.packet) == DropReason::kNone);
  GMESP_INVARIANT(!whole.packet.layers.is_fragment);
  const Bytes payload(whole.packet.at(whole.packet.layers.l4_offset),
                      whole.packet.data + whole.packet.length);
  GMESP_INVARIANT(payload == pattern(static_cast<uint32_t>(payload.size())));
}

void run(Script script) {
  Reassembler reassembler({.datagrams_max = 3,
                           .datagram_bytes_max = kDatagramBytesMax,
                           .per_source_max = 2,
                           .timeout_ms = 10});
  Books books;
  uint64_t now_ms = 0;
  while (!script.is_empty()) {
    const uint8_t step = script.next();
    now_ms += step >> 4;
    if ((step & 3) == 0) books.overdue += reassembler.expire(now_ms, step >> 2 & 3);
    Frame frame(next_fragment(script));
    if (parse(frame.packet) != DropReason::kNone || !frame.packet.layers.is_fragment) continue;
    ++books.added;
    const auto result = reassembler.add(frame.packet, now_ms);
    books.dropped += result.fragments_dropped;
    if (result.outcome == Reassembler::Outcome::kComplete)
      take(reassembler, result.slot, step >> 2 & 3, books);
  }
  books.overdue += reassembler.expire(UINT64_MAX, 3);
  GMESP_INVARIANT(reassembler.waiting() == 0);
  GMESP_INVARIANT(books.added == books.joined + books.dropped + books.overdue);
}

}  // namespace
}  // namespace gmesp::ipsec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gmesp::ipsec::run({data, data + size});
  return 0;
}
