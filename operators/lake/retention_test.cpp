#include "operators/lake/retention.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using lake::Generation;
using Lines = std::vector<std::string>;

namespace {

Instant day(int number) { return Instant{std::chrono::days{20'000 + number}}; }

/// A day's slice of raw.orders that was written the day after its interval began.
Generation generation(int of_day, std::int64_t number, const std::string& state) {
    Generation one;
    one.dataset = "raw.orders";
    one.partition = "dt=" + std::to_string(of_day);
    one.number = number;
    one.state = state;
    one.interval_end = day(of_day + 1);
    one.committed_at = day(of_day + 1);
    return one;
}

lake::Retention ninety_days() {
    lake::Retention retention;
    retention.keep["raw"] = std::chrono::days{90};
    return retention;
}

Lines judged(
    const std::vector<Generation>& generations,
    const lake::Retention& retention,
    Instant as_of,
    Instant now
) {
    Lines lines;
    for (const auto& [one, reason] : lake::outlived(generations, retention, as_of, now))
        lines.push_back(one.partition + " " + std::to_string(one.number) + ": " + reason);
    return lines;
}

}  // namespace

TEST_CASE("a slice goes when its tier's time after its interval is over, not a day before") {
    const std::vector<Generation> lake{
        generation(0, 1, "committed"), generation(1, 1, "committed")
    };
    CHECK(judged(lake, ninety_days(), day(90), day(90)).empty());
    CHECK(judged(lake, ninety_days(), day(91), day(91)) == Lines{"dt=0 1: raw is kept 90d"});
}

TEST_CASE("ages count from the run's clock: a run of an old day deletes as it did then") {
    const std::vector<Generation> lake{generation(0, 1, "committed")};
    CHECK(judged(lake, ninety_days(), day(5), day(1'000)).empty());
}

TEST_CASE("a tier that is kept for ever, and one that nobody speaks of, lose nothing by age") {
    const std::vector<Generation> lake{generation(0, 1, "committed")};
    lake::Retention retention;
    CHECK(judged(lake, retention, day(5'000), day(5'000)).empty());
    retention.keep["raw"] = std::nullopt;
    CHECK(judged(lake, retention, day(5'000), day(5'000)).empty());
}

TEST_CASE("what is on hold stays, whatever its age and number") {
    auto old = generation(0, 1, "superseded");
    old.superseded_at = day(2);
    const std::vector<Generation> lake{
        old, generation(0, 2, "superseded"), generation(0, 3, "committed")
    };
    lake::Retention retention = ninety_days();
    for (const char* hold : {"raw.orders", "raw.*", "*.orders"}) {
        retention.holds = {hold};
        CHECK(judged(lake, retention, day(1'000), day(1'000)).empty());
    }
    retention.holds = {"raw.order"};
    CHECK(judged(lake, retention, day(1'000), day(1'000)).size() == 3);
}

TEST_CASE(
    "of a slice that was written again the newest stay, and the others until their grace is over"
) {
    auto first = generation(0, 1, "superseded");
    first.superseded_at = day(10);
    auto second = generation(0, 2, "superseded");
    second.superseded_at = day(20);
    const std::vector<Generation> lake{first, second, generation(0, 3, "committed")};
    const auto retention = ninety_days();
    CHECK(judged(lake, retention, day(11), day(11)) == Lines{"dt=0 1: beyond the newest 2"});
    CHECK(judged(lake, retention, day(10), day(10) + std::chrono::hours{23}).empty());
    lake::Retention one = retention;
    one.min_generations = 1;
    CHECK(judged(lake, one, day(21), day(21)).size() == 2);
}

TEST_CASE("after a rollback the live generation stays although others are newer") {
    std::vector<Generation> lake{generation(0, 1, "committed")};
    for (int number : {2, 3, 4}) {
        lake.push_back(generation(0, number, "superseded"));
        lake.back().superseded_at = day(2);
    }
    CHECK(judged(lake, ninety_days(), day(30), day(30)) == Lines{"dt=0 2: beyond the newest 2"});
}

TEST_CASE("what an attempt left goes, what one writes now stays and keeps its slice") {
    auto left = generation(0, 2, "writing");
    left.over = true;
    CHECK(
        judged({generation(0, 1, "committed"), left}, ninety_days(), day(5), day(5)) ==
        Lines{"dt=0 2: never committed"}
    );
    CHECK(judged(
              {generation(0, 1, "committed"), generation(0, 2, "writing")},
              ninety_days(),
              day(500),
              day(500)
    )
              .empty());
}

TEST_CASE("files that a crash left after their row was deleted are removed, on hold or not") {
    lake::Retention retention = ninety_days();
    retention.holds = {"*"};
    CHECK(
        judged({generation(0, 1, "deleted")}, retention, day(5), day(5)) ==
        Lines{"dt=0 1: its files were left"}
    );
}
