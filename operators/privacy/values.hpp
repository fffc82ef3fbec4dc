// values.hpp — a few values as a call of a masking function, outside the engine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operators/engine/database.hpp"

namespace sluice::privacy {

/// One argument of text, and where the results go.
class Values final : public engine::Arguments, public engine::Results {
public:
    explicit Values(std::vector<std::optional<std::string>> in) : in_(std::move(in)) {
        texts.resize(in_.size());
        integers.resize(in_.size());
    }
    [[nodiscard]] std::size_t rows() const override { return in_.size(); }
    [[nodiscard]] bool is_null(std::size_t, std::size_t row) const override { return !in_[row]; }
    [[nodiscard]] std::string_view text(std::size_t, std::size_t row) const override {
        return *in_[row];
    }
    [[nodiscard]] std::int64_t integer(std::size_t, std::size_t) const override { return 0; }
    void null(std::size_t row) override { texts[row].reset(); }
    void text(std::size_t row, std::string_view value) override { texts[row] = std::string(value); }
    void integer(std::size_t row, std::int64_t value) override { integers[row] = value; }

    std::vector<std::optional<std::string>> texts;
    std::vector<std::int64_t> integers;

private:
    std::vector<std::optional<std::string>> in_;
};

}  // namespace sluice::privacy
