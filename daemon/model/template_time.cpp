// Times in templates: ISO texts, strftime, zones.
#include <date/tz.h>
#include <fmt/format.h>

#include "model/template_parts.hpp"

namespace sluice::tmpl {
namespace {

struct LocalTime {
    date::year_month_day day;
    date::hh_mm_ss<Duration> time;
    std::chrono::seconds offset{0};
    std::string abbreviation{"UTC"};
};

LocalTime local(const DateTime& at) {
    const date::sys_time<Duration> utc{at.at.time_since_epoch()};
    std::chrono::seconds offset{0};
    std::string abbreviation = "UTC";
    if (!at.zone.empty()) {
        const auto info = date::locate_zone(at.zone)->get_info(utc);
        offset = info.offset;
        abbreviation = info.abbrev;
    }
    const date::local_time<Duration> here{utc.time_since_epoch() + offset};
    const auto days = date::floor<date::days>(here);
    return {
        date::year_month_day{days}, date::hh_mm_ss<Duration>{here - days}, offset, abbreviation
    };
}

std::string offset_text(std::chrono::seconds offset, std::string_view colon) {
    const auto total = offset.count() < 0 ? -offset.count() : offset.count();
    return fmt::format(
        "{}{:02}{}{:02}", offset.count() < 0 ? '-' : '+', total / 3600, colon, total / 60 % 60
    );
}

int year_of(const LocalTime& at) { return static_cast<int>(at.day.year()); }
unsigned month_of(const LocalTime& at) { return static_cast<unsigned>(at.day.month()); }
unsigned day_of(const LocalTime& at) { return static_cast<unsigned>(at.day.day()); }

std::string directive(const LocalTime& at, char letter) {
    constexpr const char* days[] = {
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
    };
    constexpr const char* months[] = {
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December"
    };
    const auto weekday = date::weekday{date::local_days{at.day}}.c_encoding();
    const auto hours = at.time.hours().count();
    switch (letter) {
        case 'Y':
            return fmt::format("{:04}", year_of(at));
        case 'y':
            return fmt::format("{:02}", year_of(at) % 100);
        case 'm':
            return fmt::format("{:02}", month_of(at));
        case 'd':
            return fmt::format("{:02}", day_of(at));
        case 'H':
            return fmt::format("{:02}", hours);
        case 'I':
            return fmt::format("{:02}", hours % 12 == 0 ? 12 : hours % 12);
        case 'p':
            return hours < 12 ? "AM" : "PM";
        case 'M':
            return fmt::format("{:02}", at.time.minutes().count());
        case 'S':
            return fmt::format("{:02}", at.time.seconds().count());
        case 'f':
            return fmt::format("{:06}", at.time.subseconds().count());
        case 'j':
            return fmt::format(
                "{:03}",
                (date::local_days{at.day} - date::local_days{at.day.year() / 1 / 1}).count() + 1
            );
        case 'u':
            return fmt::format("{}", weekday == 0 ? 7 : weekday);
        case 'w':
            return fmt::format("{}", weekday);
        case 'a':
            return std::string(days[weekday]).substr(0, 3);
        case 'A':
            return days[weekday];
        case 'b':
            return std::string(months[month_of(at) - 1]).substr(0, 3);
        case 'B':
            return months[month_of(at) - 1];
        case 'z':
            return offset_text(at.offset, "");
        case 'Z':
            return at.abbreviation;
        case 'F':
            return directive(at, 'Y') + '-' + directive(at, 'm') + '-' + directive(at, 'd');
        case 'T':
            return directive(at, 'H') + ':' + directive(at, 'M') + ':' + directive(at, 'S');
        case '%':
            return "%";
        default:
            throw TemplateFault{
                .message = fmt::format("%{} has no meaning in a time pattern", letter)
            };
    }
}

}  // namespace

std::string format_time(const DateTime& time, const std::string& pattern) {
    const LocalTime at = local(time);
    std::string out;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%' || i + 1 == pattern.size())
            out += pattern[i];
        else
            out += directive(at, pattern[++i]);
    }
    return out;
}

std::string iso(const DateTime& time) {
    const LocalTime at = local(time);
    std::string out = format_time(time, "%Y-%m-%dT%H:%M:%S");
    if (at.time.subseconds().count() != 0) out += format_time(time, ".%f");
    return out + offset_text(at.offset, ":");
}

DateTime in_zone(const DateTime& time, const std::string& zone) {
    try {
        (void)date::locate_zone(zone);
    } catch (const std::exception&) {
        throw TemplateFault{.message = fmt::format("there is no time zone \"{}\"", zone)};
    }
    return {time.at, zone};
}

std::int64_t time_field(const DateTime& time, const std::string& field) {
    const LocalTime at = local(time);
    if (field == "year") return year_of(at);
    if (field == "month") return month_of(at);
    if (field == "day") return day_of(at);
    if (field == "hour") return at.time.hours().count();
    if (field == "minute") return at.time.minutes().count();
    if (field == "second") return at.time.seconds().count();
    if (field == "microsecond") return at.time.subseconds().count();
    if (field == "quarter") return (month_of(at) + 2) / 3;
    return -1;
}

Instant time_argument(const Value& value, std::string_view who) {
    if (const auto* time = value.as<DateTime>()) return time->at;
    if (const auto* text = value.as<std::string>()) {
        if (const auto parsed = parse_time(*text)) return parsed->at;
        throw TemplateFault{
            .message = fmt::format("{} needs a time, \"{}\" is none", who, *text),
            .kind = FaultKind::value
        };
    }
    throw TemplateFault{.message = fmt::format("{} needs a time, {} is none", who, kind(value))};
}

}  // namespace sluice::tmpl
