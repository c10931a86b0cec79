#include "control/settings/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace gmesp::settings {

bool read_file(const std::string& path, std::string& text, std::vector<Error>& errors) {
  const auto failed = [&](const std::string& found) {
    errors.push_back({path, 0, 0, "", found, "a readable TOML file of at most 1 MiB"});
    return false;
  };
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (file == nullptr) return failed(std::strerror(errno));
  text.assign(kFileBytesMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get())) return failed(std::strerror(errno));
  return text.size() <= kFileBytesMax || failed("more than 1 MiB");
}

bool parse_toml(std::string_view text, const std::string& file, toml::table& root,
                std::vector<Error>& errors) try {
  root = toml::parse(text, file);
  return true;
} catch (const toml::parse_error& error) {
  const toml::source_position at = error.source().begin;
  errors.push_back({file, at.line, at.column, "", std::string(error.description()), "TOML 1.0"});
  return false;
}

}  // namespace gmesp::settings
