// mask_speed.cpp — masked values a second on one core, with the scan: Parquet in, each method as
// the engine's function, the length of every result summed so that all of it is made. Beside each
// the same scan without the mask. Usage: mask_speed [rows [method]]     prints JSON
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "operators/engine/database.hpp"
#include "operators/privacy/methods.hpp"

namespace {

using namespace sluice;
using Steady = std::chrono::steady_clock;
using policy::Method;

constexpr int rounds = 3;

double seconds(engine::Database& database, const std::string& sql) {
    double best = 1e9;
    for (int i = 0; i < rounds; ++i) {
        const auto begin = Steady::now();
        database.execute(sql);
        best = std::min(best, std::chrono::duration<double>(Steady::now() - begin).count());
    }
    return best;
}

struct Case {
    const char* name;
    const char* column;
    policy::Rule rule;
};

std::vector<Case> cases() {
    const auto rule = [](Method method) {
        policy::Rule out;
        out.method = method;
        return out;
    };
    policy::Rule card = rule(Method::ff1);
    card.keep_last = 4;
    policy::Rule lower = rule(Method::hmac);
    lower.normalize = {"trim", "lower"};
    policy::Rule fake = rule(Method::fake);
    fake.dictionary = "full_name";
    return {
        {"hmac", "email", rule(Method::hmac)},
        {"hmac, trim and lower", "email", lower},
        {"sha256", "email", rule(Method::sha256)},
        {"ff1, card, keep_last 4", "card", card},
        {"partial, card", "card", rule(Method::partial)},
        {"email", "email", rule(Method::email)},
        {"siv", "email", rule(Method::siv)},
        {"fake", "email", fake},
    };
}

nlohmann::json run(std::int64_t rows, std::string_view only) {
    std::string folder = (std::filesystem::temp_directory_path() / "mask-speed-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    engine::DatabaseOptions options;
    options.threads = 1;
    engine::Database database(options);
    const std::string file = "'" + folder + "/values.parquet'";
    database.execute(
        "copy (select 'user' || i || '@example.com' as email, "
        "format('4{:03d}-{:04d}-{:04d}-{:04d}', "
        "i // 10000000 % 1000, i // 1000 % 10000, (i * 7919) % 10000, (i * 104729) % 10000) as "
        "card "
        "from range(" +
        std::to_string(rows) + ") t(i)) to " + file + " (format parquet)"
    );
    nlohmann::json out{{"rows", rows}, {"threads", 1}, {"methods", nlohmann::json::object()}};
    privacy::Keys keys;
    keys.master = Secret(std::string(32, '\7'));
    int number = 0;
    for (const Case& one : cases()) {
        if (!only.empty() && only != one.name) continue;
        auto function =
            privacy::function_of(one.rule, one.column, keys, std::make_shared<privacy::Tally>());
        const std::string name = "bench_" + std::to_string(number++);
        database.add_function(
            {.name = name,
             .arguments = function->arguments,
             .result = function->result,
             .body = function->body}
        );
        const auto sum = [&](const std::string& value) {
            return seconds(database, "select sum(strlen(" + value + ")) from " + file);
        };
        const double masked = sum(name + "(" + one.column + ")");
        out["methods"][one.name] = {
            {"values_per_second", static_cast<std::int64_t>(static_cast<double>(rows) / masked)},
            {"seconds", masked},
            {"scan_alone_seconds", sum(one.column)}
        };
    }
    std::filesystem::remove_all(folder);
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        std::cout
            << run(argc > 1 ? std::atoll(argv[1]) : 2'000'000, argc > 2 ? argv[2] : "").dump(2)
            << '\n';
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
