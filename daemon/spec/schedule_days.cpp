// What a schedule names beside its ticks: a list of times, jitter, a calendar of closed days.
#include <algorithm>

#include <fmt/format.h>

#include "base/json_text.hpp"
#include "model/ticks.hpp"
#include "spec/draft.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

void add_days(
    Calendar& calendar, const json& list, const std::string& pointer, Problems& problems
) {
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto range = list[i].is_string()
                               ? parse_closed_days(list[i].get_ref<const std::string&>())
                               : std::nullopt;
        if (range)
            calendar.closed.push_back(*range);
        else
            problems.error(
                "E-CALENDAR",
                child_pointer(pointer, i),
                fmt::format("{} is no day", list[i].dump()),
                R"(write "2026-12-25", or "2026-12-24/2026-12-26" for all days from one to another)"
            );
    }
}

void add_file(Draft& draft, Calendar& calendar, const std::string& path) {
    const std::string pointer = "/schedule/calendar/file";
    const std::string* text = bundle_file(draft, path, pointer);
    if (text == nullptr) return;
    const json list = json::parse(*text, nullptr, false);
    if (!list.is_array())
        return draft.problems.error(
            "E-CALENDAR", pointer, fmt::format("\"{}\" is not a JSON list of days", path)
        );
    Problems inside{path};
    add_days(calendar, list, "", inside);
    for (auto& problem : inside.take()) {
        problem.message =
            fmt::format("in \"{}\" at {}: {}", path, problem.pointer, problem.message);
        problem.pointer = pointer;
        draft.problems.add(std::move(problem));
    }
}

void read_calendar(Draft& draft, Fields& schedule) {
    const auto* value = schedule.object("calendar");
    if (value == nullptr) return;
    Fields fields(*value, "/schedule/calendar", draft.problems);
    auto& calendar = draft.dag.schedule.calendar;
    if (const auto* list = fields.array("dates"); list != nullptr)
        add_days(calendar, *list, fields.pointer("dates"), draft.problems);
    if (const auto path = fields.string("file")) add_file(draft, calendar, *path);
    calendar.weekends = fields.boolean("weekends").value_or(false);
    if (fields.string("rule").value_or("skip") == "next_business_day")
        calendar.rule = ClosedRule::next_business_day;
    calendar.normalize();
    if (!fields.has("dates") && !fields.has("file") && !calendar.weekends)
        draft.problems.error(
            "E-CALENDAR",
            "/schedule/calendar",
            "the calendar closes no day",
            R"(give it "dates", a "file" or "weekends": true)"
        );
}

}  // namespace

void read_events(Draft& draft, Fields& fields) {
    auto& schedule = draft.dag.schedule;
    schedule.kind = ScheduleKind::events;
    schedule.restrict_to_events = fields.boolean("restrict_to_events").value_or(false);
    const auto* list = fields.array("events");
    if (list == nullptr) return;
    for (const auto& item : *list) {
        const auto time =
            item.is_string() ? parse_time(item.get_ref<const std::string&>()) : std::nullopt;
        if (!time) continue;  // the schema has said so
        schedule.events.push_back(resolve(*time, draft.zone.value_or(Zone::utc())));
    }
    std::ranges::sort(schedule.events);
    const auto again = std::ranges::unique(schedule.events);
    if (!again.empty())
        draft.problems.error(
            "E-VALUE", fields.pointer("events"), "two events are the same instant"
        );
    schedule.events.erase(again.begin(), again.end());
}

void check_ticks(Draft& draft) {
    const auto& schedule = draft.dag.schedule;
    if (schedule.calendar.is_empty() || draft.problems.has_errors()) return;
    const Instant from = draft.dag.start_date.value_or(Instant{});
    const Ticks ticks{schedule, draft.zone.value_or(Zone::utc()), from};
    if (ticks.next(from - Duration{1})) return;
    draft.problems.error(
        "E-CALENDAR", "/schedule/calendar", "the calendar closes every day on which it would fire"
    );
}

void read_schedule_days(Draft& draft, Fields& fields) {
    if (const auto jitter = fields.duration("jitter")) {
        if (*jitter < Duration::zero())
            draft.problems.error(
                "E-VALUE", fields.pointer("jitter"), "the duration must not be negative"
            );
        draft.dag.schedule.jitter = std::max(*jitter, Duration::zero());
    }
    read_calendar(draft, fields);
}

}  // namespace sluice::spec
