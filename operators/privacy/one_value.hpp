// one_value.hpp — for tests: a masking function on a few values. Not for product code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operators/privacy/methods.hpp"

namespace sluice::privacy {

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

inline std::string masked_value(
    const policy::Rule& rule,
    const std::string& domain,
    const Keys& keys,
    std::string_view value,
    Direction direction = Direction::mask
) {
    Values values({std::string(value)});
    function_of(rule, domain, keys, std::make_shared<Tally>(), direction)->body(values, values);
    return values.texts[0].value_or("null");
}

}  // namespace sluice::privacy
