#include "dataplane/ipsec/reassembler.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/ipsec/block_map.h"
#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/free_list.h"
#include "dataplane/ipsec/hash_chains.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/keyed_hash.h"
#include "dataplane/ipsec/source_budget.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
constexpr uint32_t kDatagramsMax = 1u << 20;
constexpr uint32_t kDatagramBytesMin = 1280;
constexpr uint32_t kIpBytesMax = 65535;

// RFC 3168 5, the two bits of ECN.
constexpr uint8_t kNotEct = 0;
constexpr uint8_t kCe = 3;

/// Which datagram a fragment belongs to: addresses, context and identification, and VLANs, protocol
/// (IPv4 alone: RFC 791 2.3, RFC 8200 4.5) and family.
using Key = std::array<uint64_t, 6>;

/// The VLAN identifiers of a frame with tags; priorities may differ among fragments.
uint32_t vlans(const Packet& packet) {
  uint32_t identifiers = 0;
  for (uint32_t tag = 0; tag < kVlanTagsMax; ++tag) {
    const uint32_t at = kEthernetBytes + tag * kVlanTagBytes;
    if (packet.layers.l3_offset < at + kVlanTagBytes) break;
    identifiers = identifiers << 12 | (load_be16(packet.at(at)) & 0x0fff);
  }
  return identifiers;
}

Key key_of(const Packet& packet, uint32_t context) {
  const Layers& layers = packet.layers;
  const uint32_t protocol = layers.is_ipv4 ? layers.protocol : 0;
  return {layers.source.high(),
          layers.source.low(),
          layers.destination.high(),
          layers.destination.low(),
          uint64_t{context} << 32 | layers.fragment_id,
          uint64_t{vlans(packet)} << 32 | protocol << 8 | (layers.is_ipv4 ? 4u : 6u)};
}

/// What one fragment brings.
struct Piece {
  const uint8_t* payload;
  uint32_t offset;        ///< in the datagram's payload
  uint32_t count;         ///< bytes of payload
  uint32_t header_bytes;  ///< of the frame, what stays in the joined one
  bool is_last;
  uint8_t ecn;

  uint32_t end() const { return offset + count; }
  uint32_t first_block() const { return offset / kFragmentUnitBytes; }
  uint32_t end_block() const { return (end() + kFragmentUnitBytes - 1) / kFragmentUnitBytes; }
};

Piece piece_of(const Packet& fragment) {
  const Layers& layers = fragment.layers;
  const uint8_t type_of_service =
      layers.is_ipv4 ? *fragment.at(layers.l3_offset + 1)
                     : static_cast<uint8_t>(load_be16(fragment.at(layers.l3_offset)) >> 4);
  Piece piece;
  piece.payload = fragment.at(layers.l4_offset);
  piece.offset = layers.fragment_offset;
  piece.count = fragment.l4_bytes();
  piece.header_bytes = layers.is_ipv4 ? layers.l4_offset : layers.fragment_header_offset;
  piece.is_last = !layers.more_fragments;
  piece.ecn = type_of_service & 3;
  return piece;
}

/// RFC 6946: a whole datagram with a fragment header on it.
bool is_atomic(const Piece& piece) {
  return piece.is_last && piece.offset == 0;
}

/// A fragment that can be part of no datagram (RFC 791 3.2, RFC 8200 4.5).
bool is_malformed(const Packet& fragment, const Piece& piece) {
  if (piece.count == 0 && !is_atomic(piece)) return true;
  if (!piece.is_last && piece.count % kFragmentUnitBytes != 0) return true;
  // IPv6 counts what follows its fixed header, IPv4 all.
  const Layers& layers = fragment.layers;
  const uint32_t header_bytes =
      piece.header_bytes - layers.l3_offset - (layers.is_ipv4 ? 0 : kIpv6HeaderBytes);
  return header_bytes + piece.end() > kIpBytesMax;
}

