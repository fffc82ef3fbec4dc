#include "executor/error_class.hpp"

#include <exception>
#include <new>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "model/template.hpp"
#include "task/operator.hpp"

namespace sluice::executor {

ErrorClass class_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::unauthorized:
        case ErrorCode::forbidden:
            return ErrorClass::auth;
        case ErrorCode::unavailable:
        case ErrorCode::internal:
            return ErrorClass::transient;
        case ErrorCode::invalid:
        case ErrorCode::not_found:
        case ErrorCode::conflict:
        case ErrorCode::limit:
            return ErrorClass::permanent;
    }
    unreachable();
}

Outcome outcome_of_run(const std::function<Outcome()>& run) {
    try {
        return run();
    } catch (const Error& error) {
        return task::fail(class_of(error.code()), error.what());
    } catch (const std::bad_alloc&) {
        return task::fail(ErrorClass::resource, "out of memory");
    } catch (const std::exception& error) {
        return task::fail(ErrorClass::permanent, error.what());
    }
}

nlohmann::json revealed_params(const task::Job& job) {
    auto params = nlohmann::json::parse(job.params);
    if (job.secrets.empty()) return params;
    reveal_secrets(params, [&](const std::string& secret) {
        const auto found = job.secrets.find(secret);
        if (found == job.secrets.end())
            throw Error(
                ErrorCode::not_found, "secret \"" + secret + "\" was not given to the task"
            );
        return found->second.reveal();
    });
    return params;
}

}  // namespace sluice::executor
