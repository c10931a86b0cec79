// Says of every frame that the pipeline sent whether it may exist, from what went in, with the
// reference implementation and a parser of its own.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dissection.h"
#include "traffic.h"

namespace gmesp::test {

class Judge {
 public:
  explicit Judge(const std::vector<Registration>& ues);

  /// Clear IP packets that UEs really sent under ESP from now on.
  void remember(const std::vector<Bytes>& packets);
  /// Empty if every frame of `sent` follows from `fed`; else what is wrong with the first that does
  /// not. `before` and `lab`: whether datagrams were joined, errors told, MSS lowered meanwhile.
  std::string verdict(const std::vector<Fed>& fed, const std::vector<Sent>& sent, Lab& lab);
  /// How many frames were found good, by what they were: a test must see all kinds.
  const std::unordered_map<std::string, uint64_t>& seen() const { return seen_; }

 private:
  struct Batch;

  std::string to_host(const Bytes& frame, const Batch& batch);
  std::string to_access(const Bytes& frame, const Batch& batch);
  std::string delivered(const Dissection& seen, const Batch& batch);
  std::string protected_out(const Dissection& seen, const Batch& batch);
  Bytes opened_by_reference(const Dissection& seen) const;

  struct Sa {
    EspSa sa;
    std::vector<bool> sequences_sent;
  };
  std::vector<EspSa> inbound_;
  std::unordered_multimap<uint32_t, size_t> inbound_by_spi_;
  std::vector<Sa> outbound_;
  std::unordered_multimap<uint32_t, size_t> outbound_by_spi_;
  /// Datagrams of UEs that were not delivered yet, by a hash of what must arrive; bounded, oldest
  /// out first: no replay window reaches that far back.
  std::unordered_set<size_t> owed_;
  std::deque<size_t> owed_by_age_;
  std::unordered_map<std::string, uint64_t> seen_;
  struct Totals {
    uint64_t joined = 0, told = 0, mss = 0;
  } totals_;
};

}  // namespace gmesp::test
