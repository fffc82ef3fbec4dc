// warm_message.hpp — what the daemon and its warm process (warm_process.hpp) say to each other over
// a SOCK_SEQPACKET pair. One order: the scratch folder as text, with three descriptors; its answer:
// WarmAnswer. Both ends are the same binary.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <sys/socket.h>
#include <sys/types.h>

#include "task/process.hpp"

namespace sluice::executor {

/// The ends of a worker: its socket, standard output and standard error, in this order.
constexpr std::size_t warm_fds = 3;

/// A path is at most 4096 bytes (PATH_MAX).
constexpr std::size_t warm_order_bytes = 4'096;

struct WarmAnswer {
    pid_t pid{-1};
    int error{0};  // errno if there is no process
};

struct WarmOrder {
    std::string folder;
    std::array<task::Fd, warm_fds> fds;
};

/// False if the other end is gone. Throws Error for other reasons.
bool send_order(int socket, const std::string& folder, const std::array<int, warm_fds>& fds);
/// False at end of file, or for something that is no order.
bool receive_order(int socket, WarmOrder& order);

}  // namespace sluice::executor
