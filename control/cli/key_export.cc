#include "control/cli/key_export.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

std::string hex(std::span<const uint8_t> key) {
  std::string text;
  text.reserve(2 * key.size());
  for (const uint8_t byte : key) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

std::span<const uint8_t> integrity_key(const gmesp_sa_set& set) {
  return {set.integrity_key, set.integrity_key_bytes};
}
std::span<const uint8_t> cipher_key(const gmesp_sa_set& set) {
  return {set.cipher_key, set.cipher_key_bytes};
}

/// As Wireshark's preferences name them.
const char* wireshark_cipher(int cipher) {
  switch (cipher) {
    case GMESP_CIPHER_AES_CBC:
      return "AES-CBC [RFC3602]";
    case GMESP_CIPHER_DES_EDE3_CBC:
      return "TripleDES-CBC [RFC2451]";
    default:
      return "NULL";
  }
}
const char* wireshark_integrity(int integrity) {
  return integrity == GMESP_INTEGRITY_HMAC_MD5_96 ? "HMAC-MD5-96 [RFC2403]"
                                                  : "HMAC-SHA-1-96 [RFC2404]";
}

void wipe(std::string& text) {
  explicit_bzero(text.data(), text.size());
}

/// Asks gmespd set by set: each export is a line of its log.
class Exporter {
 public:
  Exporter(const Common& common, const KeyExport& wanted)
      : wanted_(wanted),
        connection_(common.socket, GMESP_READER),
        file_(wanted.output, wanted.show) {}

  void export_set(uint64_t set_id) {
    const int error = get(set_id);
    if (error != GMESP_OK) gmesp_sa_set_wipe(&set_);
    connection_.require(error, id_text(set_id));
    write();
  }

  void export_all() {
    gmesp_set_view view;
    GMESP_INIT(&view);
    for (uint64_t index = 0;;) {
      int error = gmesp_dp_next_set(connection_.get(), &index, &view, Connection::kTimeoutMs);
      if (error == GMESP_E_END) return;
      connection_.require(error, "sa export-keys");
      error = get(view.set_id);
      if (error == GMESP_E_NOT_FOUND) continue;  // it ended in between
      connection_.require(error, id_text(view.set_id));
      write();
    }
  }

  uint64_t finish() {
    file_.keep();
    return sets_;
  }

 private:
  int get(uint64_t set_id) {
    GMESP_INIT(&set_);
    return gmesp_dp_get_keys(connection_.get(), set_id, &set_, Connection::kTimeoutMs);
  }

  void write() {
    std::string text = wanted_.format == "json" ? load_line(set_) : wireshark_lines(set_);
    gmesp_sa_set_wipe(&set_);
    file_.write(text);
    wipe(text);
    ++sets_;
  }

  const KeyExport& wanted_;
  const Connection connection_;
  KeyFile file_;
  gmesp_sa_set set_;
  uint64_t sets_ = 0;
};

}  // namespace

std::string wireshark_lines(const gmesp_sa_set& set) {
  const std::string ue = address_text(set.outer_ue_address);
  const std::string local = address_text(set.outer_local_address);
  const bool is_ipv6 = ue.find(':') != std::string::npos;
  std::string cipher = set.cipher_key_bytes != 0 ? "0x" + hex(cipher_key(set)) : "";
  std::string integrity = hex(integrity_key(set));
  std::string lines;
  const auto add = [&](const std::string& source, const std::string& destination, uint32_t spi) {
    lines += fmt::format("\"IPv{}\",\"{}\",\"{}\",\"0x{:08x}\",\"{}\",\"{}\",\"{}\",\"0x{}\"\n",
                         is_ipv6 ? 6 : 4, source, destination, spi, wireshark_cipher(set.cipher),
                         cipher, wireshark_integrity(set.integrity), integrity);
  };
  add(ue, local, set.spi_ps);
  add(local, ue, set.spi_uc);
  add(ue, local, set.spi_pc);
  add(local, ue, set.spi_us);
  wipe(cipher);
  wipe(integrity);
  return lines;
}

std::string load_line(const gmesp_sa_set& set) {
  constexpr uint64_t kFiniteMaxS = UINT32_MAX - 1;
  nlohmann::ordered_json line = set_fields(set);
  line["integrity_key"] = hex(integrity_key(set));
  if (set.cipher_key_bytes != 0) line["cipher_key"] = hex(cipher_key(set));
  if (const auto left = left_s(set))
    line["lifetime_s"] = std::clamp(*left, uint64_t{1}, kFiniteMaxS);
  return line.dump() + "\n";
}

KeyFile::KeyFile(const std::string& path, bool may_show) : path_(path), descriptor_(STDOUT_FILENO) {
  if (path_.empty()) {
    if (isatty(STDOUT_FILENO) != 0 && !may_show)
      throw InputError(
          "sa export-keys: standard output is a terminal: say --output FILE or --show");
    return;
  }
  // A file that is there could be open elsewhere, or readable by others.
  constexpr mode_t kOwnerOnly = 0600;
  descriptor_ =
      open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly);
  if (descriptor_ < 0)
    throw InputError(fmt::format("--output {}: {}; allowed is the path of a new file", path_,
                                 std::strerror(errno)));
}

KeyFile::~KeyFile() {
  if (path_.empty()) return;
  close(descriptor_);
  if (!kept_) unlink(path_.c_str());
}

void KeyFile::write(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t bytes = ::write(descriptor_, text.data() + at, text.size() - at);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0)
      throw InputError(
          fmt::format("{}: {}", path_.empty() ? "standard output" : path_, std::strerror(errno)));
    at += static_cast<size_t>(bytes);
  }
}

void KeyFile::keep() {
  kept_ = true;
}

void sa_export_keys(const Common& common, const KeyExport& wanted) {
  if (!wanted.confirmed)
    throw InputError("sa export-keys gives out what protects users' traffic: say --i-want-keys");
  if (wanted.all == !wanted.ids.empty())
    throw InputError("sa export-keys: found neither or both of ID and --all, allowed is one");
  std::vector<uint64_t> numbers;
  for (const std::string& id : wanted.ids) numbers.push_back(parse_id(id));
  Exporter exporter(common, wanted);
  if (wanted.all) exporter.export_all();
  for (const uint64_t number : numbers) exporter.export_set(number);
  const uint64_t sets = exporter.finish();
  if (wanted.output.empty()) return;
  if (common.json)
    fmt::print("{}\n", nlohmann::ordered_json{{"exported", sets}}.dump());
  else
    fmt::print("keys of {} sets are in {}\n", sets, wanted.output);
}

}  // namespace gmesp::cli
