#include "control/sa/sa_table.h"

#include <algorithm>

namespace gmesp::sa {

SaTable::Found SaTable::find(const UePort& ue, uint16_t local_port) const {
  const auto [begin, end] = entries_.equal_range(ue);
  for (auto entry = begin; entry != end; ++entry)
    if (entry->second.local_port == local_port && entry->second.set != nullptr)
      return {entry->second.set, entry->second.sa};
  return {};
}

const Context* SaTable::owner(const UePort& ue_server) const {
  const Context* owner = nullptr;
  const auto [begin, end] = entries_.equal_range(ue_server);
  for (auto entry = begin; entry != end; ++entry) {
    if (entry->second.set == nullptr || entry->second.sa != InboundSa::kUsToPc) continue;
    if (owner != nullptr && owner != entry->second.set->context) return nullptr;
    owner = entry->second.set->context;
  }
  return owner;
}

void SaTable::insert(SaSet& set) {
  entries_.insert({{set.ue, set.port_uc}, {&set, set.port_ps, InboundSa::kUcToPs}});
  entries_.insert({{set.ue, set.port_us}, {&set, set.port_pc, InboundSa::kUsToPc}});
}

void SaTable::remove(SaSet& set, uint64_t now_ms) {
  erase({set.ue, set.port_uc}, set.port_ps);
  const UePort server = {set.ue, set.port_us};
  const auto [begin, end] = entries_.equal_range(server);
  for (auto entry = begin; entry != end; ++entry)
    if (entry->second.set == &set) {
      entry->second.set = nullptr;
      resting_.push_back({now_ms + rest_ms_, server, set.port_pc});
      return;
    }
}

void SaTable::erase(const UePort& ue, uint16_t local_port) {
  const auto [begin, end] = entries_.equal_range(ue);
  for (auto entry = begin; entry != end; ++entry)
    if (entry->second.local_port == local_port) {
      entries_.erase(entry);
      return;
    }
}

void SaTable::wake(uint64_t now_ms) {
  while (!resting_.empty() && resting_.front().until_ms <= now_ms) {
    erase(resting_.front().ue, resting_.front().local_port);
    resting_.pop_front();
  }
}

bool SaTable::has(const UePort& ue) const {
  const auto [begin, end] = entries_.equal_range(ue);
  return std::any_of(begin, end, [](const auto& entry) { return entry.second.set != nullptr; });
}

bool SaTable::has_other(const UePort& ue, const Context* own) const {
  const auto [begin, end] = entries_.equal_range(ue);
  return std::any_of(begin, end, [&](const auto& entry) {
    return entry.second.set != nullptr && entry.second.set->context != own;
  });
}

bool SaTable::is_taken(const UePort& ue, uint16_t local_port) const {
  const auto [begin, end] = entries_.equal_range(ue);
  return std::any_of(begin, end,
                     [&](const auto& entry) { return entry.second.local_port == local_port; });
}

uint16_t SaTable::free_port_pc(std::span<const PortRange> pool, const UePort& ue_server,
                               std::span<SaSet* const> stored, uint64_t now_ms) {
  wake(now_ms);
  for (const PortRange& range : pool)
    for (uint32_t port = range.first; port <= range.last; ++port) {
      const auto candidate = static_cast<uint16_t>(port);
      const bool is_stored = std::any_of(stored.begin(), stored.end(), [&](const SaSet* set) {
        return set->port_pc == candidate;
      });
      if (!is_stored && !is_taken(ue_server, candidate)) return candidate;
    }
  return 0;
}

}  // namespace gmesp::sa