/// RFC 8200 4.1 knows one fragment header; with more of them a datagram could be joined again and
/// again. `payload` is what stands behind the first, `next` what it names.
bool has_fragment_header(uint8_t next, const uint8_t* payload, uint32_t count) {
  for (uint32_t headers = 0; headers < kExtensionHeadersMax; ++headers) {
    const bool is_extension = next == kProtocolHopByHop || next == kProtocolRouting ||
                              next == kProtocolDestinationOptions;
    if (!is_extension || count < 8) break;
    next = payload[0];
    const uint32_t header_bytes = std::min(extension_header_bytes(payload), count);
    payload += header_bytes;
    count -= header_bytes;
  }
  return next == kProtocolFragment;
}

/// Where the next-header byte that says "fragment header" stands. parse() went the same way.
uint32_t fragment_header_named_at(const Packet& fragment) {
  const Layers& layers = fragment.layers;
  uint32_t named_at = layers.l3_offset + kIpv6NextHeaderAt;
  uint32_t offset = layers.l3_offset + kIpv6HeaderBytes;
  while (offset < layers.fragment_header_offset) {
    named_at = offset;
    offset += extension_header_bytes(fragment.at(offset));
  }
  return named_at;
}

enum class State : uint8_t {
  kFree,
  kCollecting,
  kDropped,   ///< takes the rest of its datagram with it until its time is over (RFC 5722)
  kComplete,  ///< waits for take(); no fragment can find it
};

struct Slot {
  /// Payload from the front, headers at the end; misfit() keeps them apart.
  uint8_t* bytes;
  BlockMap received;
  BlockMap starts;  ///< blocks where a fragment starts: with these, the pieces can be told apart

  Key key;
  uint64_t hash;
  uint64_t deadline_ms;
  uint32_t source;        ///< entry of the SourceBudget
  uint32_t older, newer;  ///< slots collecting or dropped, by age
  uint32_t fragments;
  uint32_t header_bytes;  ///< of the frame; 0: the first fragment is not there yet
  uint32_t named_at;      ///< IPv6: of the byte that named the fragment header
  uint32_t received_bytes;
  uint32_t extent_bytes;  ///< end of the payload byte farthest out
  uint32_t end_bytes;     ///< of the whole payload; kNone: the last fragment is not there yet
  uint16_t l3_offset;
  uint8_t protocol;
  bool is_ipv4;
  uint8_t ecn_seen;  ///< bit n: a fragment had ECN n
  State state;
  DropReason reason;  ///< kDropped

  bool has_ecn(uint8_t ecn) const { return (ecn_seen >> ecn & 1) != 0; }
};

/// True if exactly this fragment is there already: the same place, the same bytes.
bool is_repetition(const Slot& slot, const Piece& piece) {
  const uint32_t from = piece.first_block();
  const uint32_t to = piece.end_block();
  if (piece.end() > slot.extent_bytes) return false;
  if (!slot.received.all(from, to) || !slot.starts.get(from)) return false;
  if (slot.starts.any(from + 1, to)) return false;
  if (piece.is_last != (piece.end() == slot.end_bytes)) return false;
  const bool ends_here =
      piece.end() == slot.extent_bytes || slot.starts.get(to) || !slot.received.get(to);
  return ends_here &&
         std::equal(piece.payload, piece.payload + piece.count, slot.bytes + piece.offset);
}

/// Why `piece` takes its whole datagram with it; kNone if it does not.
DropReason misfit(const Slot& slot, const Piece& piece, uint32_t datagram_bytes_max) {
  const uint32_t header_bytes = piece.offset == 0 ? piece.header_bytes : slot.header_bytes;
  if (header_bytes + std::max(piece.end(), slot.extent_bytes) > datagram_bytes_max)
    return DropReason::kFragmentTooLarge;
  if (piece.is_last && slot.end_bytes != kNone && slot.end_bytes != piece.end())
    return DropReason::kFragmentOverlap;
  if (slot.end_bytes != kNone && piece.end() > slot.end_bytes) return DropReason::kFragmentBad;
  if (piece.is_last && piece.end() < slot.extent_bytes) return DropReason::kFragmentBad;
  if (slot.received.any(piece.first_block(), piece.end_block()))
    return DropReason::kFragmentOverlap;
  // RFC 3168 5.3: a mark of congestion must not be lost, nor be put on a sender without ECN.
  const bool has_not_ect = piece.ecn == kNotEct || slot.has_ecn(kNotEct);
  const bool has_ce = piece.ecn == kCe || slot.has_ecn(kCe);
  return has_not_ect && has_ce ? DropReason::kFragmentBad : DropReason::kNone;
}

