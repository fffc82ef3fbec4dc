#include "executor/ending.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/limits.hpp"
#include "task/operator.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

std::string cancel_text(CancelReason reason, const AttemptOrder& order) {
    switch (reason) {
        case CancelReason::user:
            return "cancelled";
        case CancelReason::timeout:
            return "execution_timeout after " +
                   format_duration(order.dag->tasks[static_cast<std::size_t>(order.key.task.task)]
                                       .execution_timeout.value_or(Duration{}));
        case CancelReason::run_timeout:
            return "cancelled: the run is over its dagrun_timeout";
        case CancelReason::shutdown:
            return "the daemon stopped";
    }
    unreachable();
}

}  // namespace

std::string bounded(std::string text) {
    if (text.size() <= limits::error_text_bytes) return text;
    std::size_t keep = limits::error_text_bytes - 3;
    while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0U) == 0x80U) --keep;
    return text.substr(0, keep) + "...";
}

void keep_small(Outcome& outcome, std::string resume) {
    if (resume.size() > limits::inline_value_bytes) {
        outcome = task::fail(
            ErrorClass::permanent,
            "the task wants to remember " + std::to_string(resume.size()) +
                " bytes while it waits; inline_value_bytes is " +
                std::to_string(limits::inline_value_bytes)
        );
        return;
    }
    outcome.wait->resume = std::move(resume);
}

std::vector<XcomValue> kept_xcoms(
    const AttemptOrder& order, std::vector<XcomValue> xcoms, Artefacts* artefacts
) {
    const Task& task = order.dag->tasks[static_cast<std::size_t>(order.key.task.task)];
    const auto is_return = [](const XcomValue& xcom) { return xcom.key == "return_value"; };
    if (!task.do_xcom_push) std::erase_if(xcoms, is_return);
    if (!task.multiple_outputs) return xcoms;
    const auto returned = std::ranges::find_if(xcoms, is_return);
    if (returned == xcoms.end()) return xcoms;
    const Json value =
        Json::parse(artefacts == nullptr ? returned->value : artefacts->resolve(returned->value));
    if (!value.is_object()) return xcoms;
    for (const auto& [key, part] : value.items()) {
        if (key == "return_value") continue;
        std::string text = part.dump();
        xcoms.push_back({key, artefacts == nullptr ? text : artefacts->spill(std::move(text))});
    }
    return xcoms;
}

Outcome cancelled_outcome(
    CancelReason reason, const AttemptOrder& order, const std::optional<Outcome>& own
) {
    Outcome outcome = task::fail(
        reason == CancelReason::timeout ? ErrorClass::transient : ErrorClass::permanent,
        cancel_text(reason, order)
    );
    if (reason == CancelReason::timeout && own && own->skip_on_timeout)
        outcome.kind = OutcomeKind::skipped;
    if (reason == CancelReason::shutdown) {
        outcome.kind = OutcomeKind::lost;
        outcome.error_class = ErrorClass::none;
    }
    return outcome;
}

void note_end(const Outcome& outcome, TaskLog& log) {
    switch (outcome.kind) {
        case OutcomeKind::success:
            break;
        case OutcomeKind::skipped:
            log.append(task::Level::info, "skipped: " + outcome.message, "sluice");
            break;
        case OutcomeKind::failed:
            log.append(
                task::Level::error,
                outcome.message + " [" + std::string(name(outcome.error_class)) + ']',
                "sluice"
            );
            break;
        case OutcomeKind::waiting:
            break;
        case OutcomeKind::lost:
            log.append(task::Level::warning, "lost: " + outcome.message, "sluice");
            break;
    }
    log.close();
}

}  // namespace sluice::executor
