// s3.hpp — objects of one bucket of Amazon S3 or a store that speaks like it. Calls block; a cancel
// of the attempt ends them. What the store or the network does wrong for a moment is tried again;
// what stays wrong is a Failure that names connection and object. One thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.hpp"
#include "task/context.hpp"

namespace sluice::connect {

struct S3Object {
    std::string key;  // without the connection's prefix
    std::int64_t bytes{};
    Instant changed_at;
    std::string etag;
    std::string sha256{};  // of what put() wrote, in hex; "" if somebody else did, or in a list
};

class S3 {
public:
    /// Throws Error(invalid) if the connection's settings are wrong.
    S3(task::TaskContext& context, const task::Connection& connection);
    ~S3();
    S3(const S3&) = delete;
    S3& operator=(const S3&) = delete;

    /// The object is there, whole, when this returns; and not at all, or whole, if it throws. Large
    /// files go in parts.
    void put(const std::string& key, const std::filesystem::path& file);
    void put_text(const std::string& key, std::string_view bytes, const std::string& content_type);

    /// Downloads into a new file, going on where a connection broke; checked against the SHA-256
    /// that put() left. `room` is called with the object's size before the first byte and may
    /// throw. Throws Failure(permanent) if it is not there, Failure(data_quality) if it is not what
    /// was put. Leaves no file if it throws.
    void get(
        const std::string& key,
        const std::filesystem::path& file,
        const std::function<void(std::int64_t bytes)>& room = {}
    );
    std::string get_range(const std::string& key, std::int64_t begin, std::int64_t bytes);
    std::optional<S3Object> head(const std::string& key);
    /// All objects whose keys begin so, in order of their keys.
    void list(const std::string& prefix, const std::function<void(const S3Object&)>& each);
    /// One that is not there is fine.
    void remove(const std::string& key);
    /// Ends what was begun in parts and never finished.
    void abort_uploads(const std::string& key);

    /// The bucket's lifecycle configuration as XML; "" if it has none.
    std::string lifecycle();
    void put_lifecycle(const std::string& xml);  // "" = none

    /// From now on nothing is tried a second time: for what is only tidied up.
    void try_once();

    /// "s3://bucket/prefix/key".
    [[nodiscard]] std::string address(const std::string& key) const;
    /// "" or "a/b/": what all keys begin with in the bucket.
    [[nodiscard]] const std::string& prefix() const;
    [[nodiscard]] std::int64_t cache_bytes() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::connect
