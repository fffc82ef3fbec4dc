// xml.hpp — the small XML documents that S3 and STS answer with, read by pugixml: no DTD, no
// entities but XML's own five and numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <pugixml.hpp>

namespace sluice::connect {

/// Throws Failure(transient) if the text is not XML, whole: a part of a list is no list, and a
/// proxy's error page is no answer. `from` names who answered.
pugi::xml_document parse_xml(std::string_view text, const std::string& from);
/// All elements of that name within `in`, in order, at any depth.
std::vector<pugi::xml_node> xml_elements(const pugi::xml_node& in, std::string_view name);
/// The text of the first; "" if there is none.
std::string xml_text(const pugi::xml_node& in, std::string_view name);
/// The same of a text; "" if it is not XML too.
std::string xml_text(std::string_view xml, std::string_view name);
/// The element as it is written, with its own tags.
std::string xml_source(const pugi::xml_node& element);
/// "a<b" -> "a&lt;b".
std::string xml_escape(std::string_view text);

}  // namespace sluice::connect
