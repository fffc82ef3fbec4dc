// rejects.hpp — the table of what could not be read: line, text, reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "operators/engine/database.hpp"

namespace sluice::extract {

/// CREATE TABLE of the lines that could not be read.
inline constexpr const char* rejects_table =
    "create table sluice_rejects (line_no bigint, line varchar, reason varchar, "
    "_sluice_source varchar)";

/// Of what is too long so much is kept.
inline constexpr std::size_t kept_of_long = std::size_t{64} << 10;

/// Rows into that table, which must exist.
class Rejects {
public:
    explicit Rejects(engine::Database& database) : rows_(database.append("sluice_rejects")) {}
    void add(
        std::int64_t line, std::string_view text, std::string_view reason, const std::string& source
    );
    void close() { rows_.close(); }

private:
    engine::Appender rows_;
};

}  // namespace sluice::extract
