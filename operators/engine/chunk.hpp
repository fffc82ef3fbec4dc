// chunk.hpp — the cells of a streamed batch, typed and without copies; for encoders (COPY, files).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operators/engine/value.hpp"

namespace sluice::engine {

enum class Kind : std::uint8_t {
    boolean,
    integer,  // any signed or unsigned integer up to 64 bits that fits int64
    unsigned64,
    huge,  // 128-bit integer
    real,  // 32-bit float
    double_,
    decimal,
    text,  // varchar, enum
    json,
    blob,
    date,       // days since 1970
    time,       // microseconds
    timestamp,  // microseconds since 1970
    timestamptz,
    interval,
    uuid,
    list,   // `child` tells of what
    other,  // must be cast before it is streamed
};

struct ColumnType {
    Kind kind{Kind::other};
    int bytes{0};  // stored size; negative = unsigned
    int width{0};  // of decimals
    int scale{0};
    std::shared_ptr<ColumnType> child;
};

struct IntervalValue {
    std::int32_t months{};
    std::int32_t days{};
    std::int64_t micros{};
};

class Cells;

class Chunk {
public:
    virtual ~Chunk() = default;
    [[nodiscard]] virtual std::size_t rows() const = 0;
    [[nodiscard]] virtual std::size_t columns() const = 0;
    [[nodiscard]] virtual const Cells& column(std::size_t index) const = 0;
};

/// One column of a chunk. The accessor must fit the type's kind.
class Cells {
public:
    Cells() = default;
    Cells(ColumnType type, const void* data, const std::uint64_t* validity)
        : type_(std::move(type)), data_(data), validity_(validity) {}

    [[nodiscard]] const ColumnType& type() const { return type_; }
    [[nodiscard]] bool is_null(std::size_t row) const {
        return validity_ != nullptr && ((validity_[row / 64] >> (row % 64)) & 1U) == 0;
    }
    [[nodiscard]] bool boolean(std::size_t row) const;
    /// integer, date, time, timestamp, timestamptz.
    [[nodiscard]] std::int64_t integer(std::size_t row) const;
    [[nodiscard]] Int128 huge(std::size_t row) const;  // decimal (unscaled), huge, unsigned64
    [[nodiscard]] double real(std::size_t row) const;  // real, double_
    [[nodiscard]] std::string_view text(std::size_t row) const;  // text, json, blob
    [[nodiscard]] IntervalValue interval(std::size_t row) const;
    /// 16 bytes, most significant first.
    [[nodiscard]] std::string uuid(std::size_t row) const;
    /// Of lists: the elements of a row are [first, first + second) of child().
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> list(std::size_t row) const;
    [[nodiscard]] const Cells& child() const { return *child_; }
    void set_child(std::shared_ptr<Cells> child) { child_ = std::move(child); }

    /// Any kind but list and other, as Database::query gives it.
    [[nodiscard]] Value value(std::size_t row) const;

private:
    ColumnType type_;
    const void* data_{nullptr};
    const std::uint64_t* validity_{nullptr};
    std::shared_ptr<Cells> child_;
};

}  // namespace sluice::engine
