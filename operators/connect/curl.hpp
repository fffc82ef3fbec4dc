// curl.hpp — libcurl's handles as owners; for .cpp files only. Errors are Error(internal).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include <curl/curl.h>

#include "base/error.hpp"
#include "task/context.hpp"

namespace sluice::connect {

struct EasyDelete {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiDelete {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListDelete {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyDelete>;
using List = std::unique_ptr<curl_slist, ListDelete>;

/// Once a process, before anything else of libcurl.
inline void start_curl() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

inline Easy new_easy() {
    Easy easy(curl_easy_init());
    if (!easy) throw Error(ErrorCode::internal, "libcurl does not start");
    return easy;
}

template <class Value>
void set(const Easy& easy, CURLoption option, Value value) {
    if (curl_easy_setopt(easy.get(), option, value) != CURLE_OK)
        throw Error(ErrorCode::internal, "libcurl refuses an option");
}

inline void append(List& list, const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)list.release();
    list.reset(longer);
}

using Multi = std::shared_ptr<CURLM>;

/// For the transfers of one attempt; a cancel wakes it.
inline Multi new_multi(task::TaskContext& ctx) {
    Multi multi(curl_multi_init(), MultiDelete{});
    ctx.on_cancel([weak = std::weak_ptr<CURLM>(multi)] {
        if (const auto alive = weak.lock()) curl_multi_wakeup(alive.get());
    });
    return multi;
}

/// Runs one transfer to its end, or until the attempt is cancelled.
inline CURLcode perform(task::TaskContext& ctx, const Multi& multi, const Easy& easy) {
    curl_multi_add_handle(multi.get(), easy.get());
    int running = 1;
    while (running != 0 && !ctx.cancelled()) {
        if (curl_multi_perform(multi.get(), &running) != CURLM_OK) break;
        if (running != 0) curl_multi_poll(multi.get(), nullptr, 0, 1'000, nullptr);
    }
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int left = 0;
    while (const CURLMsg* done = curl_multi_info_read(multi.get(), &left))
        if (done->msg == CURLMSG_DONE) code = done->data.result;
    curl_multi_remove_handle(multi.get(), easy.get());
    return code;
}

/// False if the attempt is cancelled meanwhile.
inline bool wait(task::TaskContext& ctx, const Multi& multi, Duration time) {
    using Clock = std::chrono::steady_clock;
    const auto until = Clock::now() + time;
    while (!ctx.cancelled()) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
        if (left <= 0) return true;
        // A cancel wakes it.
        const int part = static_cast<int>(std::min<std::int64_t>(left, 1'000));
        curl_multi_poll(multi.get(), nullptr, 0, part, nullptr);
    }
    return false;
}

}  // namespace sluice::connect
