#include "core/trigger_rules.hpp"

#include <catch2/catch.hpp>

namespace sluice::core {
namespace {

/// Upstream states by letter, as in grids: s k f u, n = not yet.
UpstreamCounts upstreams(std::string_view letters) {
    UpstreamCounts counts;
    for (const char letter : letters) {
        ++counts.total;
        switch (letter) {
            case 's':
                counts.add(TaskState::success, 1);
                break;
            case 'k':
                counts.add(TaskState::skipped, 1);
                break;
            case 'f':
                counts.add(TaskState::failed, 1);
                break;
            case 'u':
                counts.add(TaskState::upstream_failed, 1);
                break;
            default:
                counts.add(TaskState::running, 1);
                break;
        }
    }
    return counts;
}

/// "run", "wait" or what the task is marked.
std::string verdict(TriggerRule rule, std::string_view letters) {
    const Verdict result = judge(rule, upstreams(letters));
    switch (result.kind) {
        case Verdict::Kind::run:
            return "run";
        case Verdict::Kind::wait:
            return "wait";
        case Verdict::Kind::mark:
            return std::string{name(result.state)};
    }
    return "";
}

TEST_CASE("a task without upstreams runs under every rule", "[core][rules]") {
    for (const auto rule :
         {TriggerRule::all_success,
          TriggerRule::all_failed,
          TriggerRule::one_failed,
          TriggerRule::all_skipped,
          TriggerRule::one_done,
          TriggerRule::always})
        REQUIRE(verdict(rule, "") == "run");
}

struct Row {
    TriggerRule rule;
    std::string_view upstream;
    std::string_view expected;
};

TEST_CASE("every rule decides by the states of the direct upstreams", "[core][rules]") {
    using R = TriggerRule;
    const Row table[] = {
        {R::all_success, "ss", "run"},
        {R::all_success, "sn", "wait"},
        {R::all_success, "nf", "upstream_failed"},
        {R::all_success, "nu", "upstream_failed"},
        {R::all_success, "kf", "upstream_failed"},
        {R::all_success, "nk", "skipped"},
        {R::all_failed, "fu", "run"},
        {R::all_failed, "fn", "wait"},
        {R::all_failed, "ns", "skipped"},
        {R::all_failed, "fk", "skipped"},
        {R::all_done, "sfku", "run"},
        {R::all_done, "sfn", "wait"},
        {R::all_done_min_one_success, "sf", "run"},
        {R::all_done_min_one_success, "sn", "wait"},
        {R::all_done_min_one_success, "fu", "upstream_failed"},
        {R::all_done_min_one_success, "nk", "skipped"},
        {R::all_skipped, "kk", "run"},
        {R::all_skipped, "kn", "wait"},
        {R::all_skipped, "ns", "skipped"},
        {R::all_skipped, "kf", "skipped"},
        {R::one_failed, "nf", "run"},
        {R::one_failed, "nu", "run"},
        {R::one_failed, "sn", "wait"},
        {R::one_failed, "sk", "skipped"},
        {R::one_success, "ns", "run"},
        {R::one_success, "fn", "wait"},
        {R::one_success, "kk", "skipped"},
        {R::one_success, "kf", "upstream_failed"},
        {R::one_done, "ns", "run"},
        {R::one_done, "nf", "run"},
        {R::one_done, "nk", "wait"},
        {R::one_done, "ku", "skipped"},
        {R::none_failed, "sk", "run"},
        {R::none_failed, "kk", "run"},
        {R::none_failed, "sn", "wait"},
        {R::none_failed, "nf", "upstream_failed"},
        {R::none_failed_min_one_success, "sk", "run"},
        {R::none_failed_min_one_success, "kn", "wait"},
        {R::none_failed_min_one_success, "nu", "upstream_failed"},
        {R::none_failed_min_one_success, "kk", "skipped"},
        {R::none_skipped, "sf", "run"},
        {R::none_skipped, "sn", "wait"},
        {R::none_skipped, "nk", "skipped"},
        {R::always, "nn", "run"},
    };
    for (const auto& row : table) {
        CAPTURE(name(row.rule), row.upstream);
        REQUIRE(verdict(row.rule, row.upstream) == row.expected);
    }
}

TEST_CASE("an upstream that leaves its state is counted out again", "[core][rules]") {
    auto counts = upstreams("sf");
    counts.add(TaskState::failed, -1);
    counts.add(TaskState::success, 1);
    REQUIRE(counts == upstreams("ss"));
}

}  // namespace
}  // namespace sluice::core
