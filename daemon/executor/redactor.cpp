#include "executor/redactor.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"

namespace sluice::executor {
namespace {

constexpr std::size_t shortest = 3;

std::string json_form(const std::string& text) {
    const std::string quoted =
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return quoted.substr(1, quoted.size() - 2);
}

std::string percent_form(const std::string& text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                           (c >= 'a' && c <= 'z') ||
                           std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain) {
            out += c;
        } else {
            std::string hex = to_hex({&c, 1});
            std::ranges::transform(hex, hex.begin(), [](char h) {
                return h >= 'a' ? static_cast<char>(h - 'a' + 'A') : h;
            });
            out += '%' + hex;
        }
    }
    return out;
}

std::string base64_form(const std::string& text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    unsigned bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        bits = (bits << 8U) | static_cast<unsigned char>(c);
        for (held += 8; held >= 6; held -= 6) out += digits[(bits >> (held - 6)) & 63U];
    }
    // The last digit depends on what follows the secret: it is left out.
    return out;
}

}  // namespace

void Redactor::add(const Secret& secret) {
    const std::string& value = secret.reveal();
    if (value.size() < shortest) return;
    std::vector<std::string> forms{value, json_form(value), percent_form(value)};
    if (value.size() >= 6) forms.push_back(base64_form(value));
    // Of a value of many lines (a key file) each long line is secret on its own.
    for (std::size_t at = 0; value.find('\n') != std::string::npos && at < value.size();) {
        const std::size_t end = std::min(value.find('\n', at), value.size());
        if (end - at >= 8) forms.push_back(value.substr(at, end - at));
        at = end + 1;
    }
    const std::lock_guard lock(mutex_);
    for (std::string& form : forms)
        if (std::ranges::find(patterns_, form) == patterns_.end())
            patterns_.push_back(std::move(form));
    std::ranges::stable_sort(patterns_, std::greater{}, &std::string::size);
}

bool Redactor::empty() const {
    const std::lock_guard lock(mutex_);
    return patterns_.empty();
}

std::string Redactor::redact(std::string_view text) const {
    std::string out{text};
    const std::lock_guard lock(mutex_);
    for (const std::string& pattern : patterns_)
        for (std::size_t at = out.find(pattern); at != std::string::npos;
             at = out.find(pattern, at + 3))
            out.replace(at, pattern.size(), "***");
    return out;
}

}  // namespace sluice::executor
