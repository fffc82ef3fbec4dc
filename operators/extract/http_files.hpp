// http_files.hpp — a file on an HTTP server as a source file: by HEAD and GET, going on where a
// download broke off if the server can.
#pragma once

#include "operators/connect/remote_files.hpp"

namespace sluice::extract {

/// Of a connection of type http or https. A path is one file; it may have a query, which is no part
/// of the file's name.
connect::RemoteFiles http_files(task::TaskContext& context, const task::Connection& connection);

}  // namespace sluice::extract
