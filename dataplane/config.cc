#include "dataplane/config.h"

#include "control/settings/load.h"
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
  return settings::parse<ConfigResult>(text, file, [](settings::Reader& reader, Config& config) {
    visit_settings(reader, config);
    reader.finish();
    complete_config(config);
    check_config(config, reader);
  });
}

ConfigResult load_config(const std::string& path) {
  return settings::load(path, parse_config);
}

std::string config_text(const Config& config) {
  settings::Writer writer("gmespd");
  Config copy = config;  // the schema hands out references that a reader may write to
  visit_settings(writer, copy);
  return writer.take();
}

}  // namespace gmesp::dataplane
