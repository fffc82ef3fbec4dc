#include "model/zone.hpp"

#include <algorithm>
#include <stdexcept>

#include <date/tz.h>

namespace sluice {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr sys_seconds first_second = std::chrono::sys_days{std::chrono::year{1} / 1 / 1};
constexpr sys_seconds last_second = std::chrono::sys_days{std::chrono::year{9999} / 12 / 31};

}  // namespace

std::optional<Zone> Zone::find(std::string_view name) {
    if (name == "UTC") return utc();
    try {
        const auto* zone = date::locate_zone(std::string{name});
        (void)zone->get_info(sys_seconds{});  // reads the file: a broken one is refused here
        return Zone{zone};
    } catch (const std::runtime_error&) {
        return std::nullopt;
    }
}

Zone Zone::utc() { return Zone{nullptr}; }

std::string_view Zone::name() const {
    return zone_ == nullptr ? std::string_view{"UTC"} : std::string_view{zone_->name()};
}

Zone::Stretch Zone::stretch(sys_seconds at) const {
    if (zone_ == nullptr) return {first_second, last_second, seconds{0}};
    const auto info = zone_->get_info(std::clamp(at, first_second, last_second));
    return {
        std::max<sys_seconds>(info.begin, first_second),
        std::min<sys_seconds>(info.end, last_second),
        info.offset
    };
}

LocalTime Zone::to_local(Instant at) const {
    const auto whole = std::chrono::floor<seconds>(at);
    return LocalTime{whole.time_since_epoch() + stretch(whole).offset};
}

Instant Zone::to_instant(LocalTime local) const {
    const seconds naive = local.time_since_epoch();
    if (zone_ == nullptr) return Instant{naive};
    const auto info = zone_->get_info(date::local_seconds{naive});
    const bool repeated = info.result == date::local_info::ambiguous;
    return Instant{naive - (repeated ? info.second.offset : info.first.offset)};
}

std::vector<std::string> zone_names() {
    std::vector<std::string> names;
    for (const auto& zone : date::get_tzdb().zones) names.push_back(zone.name());
    return names;
}

std::optional<std::string> zone_problem(std::string_view name) {
    if (Zone::find(name)) return std::nullopt;
    return "\"" + std::string{name} + "\" is not a time zone of the IANA database";
}

Instant resolve(const ParsedTime& time, const Zone& zone) {
    if (time.has_offset) return time.at;
    const auto whole = std::chrono::floor<seconds>(time.at);
    return zone.to_instant(LocalTime{whole.time_since_epoch()}) + (time.at - whole);
}

}  // namespace sluice
