// json_text_parts.hpp — what the JSON and the YAML reader share; for base/*_text.cpp only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/json_text.hpp"

namespace sluice::text_parts {

/// Ends the reading at a problem that was already noted.
struct Stop {};

struct DocumentBuilder {
    std::string file;
    std::shared_ptr<SourceMap> map{std::make_shared<SourceMap>()};
    std::vector<Problem> problems{};
    std::size_t places{0};

    void problem(
        std::string code,
        std::string pointer,
        Position at,
        std::string message,
        std::string suggestion = {}
    );
    void place(const std::string& pointer, Position key, Position value);
    TextDocument finish(std::shared_ptr<nlohmann::json> value) &&;
};

Position position_at(std::string_view text, std::size_t offset);

/// Size, emptiness, byte order mark, UTF-8.
bool text_is_readable(std::string_view text, TextLimits limits, DocumentBuilder& out);

}  // namespace sluice::text_parts
