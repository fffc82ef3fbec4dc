// cron.hpp — a cron expression over wall-clock time: five fields, or six with seconds last.
// What is not certain (L, W, ?, backward ranges, steps beyond a field) is refused with a reason.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/zone.hpp"

namespace sluice {

/// "@daily" -> "0 0 * * *"; none for what is not a cron preset (also @once and @continuous).
std::optional<std::string_view> preset_cron(std::string_view text);

class Cron {
public:
    /// Throws Error (invalid) with a sentence that says what is wrong. Takes presets too.
    static Cron parse(std::string_view text);

    /// Every hour of a matching day fires: then a repeated hour fires twice (semantics 4).
    [[nodiscard]] bool covers_every_hour() const { return hours_ == every_hour; }

    /// The first match in [from, end).
    [[nodiscard]] std::optional<LocalTime> first_in(LocalTime from, LocalTime end) const;
    /// The last match in [from, end).
    [[nodiscard]] std::optional<LocalTime> last_in(LocalTime from, LocalTime end) const;

private:
    static constexpr std::uint64_t every_hour = (std::uint64_t{1} << 24) - 1;

    Cron() = default;
    void read_days_of_week(std::string_view field);
    [[nodiscard]] bool matches(std::chrono::year_month_day date) const;
    [[nodiscard]] bool matches_month(std::chrono::month month) const;

    // One bit a value.
    std::uint64_t seconds_{1};
    std::uint64_t minutes_{};
    std::uint64_t hours_{};
    std::uint64_t days_{};
    std::uint64_t months_{};
    std::uint64_t weekdays_{};           // Sunday = 0
    std::array<std::uint8_t, 7> nth_{};  // by weekday, bit n: its n-th in the month ("MON#1")
    bool any_day_{};                     // day of month is unrestricted
    bool any_weekday_{};
};

/// Why `text` is no cron expression, as a sentence; none if it is one.
std::optional<std::string> cron_problem(std::string_view text);

}  // namespace sluice
