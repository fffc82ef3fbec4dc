// xml.hpp — elements of the small XML documents that S3 and STS answer with. Attributes, comments
// and namespaces are passed over; no DTD, no entities of its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::connect {

/// What stands in each <name>...</name>, in order; elements of that name within one are its
/// content.
std::vector<std::string_view> xml_elements(std::string_view xml, std::string_view name);
/// The text of the first; "" if there is none.
std::string xml_text(std::string_view xml, std::string_view name);
/// "a<b" -> "a&lt;b".
std::string xml_escape(std::string_view text);

}  // namespace sluice::connect
