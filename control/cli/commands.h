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
  std::string socket;          ///< gmespd's
  std::string control_socket;  ///< gmesp-control's
  bool json = false;
  bool names_socket = false;  ///< the command line does
  bool names_control_socket = false;
};

struct ListFilter {
  std::string ue;               ///< address; empty: all
  std::optional<uint32_t> spi;  ///< any of the four
};

struct KeyExport {
  bool confirmed = false;            ///< --i-want-keys
  std::string format = "wireshark";  ///< or "json"
  std::vector<std::string> ids;      ///< these, or all
  bool all = false;
  std::string output;  ///< a new file; empty: standard output
  bool show = false;   ///< standard output may be a terminal
};

void sa_add(const Common& common, const AddOptions& options);
/// Returns the exit status: with `keep_going` failures of single lines end with kRefused.
int sa_load(const Common& common, const std::string& path, bool keep_going);
void sa_list(const Common& common, const ListFilter& filter);
void sa_show(const Common& common, const std::string& id);
/// Returns the exit status: an id that is not live does not keep the others.
int sa_del(const Common& common, const std::vector<std::string>& ids);
/// Keys of live sets, from a gmespd that keeps them ([sa] key_export = true).
void sa_export_keys(const Common& common, const KeyExport& wanted);
void sa_flush(const Common& common, bool confirmed);

void stats(const Common& common);
void drops(const Common& common, bool all);
void ports(const Common& common);
void info(const Common& common);
/// Ends after `events_max` events; 0: when interrupted.
void watch(const Common& common, uint64_t events_max);
/// By gmesp-control if its socket is named, or if none is named and it is there; else by gmespd.
void change_algorithm(const Common& common, const std::string& name, bool withdraw,
                      bool remove_live);

/// Rules of the SIP screen: files that gmespd reads, or those of its configuration again.
void screen_load(const Common& common, const std::vector<std::string>& files, bool configured);
void screen_list(const Common& common);
void screen_stats(const Common& common);

// What gmesp-control does.

/// `impi`: of this user only; empty: all.
void registrations(const Common& common, const std::string& impi);
/// Youngest first; `rows_max` 0: all that are kept.
void refusals(const Common& common, uint64_t rows_max);
void control_stats(const Common& common);
void evict(const Common& common, const std::string& impi);
void reload(const Common& common);

}  // namespace gmesp::cli