void store(Slot& slot, const Packet& fragment, const Piece& piece, uint32_t datagram_bytes_max) {
  const Layers& layers = fragment.layers;
  std::memcpy(slot.bytes + piece.offset, piece.payload, piece.count);
  slot.received.set_all(piece.first_block(), piece.end_block());
  slot.starts.set(piece.first_block());
  slot.received_bytes += piece.count;
  slot.extent_bytes = std::max(slot.extent_bytes, piece.end());
  if (piece.is_last) slot.end_bytes = piece.end();
  slot.ecn_seen |= static_cast<uint8_t>(1 << piece.ecn);
  ++slot.fragments;
  if (piece.offset != 0) return;
  // RFC 791 3.2, RFC 8200 4.5: headers and protocol are those of the first fragment.
  std::memcpy(slot.bytes + datagram_bytes_max - piece.header_bytes, fragment.data,
              piece.header_bytes);
  slot.header_bytes = piece.header_bytes;
  slot.l3_offset = layers.l3_offset;
  slot.protocol = layers.protocol;
  slot.is_ipv4 = layers.is_ipv4;
  if (!layers.is_ipv4) slot.named_at = fragment_header_named_at(fragment);
}

/// The IP header of `slot`'s joined datagram, which `frame` holds already, becomes that of a whole
/// one.
void mend_headers(const Slot& slot, uint8_t* frame) {
  uint8_t* ip = frame + slot.l3_offset;
  const uint32_t l3_bytes = slot.header_bytes - slot.l3_offset + slot.end_bytes;
  if (slot.is_ipv4) {
    if (slot.has_ecn(kCe)) ip[1] |= kCe;
    store_be16(ip + kIpv4TotalLengthAt, static_cast<uint16_t>(l3_bytes));
    store_be16(ip + kIpv4FragmentAt, 0);
    set_ipv4_checksum(ip);
  } else {
    if (slot.has_ecn(kCe)) ip[1] |= kCe << 4;
    store_be16(ip + kIpv6PayloadLengthAt, static_cast<uint16_t>(l3_bytes - kIpv6HeaderBytes));
    frame[slot.named_at] = slot.protocol;
  }
}

Reassembler::Result dropped(DropReason reason, uint32_t fragments) {
  return {Reassembler::Outcome::kDropped, reason, fragments, 0};
}

/// `fragments` is how many go now; those still to come go one by one.
Reassembler::Result drop_datagram(Slot& slot, DropReason reason, uint32_t fragments) {
  slot.state = State::kDropped;
  slot.reason = reason;
  slot.fragments = 0;
  return dropped(reason, fragments);
}

Reassembler::Result complete(uint32_t index) {
  return {Reassembler::Outcome::kComplete, DropReason::kNone, 0, index};
}

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("reassembly: ") + what);
}

const ReassemblerOptions& checked(const ReassemblerOptions& options) {
  require(options.datagrams_max >= 1 && options.datagrams_max <= kDatagramsMax,
          "datagrams_max must be 1..1,048,576");
  require(
      options.datagram_bytes_max >= kDatagramBytesMin && options.datagram_bytes_max <= kIpBytesMax,
      "datagram_bytes_max must be 1,280..65,535");
  require(options.per_source_max >= 1, "per_source_max must be 1 at least");
  return options;
}

}  // namespace

