#include "operators/connect/xml.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace sluice::connect {
namespace {

constexpr std::array<std::pair<std::string_view, char>, 5> xml_names{
    {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}}
};

void append_utf8(std::string& out, std::uint32_t code) {
    const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return add(code);
    if (code < 0x800) {
        add(0xC0 | (code >> 6U));
    } else if (code < 0x10000) {
        add(0xE0 | (code >> 12U));
        add(0x80 | ((code >> 6U) & 0x3FU));
    } else {
        add(0xF0 | ((code >> 18U) & 7U));
        add(0x80 | ((code >> 12U) & 0x3FU));
        add(0x80 | ((code >> 6U) & 0x3FU));
    }
    add(0x80 | (code & 0x3FU));
}

/// `name` is what stands between & and ;.
void append_entity(std::string& out, std::string_view name) {
    if (name.starts_with('#')) {
        const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
        const std::string_view digits = name.substr(hex ? 2 : 1);
        std::uint32_t code = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
        append_utf8(out, code);
        return;
    }
    const auto* known =
        std::ranges::find(xml_names, name, &std::pair<std::string_view, char>::first);
    if (known != xml_names.end()) out += known->second;
}

std::string xml_unescape(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto at = text.find('&');
        out += text.substr(0, at);
        if (at == std::string_view::npos) break;
        const auto end = text.find(';', at);
        if (end == std::string_view::npos) break;
        append_entity(out, text.substr(at + 1, end - at - 1));
        text.remove_prefix(end + 1);
    }
    return out;
}

}  // namespace

std::vector<std::string_view> xml_elements(std::string_view xml, std::string_view name) {
    std::vector<std::string_view> found;
    const std::string open = "<" + std::string(name);
    const std::string close = "</" + std::string(name) + ">";
    for (std::size_t at = 0; (at = xml.find(open, at)) != std::string_view::npos;) {
        const std::size_t after = at + open.size();
        const auto begin = xml.find('>', after);
        if (begin == std::string_view::npos) break;
        // <Key...> is not <KeyCount>.
        const char next = xml[after];
        if (next != '>' && next != ' ' && next != '/') {
            at = after;
            continue;
        }
        if (xml[begin - 1] == '/') {
            found.emplace_back();
            at = begin;
            continue;
        }
        const auto end = xml.find(close, begin);
        if (end == std::string_view::npos) break;
        found.push_back(xml.substr(begin + 1, end - begin - 1));
        at = end + close.size();
    }
    return found;
}

std::string xml_text(std::string_view xml, std::string_view name) {
    const auto found = xml_elements(xml, name);
    return found.empty() ? std::string() : xml_unescape(found.front());
}

std::string xml_escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto* known =
            std::ranges::find(xml_names, c, &std::pair<std::string_view, char>::second);
        if (known == xml_names.end()) {
            out += c;
        } else {
            out += '&';
            out += known->first;
            out += ';';
        }
    }
    return out;
}

}  // namespace sluice::connect
