// v2_instances.hpp — what the endpoints of task instances share.
#pragma once

#include "api/services.hpp"

namespace sluice::api {

/// {map_index} of the path; -1 where the path has none. Throws Failure(422) for what is no number.
MapIndex read_map_index(const http::Request& request);
/// The instance that the path names.
Found find_from(Services& services, const http::Request& request);
Json instance_json(
    Services& services, const store::RunRow& run, const Dag& dag, const TaskInstance& instance
);
/// Puts the names of mapped instances, which they have by their template or by their places in a
/// nested mapping, into their views. One query for all; `keys` are those of `views`, in order.
void name_instances(Services& services, const std::vector<TaskKey>& keys, Json& views);
/// {"task_instances": ..., "total_entries": ...} and the cursors that are not used.
Json instance_list(Json instances, std::int64_t total);

}  // namespace sluice::api