struct Reassembler::Impl {
  explicit Impl(const ReassemblerOptions& given);

  Result add(const Packet& fragment, uint32_t context, uint64_t now_ms);
  Result add_atomic(const Packet& fragment, const Piece& piece);
  uint32_t find(const Key& key, uint64_t hash) const;
  uint32_t claim();
  DropReason start(const Key& key, uint64_t hash, const Address& source, uint64_t now_ms,
                   uint32_t& index);
  /// Takes a slot away from fragments: out of table, budget and age list.
  void detach(uint32_t index);
  void give_back(uint32_t index);

  const ReassemblerOptions options;
  const uint32_t words_per_map;
  const KeyedHash hash_of;
  std::vector<Slot> slots;
  std::vector<uint8_t> bytes;
  std::vector<uint64_t> words;
  HashChains chains;
  FreeList free;
  SourceBudget sources;
  uint32_t oldest = kNone;
  uint32_t newest = kNone;
};

Reassembler::Impl::Impl(const ReassemblerOptions& given)
    : options(checked(given)),
      words_per_map(options.datagram_bytes_max / (64 * kFragmentUnitBytes) + 1),
      slots(options.datagrams_max),
      bytes(size_t{options.datagrams_max} * options.datagram_bytes_max),
      words(size_t{options.datagrams_max} * 2 * words_per_map),
      chains(options.datagrams_max),
      free(options.datagrams_max),
      sources(options.datagrams_max, options.per_source_max) {
  for (size_t index = 0; index < slots.size(); ++index) {
    slots[index].bytes = bytes.data() + index * options.datagram_bytes_max;
    slots[index].received.words = words.data() + index * 2 * words_per_map;
    slots[index].starts.words = slots[index].received.words + words_per_map;
  }
}

uint32_t Reassembler::Impl::find(const Key& key, uint64_t hash) const {
  uint32_t index = chains.first(hash);
  while (index != kEndOfChain && slots[index].key != key) index = chains.next(index);
  return index == kEndOfChain ? kNone : index;
}

/// An empty slot that no fragment can find yet; kNone if there is none.
uint32_t Reassembler::Impl::claim() {
  if (free.is_empty()) return kNone;
  const uint32_t index = free.take();
  Slot& slot = slots[index];
  std::fill_n(slot.received.words, 2 * words_per_map, 0);  // and the starts behind them
  slot.fragments = 0;
  slot.header_bytes = 0;
  slot.received_bytes = 0;
  slot.extent_bytes = 0;
  slot.end_bytes = kNone;
  slot.ecn_seen = 0;
  return index;
}

DropReason Reassembler::Impl::start(const Key& key, uint64_t hash, const Address& source,
                                    uint64_t now_ms, uint32_t& index) {
  if (free.is_empty()) return DropReason::kFragmentTableFull;
  const uint32_t entry = sources.take(source);
  if (entry == SourceBudget::kNothingLeft) return DropReason::kFragmentBudget;
  index = claim();
  Slot& slot = slots[index];
  slot.state = State::kCollecting;
  slot.key = key;
  slot.hash = hash;
  slot.source = entry;
  slot.deadline_ms = now_ms + options.timeout_ms;
  slot.older = newest;
  slot.newer = kNone;
  (newest == kNone ? oldest : slots[newest].newer) = index;
  newest = index;
  chains.insert(hash, index);
  return DropReason::kNone;
}

void Reassembler::Impl::detach(uint32_t index) {
  const Slot& slot = slots[index];
  chains.erase(slot.hash, index);
  sources.give_back(slot.source);
  (slot.older == kNone ? oldest : slots[slot.older].newer) = slot.newer;
  (slot.newer == kNone ? newest : slots[slot.newer].older) = slot.older;
}

void Reassembler::Impl::give_back(uint32_t index) {
  slots[index].state = State::kFree;
  free.give_back(index);
}

