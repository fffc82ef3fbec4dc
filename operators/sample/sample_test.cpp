#include "operators/sample/sample.hpp"

#include <array>
#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/hash.hpp"
#include "operators/engine/database.hpp"
#include "operators/sample/random.hpp"

using namespace sluice;

namespace {

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "sluice-sample-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

std::string read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
}

std::vector<std::string> cells(const std::string& line, char separator) {
    std::vector<std::string> out;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, separator);) out.push_back(cell);
    return out;
}

/// The default sample, made once.
struct Sample {
    TemporaryFolder folder;
    std::string customers;
    std::string products;
    sample::Summary summary;
    double seconds{};

    Sample() {
        const auto begin = std::chrono::steady_clock::now();
        summary = sample::generate(
            {},
            folder.path(),
            [this](std::string_view text) { customers += text; },
            [this](std::string_view text) { products += text; }
        );
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    [[nodiscard]] std::vector<nlohmann::json> orders(int day) const {
        std::vector<nlohmann::json> out;
        for (const std::string& line : lines(read(folder.path() / "orders" / name(day, ".jsonl"))))
            out.push_back(nlohmann::json::parse(line));
        return out;
    }
    [[nodiscard]] std::vector<std::string> items(int day) const {
        return lines(read(folder.path() / "order_items" / name(day, ".csv")));
    }
    static std::string name(int day, const std::string& suffix) {
        return "2026-01-" + std::string(day < 9 ? "0" : "") + std::to_string(day + 1) + suffix;
    }
};

const Sample& made() {
    static const Sample sample;
    return sample;
}

}  // namespace

TEST_CASE("the generator is splitmix64", "[sample]") {
    constexpr std::uint64_t step = 0x9E3779B97F4A7C15ULL;
    CHECK(sample::splitmix64(0) == 0xE220A8397B1DCDAFULL);
    CHECK(sample::splitmix64(step) == 0x6E789E6AA1B965F4ULL);
    CHECK(sample::splitmix64(2 * step) == 0x06C45D188009454FULL);
}

TEST_CASE("the default sample is made in less than three seconds", "[sample]") {
    CHECK(made().seconds < 3.0);
    CHECK(made().summary.parts.size() == 3 * 10 + 1 + 2);
}

TEST_CASE("the same options make the same bytes, another seed others", "[sample]") {
    const auto digest_of = [](const sample::Options& options) {
        TemporaryFolder folder;
        const auto ignore = [](std::string_view) {};
        sample::generate(options, folder.path(), ignore, ignore);
        return sha256_hex(read(folder.path() / "sample_manifest.json"));
    };
    const std::string first = digest_of({.days = 2});
    CHECK(digest_of({.days = 2}) == first);
    CHECK(digest_of({.days = 2, .seed = 7}) != first);
}

TEST_CASE("the manifest has the digest of every file", "[sample]") {
    const auto manifest =
        nlohmann::json::parse(read(made().folder.path() / "sample_manifest.json"));
    int files = 0;
    for (const auto& part : manifest.at("parts")) {
        const std::string name = part.at("name");
        if (name.starts_with("shop.")) continue;
        ++files;
        const std::string bytes = read(made().folder.path() / name);
        CHECK(part.at("sha256") == sha256_hex(bytes));
        CHECK(part.at("bytes") == bytes.size());
    }
    CHECK(files == 31);
}

