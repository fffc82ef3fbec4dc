// look.hpp — what a sensor sees when it looks once. Looks throw Error, SqlFailure or Failure for
// what keeps them from seeing.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "task/operator.hpp"

namespace sluice::ops {

struct Sight {
    enum class Is { so, not_yet, never } is{Is::not_yet};
    std::string why;                 // not yet, never: in a few words
    nlohmann::json value;            // so: the XCom; null = none
    std::optional<Instant> until{};  // not yet: nothing changes before; none = poke_interval
    std::string event{};             // not yet: this wakes the sensor, no clock
    Seq seen{};                      // of the log, for `event`
    ErrorClass error_class{ErrorClass::permanent};  // never

    static Sight so(nlohmann::json value = {}) { return {Is::so, "", std::move(value)}; }
    static Sight not_yet(std::string why) { return {Is::not_yet, std::move(why), {}}; }
    static Sight never(std::string why, ErrorClass error_class = ErrorClass::permanent) {
        Sight sight{Is::never, std::move(why), {}};
        sight.error_class = error_class;
        return sight;
    }
};

Sight look_at_file(task::TaskContext& ctx, const nlohmann::json& file, Instant now);
Sight look_at_sql(task::TaskContext& ctx, const nlohmann::json& sql);
Sight look_at_http(task::TaskContext& ctx, const nlohmann::json& http);
Sight look_at_dag(task::TaskContext& ctx, const nlohmann::json& dag);
Sight look_at_dataset(task::TaskContext& ctx, const std::string& dataset);
Sight look_at_time(task::TaskContext& ctx, const std::string& time, Instant now);

/// The instant that `time` means: an instant, a time of day, or a duration after the end of the
/// data interval. None if it is none of these.
std::optional<Instant> target_of(const std::string& time, const task::TaskInfo& info, Instant now);

}  // namespace sluice::ops
