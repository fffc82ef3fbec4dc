// object_store.hpp — what the daemon adds to a connection of type `s3` or `aws` before a task gets
// it: a worker sees neither the daemon's environment nor its home.
#pragma once

#include <filesystem>

#include "task/context.hpp"

namespace sluice {

/// Other types come back as they are. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY stand in for a
/// login that is not there; the names of files, roles and endpoints that AWS's tools look for in
/// the environment go into `extra.environment`; a folder of the home into `extra.local_folder`.
task::Connection with_environment(task::Connection connection, const std::filesystem::path& home);

}  // namespace sluice
