// gmespctl sa export-keys: the keys of live sets, for those who decrypt a capture of their own
// network. Asked for twice before anything leaves: by a flag, and by a destination.
//
// Ownership: texts with keys are wiped by who holds them. Errors: InputError, Failure.
#pragma once

#include <string>
#include <vector>

#include "control/cli/commands.h"
#include "control/client/gmesp.h"

namespace gmesp::cli {

/// The four SAs of the set as lines of Wireshark's esp_sa table. `set` holds keys.
std::string wireshark_lines(const gmesp_sa_set& set);
/// The line that `sa load` takes; lifetime_s is what is left now.
std::string load_line(const gmesp_sa_set& set);

/// Writes to a file that it makes, readable by nobody else, or to standard output.
class KeyFile {
 public:
  /// `path` empty: standard output, which must not be a terminal unless `may_show`.
  KeyFile(const std::string& path, bool may_show);
  /// Removes the file unless keep() was called: half a table of keys helps nobody.
  ~KeyFile();
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;

  void write(const std::string& text);
  void keep();

 private:
  const std::string path_;
  int descriptor_;
  bool kept_ = false;
};

}  // namespace gmesp::cli
