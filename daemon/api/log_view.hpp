// log_view.hpp — the log of one attempt as the API and the dashboard see it.
#pragma once

#include <cstdint>
#include <string>

#include "api/services.hpp"
#include "executor/task_log.hpp"

namespace sluice::api {

/// Thrown for the log of an attempt that another node ran and keeps: ask there.
struct LogElsewhere {
    std::string address;
};

struct AttemptLog {
    Found found;
    int try_number{};
    std::string path;
    bool complete{false};   // the attempt has ended: no more lines will come
    std::string elsewhere;  // a sentence: the file is on a node that does not answer
};

/// 404 in Airflow's words for a try that never was. Throws LogElsewhere unless the request was
/// handed on already.
AttemptLog find_log(
    Services& services,
    const http::Request& request,
    const std::string& dag_id,
    const std::string& run_id,
    const std::string& task_id,
    MapIndex map_index,
    std::int64_t try_number
);

/// "D", "I", "W", "E".
char level_letter(task::Level level);
std::string_view level_name(task::Level level);
std::optional<task::Level> level_of_letter(std::string_view letter);

}  // namespace sluice::api
