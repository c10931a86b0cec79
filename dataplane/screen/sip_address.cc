#include "dataplane/screen/sip_address.h"

#include "dataplane/screen/sip_text.h"

namespace gmesp::screen {
namespace {

/// First byte of `text` outside of quotes that is one of `bytes`; its size: there is none; npos: a
/// quote does not end.
size_t find_unquoted(std::string_view text, std::string_view bytes) {
  bool is_quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"')
      is_quoted = !is_quoted;
    else if (is_quoted && text[i] == '\\')
      ++i;
    else if (!is_quoted && bytes.find(text[i]) != bytes.npos)
      return i;
  }
  return is_quoted ? text.npos : text.size();
}

bool read_address(std::string_view text, SipAddress& address) {
  const size_t begin = find_unquoted(text, "<;");
  if (begin == text.npos) return false;
  address.is_bracketed = begin < text.size() && text[begin] == '<';
  if (!address.is_bracketed) {
    address.uri = without_blanks_around(text.substr(0, begin));
    address.parameters = text.substr(begin);
    return !address.uri.empty();
  }
  const size_t end = text.find('>', begin);
  if (end == text.npos) return false;
  address.uri = text.substr(begin + 1, end - begin - 1);
  address.parameters = without_blanks_around(text.substr(end + 1));
  return address.parameters.empty() || address.parameters[0] == ';';
}

}  // namespace

bool take_element(std::string_view& list, char separator, std::string_view& element) {
  const char ends[] = {'<', separator};
  size_t end = 0;
  for (;;) {
    const size_t found = find_unquoted(list.substr(end), {ends, sizeof ends});
    if (found == list.npos) return false;
    end += found;
    if (end == list.size() || list[end] == separator) break;
    end = list.find('>', end);
    if (end == list.npos) return false;
  }
  element = without_blanks_around(list.substr(0, end));
  const bool is_left = !list.empty();
  list.remove_prefix(end < list.size() ? end + 1 : end);
  return is_left;
}

bool take_address(std::string_view& list, SipAddress& address) {
  std::string_view element;
  do
    if (!take_element(list, ',', element)) return false;
  while (element.empty());
  return read_address(element, address);
}

bool take_parameter(std::string_view& parameters, SipParameter& parameter) {
  std::string_view element;
  do
    if (!take_element(parameters, ';', element)) return false;
  while (element.empty());
  const size_t equals = element.find('=');
  parameter.name = without_blanks_around(element.substr(0, equals));
  parameter.value = equals == element.npos ? std::string_view()
                                           : without_blanks_around(element.substr(equals + 1));
  return is_token(parameter.name);
}

bool has_parameter(std::string_view parameters, std::string_view small) {
  SipParameter parameter;
  while (take_parameter(parameters, parameter))
    if (is_word(parameter.name, small)) return true;
  return false;
}

}  // namespace gmesp::screen
