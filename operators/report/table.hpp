// table.hpp — the answer of one query of a report, and how it is written as HTML, CSV and JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace sluice::report {

struct Table {
    std::string id;
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<std::string>>> rows;
};

struct Page {
    std::string title;
    std::string description;
    std::string made_for;  // "2026-01-05 00:00 to 2026-01-06 00:00"
    std::vector<Table> tables;
};

/// True if every value of the column is a number, and there is one.
bool is_number(const Table& table, std::size_t column);

/// One page that needs nothing else: no script, no file, no network.
std::string html(const Page& page);
/// RFC 4180, with a header; null is an empty field.
std::string csv(const Table& table);
/// {"title", "description", "queries": {id: [{column: value}]}}
std::string json(const Page& page);

}  // namespace sluice::report
