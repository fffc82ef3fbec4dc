#include "model/states.hpp"

#include <catch2/catch.hpp>

namespace sluice {

TEST_CASE("every task state has its own name and letter, and is found by its name", "[model]") {
    std::string letters;
    for (int i = 0; i < task_state_count; ++i) {
        const auto state = static_cast<TaskState>(i);
        REQUIRE(task_state_of(name(state)) == state);
        REQUIRE(letters.find(letter(state)) == std::string::npos);
        letters += letter(state);
    }
}

TEST_CASE("a finished instance leaves its state only by clear or mark", "[model]") {
    for (const auto& [from, to] : legal_task_transitions())
        if (is_finished(from)) REQUIRE((to == TaskState::none || is_finished(to)));
    REQUIRE_FALSE(legal(TaskState::success, TaskState::running));
}

}  // namespace sluice