/// RFC 6946 4: never mixed with other fragments, even of the same identification.
Reassembler::Result Reassembler::Impl::add_atomic(const Packet& fragment, const Piece& piece) {
  if (piece.header_bytes + piece.end() > options.datagram_bytes_max)
    return dropped(DropReason::kFragmentTooLarge, 1);
  if (has_fragment_header(fragment.layers.protocol, piece.payload, piece.count))
    return dropped(DropReason::kFragmentBad, 1);
  const uint32_t index = claim();
  if (index == kNone) return dropped(DropReason::kFragmentTableFull, 1);
  store(slots[index], fragment, piece, options.datagram_bytes_max);
  slots[index].state = State::kComplete;
  return complete(index);
}

Reassembler::Result Reassembler::Impl::add(const Packet& fragment, uint32_t context,
                                           uint64_t now_ms) {
  const Piece piece = piece_of(fragment);
  if (is_malformed(fragment, piece)) return dropped(DropReason::kFragmentBad, 1);
  if (is_atomic(piece)) return add_atomic(fragment, piece);
  const Key key = key_of(fragment, context);
  const uint64_t hash = hash_of(key);
  uint32_t index = find(key, hash);
  if (index == kNone) {
    const DropReason reason = start(key, hash, fragment.layers.source, now_ms, index);
    if (reason != DropReason::kNone) return dropped(reason, 1);
  }
  Slot& slot = slots[index];
  if (slot.state == State::kDropped) return dropped(slot.reason, 1);
  if (is_repetition(slot, piece)) return dropped(DropReason::kFragmentOverlap, 1);
  const DropReason reason = misfit(slot, piece, options.datagram_bytes_max);
  if (reason != DropReason::kNone) return drop_datagram(slot, reason, slot.fragments + 1);
  store(slot, fragment, piece, options.datagram_bytes_max);
  if (slot.received_bytes != slot.end_bytes) return {Outcome::kStored, DropReason::kNone, 0, 0};
  if (!slot.is_ipv4 && has_fragment_header(slot.protocol, slot.bytes, slot.end_bytes))
    return drop_datagram(slot, DropReason::kFragmentBad, slot.fragments);
  detach(index);
  slot.state = State::kComplete;
  return complete(index);
}

Reassembler::Reassembler(const ReassemblerOptions& options)
    : impl_(std::make_unique<Impl>(options)) {}

Reassembler::~Reassembler() = default;

Reassembler::Result Reassembler::add(const Packet& fragment, uint32_t context, uint64_t now_ms) {
  return impl_->add(fragment, context, now_ms);
}

bool Reassembler::take(uint32_t index, Packet& whole, uint32_t headroom, uint32_t& fragments) {
  const Slot& slot = impl_->slots[index];
  fragments = 0;
  if (slot.state != State::kComplete) return false;
  fragments = slot.fragments;
  impl_->give_back(index);
  const uint32_t length = slot.header_bytes + slot.end_bytes;
  if (headroom > whole.capacity || length > whole.capacity - headroom) return false;
  whole.data = whole.buffer + headroom;
  whole.length = length;
  whole.l4_checksum_trusted = false;
  const uint8_t* headers = slot.bytes + impl_->options.datagram_bytes_max - slot.header_bytes;
  std::memcpy(whole.data, headers, slot.header_bytes);
  std::memcpy(whole.data + slot.header_bytes, slot.bytes, slot.end_bytes);
  mend_headers(slot, whole.data);
  return true;
}

uint32_t Reassembler::expire(uint64_t now_ms, uint32_t budget) {
  uint32_t fragments = 0;
  for (; budget != 0 && impl_->oldest != kNone; --budget) {
    const uint32_t index = impl_->oldest;
    if (impl_->slots[index].deadline_ms > now_ms) break;
    fragments += impl_->slots[index].fragments;  // none in a dropped one: they were counted then
    impl_->detach(index);
    impl_->give_back(index);
  }
  return fragments;
}

uint32_t Reassembler::waiting() const {
  return impl_->options.datagrams_max - impl_->free.size();
}

}  // namespace gmesp::ipsec
