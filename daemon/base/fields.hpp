// fields.hpp — reading the fields of a JSON object strictly: every problem is noted with its
// place, code and suggestion, and reading goes on. Not thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "base/json_text.hpp"

namespace sluice {

/// The problems of one file. A second problem of the same code at the same place is dropped.
class Problems {
public:
    explicit Problems(std::string file, std::shared_ptr<const SourceMap> map = nullptr);

    void error(
        std::string code, std::string pointer, std::string message, std::string suggestion = {}
    );
    void warning(
        std::string code, std::string pointer, std::string message, std::string suggestion = {}
    );
    /// As error, but placed at the key instead of the value.
    void key_error(
        std::string code, std::string pointer, std::string message, std::string suggestion = {}
    );
    /// Adds one from elsewhere: file, line and column are filled in from its pointer.
    void add(Problem problem);

    [[nodiscard]] bool has_errors() const { return errors_ != 0; }
    [[nodiscard]] std::size_t errors() const { return errors_; }
    [[nodiscard]] const std::vector<Problem>& all() const { return problems_; }
    /// Sorted by place in the file.
    std::vector<Problem> take();

private:
    std::string file_;
    std::shared_ptr<const SourceMap> map_;
    std::vector<Problem> problems_;
    std::set<std::string> seen_;
    std::size_t errors_{0};
};

/// The nearest of `known` by edit distance, as `did you mean "x"?`; "" if none is near.
std::string did_you_mean(std::string_view written, const std::vector<std::string>& known);

/// "a string", "an integer", "an object", ...
std::string type_name(const nlohmann::json& value);

/// The fields of one object. A getter notes the key as known; a wrong type is a problem and reads
/// as absent. Call `done` last: it reports the keys that no getter asked for.
class Fields {
public:
    /// A value that is not an object is a problem; then every field is absent.
    Fields(const nlohmann::json& value, std::string pointer, Problems& problems);

    [[nodiscard]] bool has(std::string_view key);
    [[nodiscard]] std::string pointer(std::string_view key) const;
    /// The raw value; nullptr if absent.
    const nlohmann::json* any(std::string_view key);
    const nlohmann::json* object(std::string_view key);
    const nlohmann::json* array(std::string_view key);
    std::optional<std::string> string(std::string_view key);
    std::string required_string(std::string_view key);
    const nlohmann::json* required(std::string_view key);
    std::optional<bool> boolean(std::string_view key);
    std::optional<std::int64_t> integer(
        std::string_view key, std::int64_t least = INT64_MIN, std::int64_t most = INT64_MAX
    );
    std::optional<double> number(std::string_view key);
    std::optional<Duration> duration(std::string_view key);
    /// A byte size: "512MB", "1GiB".
    std::optional<std::int64_t> size(std::string_view key);
    /// One string or a list of strings.
    std::optional<std::vector<std::string>> names(std::string_view key);
    std::optional<std::string> choice(std::string_view key, const std::vector<std::string>& known);
    void done();

private:
    const nlohmann::json* find(std::string_view key);
    void wrong_type(std::string_view key, std::string_view expected, const nlohmann::json& value);

    const nlohmann::json& value_;
    std::string pointer_;
    Problems& problems_;
    std::vector<std::string> known_;
};

/// "512MB", "1GiB", "1.5 GB", "4096B" in bytes.
std::optional<std::int64_t> parse_size(std::string_view text);

}  // namespace sluice
