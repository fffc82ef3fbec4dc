#include "operators/connect/xml.hpp"

#include <sstream>

#include "operators/engine/failure.hpp"

namespace sluice::connect {
using engine::Failure;

namespace {

class Collector : public pugi::xml_tree_walker {
public:
    explicit Collector(std::string_view name) : name_(name) {}
    bool for_each(pugi::xml_node& node) override {
        if (node.name() == name_) found.push_back(node);
        return true;
    }
    std::vector<pugi::xml_node> found;

private:
    std::string_view name_;
};

}  // namespace

pugi::xml_document parse_xml(std::string_view text, const std::string& from) {
    pugi::xml_document document;
    const auto result = document.load_buffer(text.data(), text.size());
    if (!result)
        throw Failure(
            ErrorClass::transient,
            from + " answered with something else than XML (" + result.description() + " at byte " +
                std::to_string(result.offset) + "): " + std::string(text.substr(0, 200))
        );
    return document;
}

std::vector<pugi::xml_node> xml_elements(const pugi::xml_node& in, std::string_view name) {
    Collector collector(name);
    pugi::xml_node(in).traverse(collector);
    return std::move(collector.found);
}

std::string xml_text(const pugi::xml_node& in, std::string_view name) {
    return in.find_node([&](const pugi::xml_node& node) { return node.name() == name; })
        .text()
        .get();
}

std::string xml_text(std::string_view xml, std::string_view name) {
    pugi::xml_document document;
    if (!document.load_buffer(xml.data(), xml.size())) return {};
    return xml_text(document, name);
}

std::string xml_source(const pugi::xml_node& element) {
    std::ostringstream out;
    element.print(out, "", pugi::format_raw);
    return std::move(out).str();
}

std::string xml_escape(std::string_view text) {
    pugi::xml_document document;
    document.append_child(pugi::node_pcdata).set_value(std::string(text).c_str());
    return xml_source(document.first_child());
}

}  // namespace sluice::connect
