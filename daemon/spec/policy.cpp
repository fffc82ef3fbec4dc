// Masking policies: read alone here, applied by operators/mask.
#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "model/json_schema.hpp"
#include "spec/draft.hpp"
#include "spec/language.hpp"

namespace sluice::spec {

using nlohmann::json;

std::vector<Problem> check_policy_text(std::string_view text, const std::string& file) {
    const auto document =
        read_text(text, file, {.bytes = limits::dag_file_bytes, .depth = limits::dag_file_depth});
    if (document.value == nullptr) return document.problems;
    Problems problems(file, document.map);
    for (auto& problem : check_against(*document.value, policy_language()))
        problems.add(std::move(problem));
    if (!problems.has_errors())
        refuse_not_yet_deep(*document.value, policy_language(), "", problems);
    return problems.take();
}

std::vector<Problem> check_policy(std::string_view text, const std::string& file) {
    return check_policy_text(text, file);
}

}  // namespace sluice::spec
