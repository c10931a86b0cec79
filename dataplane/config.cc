#include "dataplane/config.h"

#include "control/settings/file.h"
#include "control/settings/reader.h"
#include "control/settings/text.h"
#include "control/settings/writer.h"
#include "dataplane/config_check.h"
#include "dataplane/config_schema.h"
#include "dataplane/device_string.h"

namespace gmesp::dataplane {

bool is_device(std::string_view text) {
  return text.size() <= settings::kPathBytesMax &&
         (is_pci_address(text) || is_virtual_device(text));
}

bool is_audit_sink(std::string_view text) {
  return text == "stderr" || text == "syslog" || text == "off" || settings::is_path(text);
}

ConfigResult parse_config(std::string_view text, const std::string& file) {
  ConfigResult result;
  toml::table root;
  if (!settings::parse_toml(text, file, root, result.errors)) return result;
  settings::Reader reader(root, file);
  visit_settings(reader, result.config);
  reader.finish();
  complete_config(result.config);
  check_config(result.config, reader);
  result.errors = reader.take_errors();
  return result;
}

ConfigResult load_config(const std::string& path) {
  ConfigResult result;
  std::string text;
  if (!settings::read_file(path, text, result.errors)) return result;
  return parse_config(text, path);
}

std::string config_text(const Config& config) {
  settings::Writer writer("gmespd");
  Config copy = config;  // the schema hands out references that a reader may write to
  visit_settings(writer, copy);
  return writer.take();
}

}  // namespace gmesp::dataplane