TEST_CASE("orders have the rows and the dirt that arithmetic says", "[sample]") {
    std::set<std::int64_t> ids;
    std::map<std::string, int> statuses;
    for (int day = 0; day < 10; ++day) {
        int bad_dates = 0;
        int alternate = 0;
        int nulls = 0;
        int unknown = 0;
        int late = 0;
        int drifted = 0;
        std::map<std::int64_t, int> seen;
        for (const auto& order : made().orders(day)) {
            const std::int64_t id = order.at("order_id");
            const auto& at = order.at("ordered_at");
            const std::string text = at.is_string() ? at.get<std::string>() : "";
            ++seen[id];
            bad_dates += text == "2026-02-30" || text == "not-a-date";
            alternate += at.is_number() || text.find('/') != std::string::npos;
            nulls += order.at("customer_id").is_null();
            unknown += order.at("customer_id").is_number() && order.at("customer_id") > 1000;
            late += (id - 1) / 1000 != day;
            drifted += order.contains("gift_note");
            if (order.contains("gift_note") && id % 1000 == 500)
                CHECK(
                    order.at("gift_note") ==
                    "Enjoy! From zq" + std::to_string(id) + "canary@example.com"
                );
            if (ids.insert(id).second) ++statuses[order.at("status")];
        }
        int twice = 0;
        for (const auto& [id, count] : seen) twice += count == 2;
        CAPTURE(day);
        CHECK(twice == 10 + 4);
        CHECK(bad_dates == 4);
        CHECK(alternate == 20);
        CHECK(nulls == 5);
        CHECK(unknown == 2);
        // Delivered here: four of yesterday, one of three days ago; on the last day those of the
        // two days before it, too, and its own are not late.
        const int expected_late = day == 0 ? 0 : day < 3 ? 4 : day < 9 ? 5 : 4 + 3;
        CHECK(late == expected_late);
        CHECK(drifted >= (day < 7 ? 0 : 990));
        if (day < 7) CHECK(drifted == 0);
    }
    CHECK(ids.size() == 10'000);
    CHECK(*ids.begin() == 1);
    CHECK(*ids.rbegin() == 10'000);
    CHECK(statuses["completed"] == 8'000);
    CHECK(statuses["shipped"] == 1'000);
    CHECK(statuses["cancelled"] == 500);
    CHECK(statuses["returned"] == 500);
}

TEST_CASE("order items have malformed lines, bad quantities, orphans and prices", "[sample]") {
    int readable = 0;
    for (int day = 0; day < 10; ++day) {
        int extra = 0;
        int unclosed = 0;
        int bad = 0;
        int orphans = 0;
        int dollars = 0;
        int commas = 0;
        const auto rows = made().items(day);
        for (std::size_t i = 1; i < rows.size(); ++i) {
            if (rows[i].ends_with("one field too many")) {
                ++extra;
                continue;
            }
            if (rows[i].ends_with("never closed")) {
                ++unclosed;
                continue;
            }
            ++readable;
            const auto row = cells(rows[i], ',');
            bad += std::stoll(row.at(3)) <= 0;
            orphans += std::stoll(row.at(0)) > 9'000'000'000;
            dollars += row.at(4).starts_with('$');
            commas += row.at(4).starts_with('"');
        }
        CAPTURE(day);
        CHECK(extra == 1);
        CHECK(unclosed == 1);
        CHECK(bad == 4);
        CHECK(orphans == 2);
        // k % 100 = 71: 71, 171, ... all leave 3 by 4, so four lines each; 72: one line each.
        CHECK(dollars == 10 * 4);
        CHECK(commas == 10 * 1);
    }
    CHECK(readable == 10 * (2500 + 2));
}

TEST_CASE("customers are a change log with moves, re-sends, late rows and deletes", "[sample]") {
    struct Row {
        std::int64_t id;
        std::string city;
        std::string updated_at;
        bool deleted;
        std::string recorded_at;
    };
    std::vector<Row> rows;
    for (const std::string& line : lines(made().customers)) {
        const auto c = cells(line, '\t');
        REQUIRE(c.size() == 16);
        rows.push_back({std::stoll(c[0]), c[7], c[13], c[14] != "\\N", c[15]});
    }
    // What each day should bring, from the rules alone.
    std::int64_t expected = 1000;
    std::set<std::int64_t> gone;
    int deletes = 0;
    int late = 0;
    for (std::int64_t day = 0; day < 10; ++day) {
        for (std::int64_t id = 1; id <= 1000; ++id) {
            if (gone.contains(id)) continue;
            expected += (id + day) % 40 == 0;
            expected += (id + day) % 10 == 0;
            late += id % 97 == day % 97;
            expected += id % 97 == day % 97;
            if (day >= 5 && (id + 3 * day) % 250 == 0) {
                ++expected;
                ++deletes;
                gone.insert(id);
            }
        }
        if (day > 0) expected += 2;
    }
    CHECK(static_cast<std::int64_t>(rows.size()) == expected);
    CHECK(deletes == 20);
    CHECK(std::ranges::count_if(rows, [](const Row& r) { return r.deleted; }) == deletes);
    CHECK(std::ranges::count_if(rows, [](const Row& r) {
              return r.updated_at.substr(0, 10) != r.recorded_at.substr(0, 10) &&
                     r.recorded_at.substr(11) != "00:00:00Z" && r.id <= 1000;
          }) == late);
    // A move is seen as a move: rows that differ in when they were true are in another city or
    // are re-sends at noon.
    std::map<std::int64_t, std::map<std::string, std::string>> history;
    for (const Row& row : rows) history[row.id][row.updated_at] = row.city;
    for (const auto& [id, versions] : history) {
        std::string before;
        for (const auto& [at, city] : versions) {
            const int hour = std::stoi(at.substr(11, 2));
            if (!before.empty() && (hour == 6 || hour == 9)) {
                CAPTURE(id, at);
                CHECK(city != before);
            }
            before = city;
        }
    }
}

TEST_CASE("products have a new version at each price change", "[sample]") {
    std::int64_t expected = 200;
    for (std::int64_t day = 0; day < 10; ++day)
        for (std::int64_t id = 1; id <= 200; ++id) expected += (id + day) % 25 == 0;
    CHECK(static_cast<std::int64_t>(lines(made().products).size()) == expected);
    CHECK(expected == 200 + 10 * 8);
}

TEST_CASE("payments and locations are read by the engine", "[sample]") {
    engine::Database database(engine::DatabaseOptions{});
    const std::string folder = made().folder.path().string();
    CHECK(
        database.integer("select count(*) from read_json('" + folder + "/payments/*.jsonl.gz')") ==
        9'500
    );
    CHECK(
        database.integer(
            "select count(distinct order_id) from read_json('" + folder +
            "/payments/*.jsonl.gz') where amount_cents > 0"
        ) == 9'500
    );
    CHECK(database.integer("select count(*) from '" + folder + "/locations.parquet'") == 50);
}

TEST_CASE("options that make no sample are refused", "[sample]") {
    CHECK(sample::check({}).empty());
    CHECK(sample::check({.days = 0}).size() == 1);
    CHECK(sample::check({.days = 0, .orders_per_day = 1500, .start = "yesterday"}).size() == 3);
}
