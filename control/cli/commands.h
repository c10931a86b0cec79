// What gmespctl can do: one function per command, each prints to stdout and throws Failure or
// InputError.
//
// `json`: machine-readable output, one value per command (one per line for watch).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/cli/add_options.h"

namespace gmesp::cli {

struct Common {
  std::string socket;
  bool json = false;
};

struct ListFilter {
  std::string ue;               ///< address; empty: all
  std::optional<uint32_t> spi;  ///< any of the four
};

void sa_add(const Common& common, const AddOptions& options);
/// Returns the exit status: with `keep_going` failures of single lines end with kRefused.
int sa_load(const Common& common, const std::string& path, bool keep_going);
void sa_list(const Common& common, const ListFilter& filter);
void sa_show(const Common& common, const std::string& id);
/// Returns the exit status: an id that is not live does not keep the others.
int sa_del(const Common& common, const std::vector<std::string>& ids);
void sa_flush(const Common& common, bool confirmed);

void stats(const Common& common);
void drops(const Common& common, bool all);
void ports(const Common& common);
void info(const Common& common);
/// Ends after `events_max` events; 0: when interrupted.
void watch(const Common& common, uint64_t events_max);
void change_algorithm(const Common& common, const std::string& name, bool withdraw,
                      bool remove_live);

}  // namespace gmesp::cli
