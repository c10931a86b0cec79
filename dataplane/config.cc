#include "dataplane/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "dataplane/config_check.h"
#include "dataplane/config_reader.h"
#include "dataplane/config_schema.h"
#include "dataplane/device_string.h"

namespace gmesp::dataplane {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kPathBytesMax = 4095;

ConfigResult failed(const std::string& file, const std::string& found, const std::string& allowed) {
  ConfigResult result;
  result.errors.push_back({file, 0, 0, "", found, allowed});
  return result;
}

}  // namespace

bool is_instance_name(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool is_path(std::string_view text) {
  return text.size() > 1 && text.front() == '/' && text.back() != '/' &&
         text.size() <= kPathBytesMax;
}

bool is_path_or_empty(std::string_view text) {
  return text.empty() || is_path(text);
}

bool is_device(std::string_view text) {
  return text.size() <= kPathBytesMax && (is_pci_address(text) || is_virtual_device(text));
}

bool is_audit_sink(std::string_view text) {
  return text == "stderr" || text == "syslog" || text == "off" || is_path(text);
}

std::string to_string(const ConfigError& error) {
  std::string text = error.file + ':';
  if (error.line != 0) text += fmt::format("{}:{}:", error.line, error.column);
  text += ' ';
  if (!error.key.empty()) text += error.key + ": ";
  return text + fmt::format("found {}, allowed {}", error.found, error.allowed);
}

ConfigResult parse_config(std::string_view text, const std::string& file) try {
  const toml::table root = toml::parse(text, file);
  ConfigReader reader(root, file);
  ConfigResult result;
  visit_settings(reader, result.config);
  reader.finish();
  complete_config(result.config);
  check_config(result.config, reader);
  result.errors = reader.take_errors();
  return result;
} catch (const toml::parse_error& error) {
  ConfigResult result;
  const toml::source_position at = error.source().begin;
  result.errors.push_back(
      {file, at.line, at.column, "", std::string(error.description()), "TOML 1.0"});
  return result;
}

ConfigResult load_config(const std::string& path) {
  constexpr const char* kReadable = "a readable TOML file of at most 1 MiB";
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (file == nullptr) return failed(path, std::strerror(errno), kReadable);
  std::string text(kFileBytesMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get())) return failed(path, std::strerror(errno), kReadable);
  if (text.size() > kFileBytesMax) return failed(path, "more than 1 MiB", kReadable);
  return parse_config(text, path);
}

}  // namespace gmesp::dataplane
