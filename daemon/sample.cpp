// sample.cpp — the verb sample: writes the sample shop's files and fills its database.
#include "operators/sample/sample.hpp"

#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <pqxx/pqxx>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "store/cluster.hpp"
#include "wiring.hpp"

namespace sluice {
namespace {

struct Options {
    std::string home{".sluice"};
    sample::Options sample;
};

/// The shop's address. Asked before the first file is written: without a daemon nothing is.
std::string shop_of(const std::string& home) {
    std::string url = store::Cluster::url_of(home, "shop");
    try {
        const pqxx::connection connection(url);
    } catch (const pqxx::broken_connection& away) {
        throw Error(
            ErrorCode::unavailable,
            "no daemon is running in " + home + ", so its shop database does not answer; start " +
                "one: sluice standalone --home " + home + " (" + away.what() + ")"
        );
    }
    return url;
}

void write(const Options& options) {
    const auto problems = sample::check(options.sample);
    if (!problems.empty()) {
        std::string text;
        for (const auto& problem : problems) text += (text.empty() ? "" : "; ") + problem.message;
        throw Error(ErrorCode::invalid, text);
    }
    const auto summary = sample::write_sample(options.sample, options.home, shop_of(options.home));
    std::vector<std::vector<std::string>> rows{{"part", "rows", "bytes"}};
    std::int64_t bytes = 0;
    for (const auto& part : summary.parts) {
        bytes += part.bytes;
        rows.push_back({part.name, std::to_string(part.rows), std::to_string(part.bytes)});
    }
    rows.push_back({"total", "", std::to_string(bytes)});
    std::cout << cli::table(rows);
}

}  // namespace

void add_sample(CLI::App& app) {
    auto* sample = app.add_subcommand("sample", "data to try things on");
    sample->require_subcommand(1);
    const auto options = std::make_shared<Options>();
    auto* verb = sample->add_subcommand(
        "ecommerce", "the sample shop: files below HOME/sample/ecommerce, and the database shop"
    );
    verb->add_option("--home", options->home)->capture_default_str();
    verb->add_option("--days", options->sample.days)->capture_default_str();
    verb->add_option("--orders-per-day", options->sample.orders_per_day, "a multiple of 1000")
        ->capture_default_str();
    verb->add_option("--scale", options->sample.scale, "multiplies orders and customers")
        ->capture_default_str();
    verb->add_option("--seed", options->sample.seed)->capture_default_str();
    verb->callback([options] { write(*options); });
}

}  // namespace sluice
