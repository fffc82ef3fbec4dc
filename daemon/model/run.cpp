#include "model/run.hpp"

#include "model/attempt.hpp"
#include "model/names.hpp"

namespace sluice {
namespace {

constexpr NameTable<RunType, 5> run_types{{
    {RunType::scheduled, "scheduled"},
    {RunType::manual, "manual"},
    {RunType::backfill, "backfill"},
    {RunType::asset_triggered, "asset_triggered"},
    {RunType::operator_triggered, "operator_triggered"},
}};

constexpr NameTable<TriggeredBy, 8> triggers{{
    {TriggeredBy::timetable, "timetable"},
    {TriggeredBy::rest_api, "rest_api"},
    {TriggeredBy::ui, "ui"},
    {TriggeredBy::cli, "cli"},
    {TriggeredBy::backfill, "backfill"},
    {TriggeredBy::operator_, "operator"},
    {TriggeredBy::asset, "asset"},
    {TriggeredBy::test, "test"},
}};

constexpr NameTable<ErrorClass, 8> error_classes{{
    {ErrorClass::none, ""},
    {ErrorClass::transient, "transient"},
    {ErrorClass::rate_limited, "rate_limited"},
    {ErrorClass::auth, "auth"},
    {ErrorClass::schema, "schema"},
    {ErrorClass::data_quality, "data_quality"},
    {ErrorClass::resource, "resource"},
    {ErrorClass::permanent, "permanent"},
}};

constexpr NameTable<ReprocessBehavior, 3> behaviors{{
    {ReprocessBehavior::none, "none"},
    {ReprocessBehavior::failed, "failed"},
    {ReprocessBehavior::completed, "completed"},
}};

constexpr NameTable<CancelReason, 4> cancel_reasons{{
    {CancelReason::user, "user"},
    {CancelReason::timeout, "execution_timeout"},
    {CancelReason::run_timeout, "dagrun_timeout"},
    {CancelReason::shutdown, "shutdown"},
}};

}  // namespace

std::string_view name(RunType type) { return name_in(run_types, type); }
std::string_view name(TriggeredBy by) { return name_in(triggers, by); }
std::string_view name(ErrorClass error_class) { return name_in(error_classes, error_class); }
std::string_view name(ReprocessBehavior behavior) { return name_in(behaviors, behavior); }
std::string_view name(CancelReason reason) { return name_in(cancel_reasons, reason); }
std::optional<RunType> run_type_of(std::string_view text) { return value_in(run_types, text); }
std::optional<TriggeredBy> triggered_by_of(std::string_view text) {
    return value_in(triggers, text);
}
std::optional<ErrorClass> error_class_of(std::string_view text) {
    return value_in(error_classes, text);
}
std::optional<ReprocessBehavior> reprocess_behavior_of(std::string_view text) {
    return value_in(behaviors, text);
}

}  // namespace sluice
