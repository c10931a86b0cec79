// TCP connections to clear SIP ports whose first message is not judged yet, or was refused.
//
// A SYN enters the connection with the sequence number that its first byte will have; so the first
// segment is known when it comes, and comes again, without keeping any of it. What leaves the table
// is forgotten: when more connections begin than there is room for, the oldest of a bucket goes,
// and its segments are those of a connection whose beginning was not seen.
//
// Threading: one worker. Memory: taken at construction, 256 KiB, however many connections anyone
// opens. Errors: none.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/keyed_hash.h"

namespace gmesp::gate {

struct ConnectionKey {
  ipsec::Address source;
  ipsec::Address destination;
  uint16_t source_port;
  uint16_t destination_port;
};

struct Connection {
  enum class State : uint8_t {
    kOpen,     ///< its first message is not judged yet
    kPassed,   ///< kept, so that the first segment sent again is judged again
    kRefused,  ///< nothing of it reaches the host any more
  };
  uint64_t key = 0;             ///< 0: the entry is free
  uint32_t first_sequence = 0;  ///< of the first byte behind the SYN
  uint32_t began = 0;           ///< grows with every SYN
  State state = State::kOpen;
};

class ConnectionTable {
 public:
  static constexpr uint32_t kBuckets = 2048;
  static constexpr uint32_t kBucketEntries = 4;

  ConnectionTable() : buckets_(kBuckets) {}

  /// A SYN with this initial sequence number; the same one sent again changes nothing.
  void begin(const ConnectionKey& connection, uint32_t initial_sequence) {
    const uint64_t key = key_of(connection);
    Bucket& bucket = buckets_[key / 2 % kBuckets];
    Connection* oldest = bucket.data();
    for (Connection& entry : bucket) {
      if (entry.key == key) {
        oldest = &entry;
        break;
      }
      if (entry.began < oldest->began) oldest = &entry;
    }
    if (oldest->key == key && oldest->first_sequence == initial_sequence + 1) return;
    *oldest = {key, initial_sequence + 1, ++begun_, Connection::State::kOpen};
  }

  /// Null: not seen, or forgotten.
  Connection* find(const ConnectionKey& connection) {
    const uint64_t key = key_of(connection);
    for (Connection& entry : buckets_[key / 2 % kBuckets])
      if (entry.key == key) return &entry;
    return nullptr;
  }

 private:
  using Bucket = std::array<Connection, kBucketEntries>;

  uint64_t key_of(const ConnectionKey& connection) const {
    const uint64_t ports = uint64_t{connection.source_port} << 16 | connection.destination_port;
    return hash_(std::array<uint64_t, 5>{connection.source.high(), connection.source.low(),
                                         connection.destination.high(),
                                         connection.destination.low(), ports}) |
           1;
  }

  ipsec::KeyedHash hash_;
  uint32_t begun_ = 0;
  std::vector<Bucket> buckets_;
};

}  // namespace gmesp::gate
