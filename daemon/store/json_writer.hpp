// json_writer.hpp — appends the rows of a turn to a JSON text; for store/json_rows*.cpp only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/instant.hpp"
#include "model/run.hpp"

namespace sluice::store {

/// Appends objects to a JSON text. nlohmann would parse and copy every value that is JSON already.
class Writer {
public:
    void begin_list(std::string_view name) {
        comma();
        quoted(name);
        text_ += ":[";
        first_ = true;
    }
    void end_list() {
        text_ += ']';
        first_ = false;
    }
    /// A list of rows (not inside another one): without rows there is no list at all, and no
    /// statement for it.
    void begin_rows(std::string_view name) {
        before_rows_ = text_.size();
        first_before_rows_ = first_;
        begin_list(name);
    }
    void end_rows() {
        if (!first_) return end_list();
        text_.resize(before_rows_);
        first_ = first_before_rows_;
    }
    void begin_object() {
        comma();
        text_ += '{';
        first_ = true;
    }
    void begin_object(std::string_view name) {
        comma();
        quoted(name);
        text_ += ":{";
        first_ = true;
    }
    void end_object() {
        text_ += '}';
        first_ = false;
    }
    void item(std::string_view text) {
        comma();
        quoted(text);
    }
    void field(std::string_view name, std::string_view value) {
        key(name);
        quoted(value);
    }
    void field(std::string_view name, const std::string& value) {
        field(name, std::string_view{value});
    }
    void field(std::string_view name, std::int64_t value) {
        key(name);
        text_ += std::to_string(value);
    }
    void field(std::string_view name, int value) { field(name, std::int64_t{value}); }
    void field(std::string_view name, bool value) {
        key(name);
        text_ += value ? "true" : "false";
    }
    void field(std::string_view name, Instant value) { field(name, format_z(value)); }
    void field(std::string_view name, const std::optional<Instant>& value) {
        if (value) field(name, *value);
    }
    void json(std::string_view name, std::string_view value) {
        key(name);
        text_ += value.empty() ? "null" : value;
    }
    void task(const TaskKey& key) {
        field("run_key", key.run.value);
        field("task_no", key.task);
        field("map_index", key.map_index);
    }
    void attempt(const AttemptKey& key) {
        task(key.task);
        field("start_no", key.start);
    }
    std::string take() { return std::move(text_); }

private:
    void comma() {
        if (!first_) text_ += ',';
        first_ = false;
    }
    void key(std::string_view name) {
        comma();
        quoted(name);
        text_ += ':';
    }
    void quoted(std::string_view value) {
        constexpr std::string_view hex = "0123456789abcdef";
        text_ += '"';
        for (const char c : value) {
            if (c == '"' || c == '\\') {
                text_ += '\\';
                text_ += c;
            } else if (static_cast<unsigned char>(c) < 0x20) {
                text_ += "\\u00";
                text_ += hex[static_cast<unsigned char>(c) >> 4];
                text_ += hex[static_cast<unsigned char>(c) & 15];
            } else {
                text_ += c;
            }
        }
        text_ += '"';
    }

    std::string text_;
    bool first_{true};
    std::size_t before_rows_{0};
    bool first_before_rows_{true};
};

}  // namespace sluice::store
