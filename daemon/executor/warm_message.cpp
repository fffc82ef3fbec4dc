#include "executor/warm_message.hpp"

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace sluice::executor {
namespace {

/// Room for the control message that carries the descriptors.
union Control {
    cmsghdr header;
    std::array<char, CMSG_SPACE(sizeof(int) * warm_fds)> bytes;
};

}  // namespace

bool send_order(int socket, const std::string& folder, const std::array<int, warm_fds>& fds) {
    std::string text = folder;
    iovec part{text.data(), text.size()};
    Control control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * warm_fds);
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * warm_fds);
    while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
        if (errno == EINTR) continue;
        if (errno == EPIPE || errno == ECONNRESET) return false;
        throw Error(
            ErrorCode::internal, std::string("the warm process: sendmsg: ") + std::strerror(errno)
        );
    }
    return true;
}

bool receive_order(int socket, WarmOrder& order) {
    std::array<char, warm_order_bytes> buffer;
    iovec part{buffer.data(), buffer.size()};
    Control control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    ssize_t count = 0;
    do {
        count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    const cmsghdr* header = count > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(int) * warm_fds))
        return false;
    std::array<int, warm_fds> fds{};
    std::memcpy(fds.data(), CMSG_DATA(header), sizeof fds);
    for (std::size_t i = 0; i < fds.size(); ++i) order.fds[i] = task::Fd{fds[i]};
    order.folder.assign(buffer.data(), static_cast<std::size_t>(count));
    return true;
}

}  // namespace sluice::executor
