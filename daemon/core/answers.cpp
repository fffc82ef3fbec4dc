// answers.cpp — what a command's caller gets to know, and its line in the audit log.
#include "core/impl.hpp"

namespace sluice::core {

Answer& Scheduler::Impl::answer(RequestId request) {
    auto& answer = turn_->answers.emplace_back();
    answer.id = request;
    return answer;
}

void Scheduler::Impl::refuse(RequestId request, ErrorCode code, std::string message) {
    auto& refusal = answer(request);
    refusal.error = code;
    refusal.message = std::move(message);
}

void Scheduler::Impl::audit(
    const Actor& actor, std::string_view event, const Subject& subject, std::string extra
) {
    auto& entry = turn_->audits.emplace_back();
    entry.at = now_;
    entry.actor = actor.user;
    entry.source = actor.source;
    entry.request_id = actor.request_id;
    entry.event = event;
    entry.dag_id = subject.dag_id;
    entry.run_id = subject.run_id;
    entry.task_id = subject.task_id;
    entry.extra = std::move(extra);
}

}  // namespace sluice::core
