// sample.hpp — the e-commerce sample: source files and change logs whose every row, and every piece
// of dirt, is arithmetic over row numbers, so that a test can redo each expected count by itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/instant.hpp"

namespace sluice::sample {

struct Options {
    int days{10};
    int orders_per_day{1000};  // a multiple of 1000
    int customers{1000};
    int products{200};
    int locations{50};
    int scale{1};                     // multiplies orders_per_day and customers
    std::string start{"2026-01-01"};  // day 0
    std::uint64_t seed{20260101};
};

/// Everything that is wrong with the options.
std::vector<Problem> check(const Options& options);

/// One thing that was written: a file of the folder, or a table of the shop.
struct Part {
    std::string name;  // "orders/2026-01-01.jsonl", "shop.customers"
    std::string sha256;
    std::int64_t bytes{};
    std::int64_t rows{};
};

struct Summary {
    std::vector<Part> parts;  // sorted by name
};

/// Takes whole lines in the text form of PostgreSQL's COPY.
using CopySink = std::function<void(std::string_view lines)>;

/// Columns of the two tables of the shop, as `create table` has them.
std::string_view customers_columns();
std::string_view products_columns();

/// Writes orders, order_items, payments and locations into `folder` (made if it is not there, files
/// of an older sample removed) with sample_manifest.json, and gives the two change logs to the
/// sinks. The same options make the same bytes. Throws Error.
Summary generate(
    const Options& options,
    const std::filesystem::path& folder,
    const CopySink& customers,
    const CopySink& products
);

/// `generate` into HOME/sample/ecommerce; the change logs replace the tables customers and products
/// of the database at `shop_url`, in one transaction. Throws Error.
Summary write_sample(
    const Options& options, const std::filesystem::path& home, const std::string& shop_url
);

}  // namespace sluice::sample
