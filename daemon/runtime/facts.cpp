// What core cannot know by itself: runs that have ended, and the versions they ran.
#include <type_traits>

#include "base/check.hpp"
#include "runtime/impl.hpp"

namespace sluice::runtime {

void Runtime::Impl::add_facts(core::Event& event) {
    std::visit(
        [this](auto& value) {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (requires { value.run_id_taken; }) {
                if (value.run_id)
                    value.run_id_taken =
                        journal_.find_run_key(value.dag_id, *value.run_id).has_value();
                if (value.logical_date)
                    value.logical_date_taken =
                        journal_.has_logical_date(value.dag_id, *value.logical_date);
            } else if constexpr (std::is_same_v<Value, core::SetTaskState>) {
                if (!value.tasks.empty()) add_stored(value.tasks.front().run, value.stored);
            } else if constexpr (requires { value.stored; }) {
                add_stored(value.run, value.stored);
            } else if constexpr (std::is_same_v<Value, core::CreateBackfill>) {
                value.existing = journal_.runs_between(
                    value.backfill.dag_id, value.backfill.from_date, value.backfill.to_date
                );
                for (auto& stored : value.existing) stored.dag = version(stored.run.version);
            }
        },
        event
    );
}

void Runtime::Impl::add_stored(RunKey run, std::optional<StoredRun>& stored) {
    if (scheduler_->find_open_run(run) != nullptr) return;
    stored = journal_.find_run(run);
    if (stored) stored->dag = version(stored->run.version);
}

DagPtr Runtime::Impl::version(VersionId id) {
    if (auto known = registry_.find_version(id)) return known;
    auto stored = journal_.versions({id});
    SLUICE_CHECK(!stored.empty());
    auto dag = read_version_(stored.front());
    registry_.put_version(dag);
    return dag;
}

}  // namespace sluice::runtime
