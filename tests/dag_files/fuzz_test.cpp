// Random damage to good files: the loader always answers, with a DAG or with problems.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operator_catalogue.hpp"
#include "spec/loader.hpp"
#include "tests/source_dir.hpp"

namespace {

namespace fs = std::filesystem;
using namespace sluice;

std::string read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

class Damage {
public:
    explicit Damage(std::uint64_t seed) : random_(seed) {}

    /// Bytes changed, cut, doubled, or strewn with what hurts parsers.
    std::string bytes(std::string text) {
        for (std::size_t n = below(6) + 1; n > 0 && !text.empty(); --n) {
            const std::size_t at = below(text.size());
            switch (below(6)) {
                case 0:
                    text[at] = static_cast<char>(below(256));
                    break;
                case 1:
                    text.erase(at, below(40));
                    break;
                case 2:
                    text.insert(at, text.substr(below(text.size()), below(60)));
                    break;
                case 3:
                    text.insert(at, pieces[below(std::size(pieces))]);
                    break;
                case 4:
                    text.resize(at);
                    break;
                default:
                    text.insert(at, std::string(below(300), pieces[below(std::size(pieces))][0]));
                    break;
            }
        }
        return text;
    }

    /// A value somewhere in the tree replaced by another of the tree or an odd one.
    nlohmann::json tree(nlohmann::json root) {
        for (std::size_t n = below(3) + 1; n > 0; --n) {
            const auto flat = root.flatten();
            if (flat.empty()) return root;
            auto pick = flat.begin();
            std::advance(pick, static_cast<std::ptrdiff_t>(below(flat.size())));
            nlohmann::json::json_pointer where(pick.key());
            for (std::size_t up = below(4); up > 0 && !where.empty(); --up)
                where = where.parent_pointer();
            auto other = flat.begin();
            std::advance(other, static_cast<std::ptrdiff_t>(below(flat.size())));
            root[where] = below(2) == 0 ? *other : odd();
        }
        return root;
    }

    std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

private:
    nlohmann::json odd() {
        using nlohmann::json;
        const json values[] = {
            nullptr,
            true,
            -1,
            1e300,
            "",
            "{{",
            "{{ ds }}",
            "{{ xcom.x.y }}",
            "{% for a in b %}",
            "raw.x",
            json::array(),
            json::object(),
            json::array({json::array()}),
            {{"dataset", "raw.x"}},
            {{"task_id", 3}},
            {{"group_id", "g"}, {"tasks", "x"}},
            {{"cron", "* * * * *"}},
            "\x1a"
            "secret:x\x1a",
            std::string(5000, 'a'),
            {{"default_args", {{"retries", {}}}}}
        };
        return values[below(std::size(values))];
    }

    static constexpr const char* pieces[] = {
        "{",  "[",    "\"", "\\u0000", "\\ud800", "{{",   "}}",     "{%",          "null", "1e999",
        "- ", ": ",   "\n", "\t",      "&a ",     "*a",   "!!map ", "? ",          "|\n",  "'",
        "#",  "\xff", ",",  "]",       "}",       "<<: ", "---\n",  "%YAML 1.1\n", "$1",   "$$"
    };
    std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("damaged DAG files are refused or loaded, never a crash or a hang", "[fuzz]") {
    const char* given = std::getenv("SLUICE_SEED");
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    WARN("seed " << seed << " (SLUICE_SEED=" << seed << " repeats it)");
    Damage damage(seed);
    const fs::path source = sluice_source_dir;
    std::vector<std::string> originals;
    for (const auto* file :
         {"dags/hello.json",
          "dags/ecommerce_daily.json",
          "dags/flights_daily.json",
          "bench/dags/probe_dag.json"})
        originals.push_back(read(source / file));
    const std::string policy = read(source / "dags/policies/pii.yaml");
    const auto reader = [&](const std::string&) {
        return std::optional<std::string>(damage.below(4) == 0 ? damage.bytes(policy) : policy);
    };

    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(4);
    std::size_t rounds = 0;
    std::size_t loaded = 0;
    while (std::chrono::steady_clock::now() < deadline && rounds < 2'000) {
        ++rounds;
        const auto& original = originals[damage.below(originals.size())];
        std::string text;
        std::string name = "x.json";
        switch (damage.below(4)) {
            case 0:
                text = damage.bytes(original);
                break;
            case 1:
                // JSON is YAML, so the same text goes through the other reader.
                text = damage.bytes(original);
                name = "x.yaml";
                break;
            default:
                text = damage.tree(nlohmann::json::parse(original))
                           .dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
                break;
        }
        const auto begin = std::chrono::steady_clock::now();
        const auto parsed = spec::load(text, name, operator_catalogue(), reader);
        const auto taken = std::chrono::steady_clock::now() - begin;
        INFO("round " << rounds << " of seed " << seed);
        REQUIRE((parsed.value || !parsed.problems.empty()));
        REQUIRE(taken < std::chrono::seconds(5));
        loaded += parsed.value ? 1U : 0U;
        (void)spec::check_policy(damage.bytes(policy), "p.yaml");
    }
    CHECK(rounds > 20);
    CHECK(loaded < rounds);
}
