#include "task_services.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "lake_service.hpp"
#include "map_keys.hpp"
#include "map_values.hpp"
#include "model/timetable.hpp"
#include "model/zone.hpp"
#include "task/job.hpp"

namespace sluice {
namespace {

const DatasetSpec* find_dataset(const Dag& dag, const std::string& name) {
    const auto found = std::ranges::find(dag.datasets, name, &DatasetSpec::name);
    return found == dag.datasets.end() ? nullptr : &*found;
}

/// How a data set is cut into partitions. Side data sets are cut like the one they stand beside.
std::string partitioning(const Dag& dag, const std::string& name) {
    if (const auto* known = find_dataset(dag, name)) return known->partition;
    for (const std::string_view suffix :
         {"_rejects", "_quarantine_released", "_released", "_quarantine"}) {
        if (!name.ends_with(suffix)) continue;
        if (const auto* base = find_dataset(dag, name.substr(0, name.size() - suffix.size())))
            return base->partition;
    }
    return "day";
}

/// The zone of its partitions' labels: that of the DAG that writes it.
const std::string& zone_of(const Dag& dag, const std::string& name) {
    const auto* known = find_dataset(dag, name);
    return known == nullptr || known->timezone.empty() ? dag.timezone : known->timezone;
}

Instant begin_of(const AttemptOrder& order) {
    const auto& run = *order.run;
    if (run.data_interval) return run.data_interval->start;
    return run.logical_date.value_or(run.run_after);
}

/// The last instant that belongs to the run's interval.
Instant last_of(const AttemptOrder& order) {
    const auto& interval = order.run->data_interval;
    if (!interval || interval->end <= interval->start) return begin_of(order);
    return interval->end - Duration{1};
}

std::string label(Instant at, const std::string& partitioning, const std::string& timezone) {
    if (partitioning == "none") return "";
    const auto zone = Zone::find(timezone).value_or(Zone::utc());
    const std::string folder = partitioning == "day" ? "dt" : partitioning;
    return folder + '=' + partition_key(at, partitioning, zone);
}

std::vector<task::InputSlice> live_inputs(
    store::Ledger& ledger, const AttemptOrder& order, const task::InputQuery& query
) {
    const auto& dag = *order.dag;
    const auto kind = partitioning(dag, query.dataset);
    const auto& zone = zone_of(dag, query.dataset);
    store::SliceQuery wanted{.dataset = query.dataset};
    switch (query.partitions) {
        case task::InputQuery::Partitions::all:
            break;
        case task::InputQuery::Partitions::latest:
            wanted.latest_only = true;
            [[fallthrough]];
        case task::InputQuery::Partitions::interval:
            if (!wanted.latest_only)
                wanted.from =
                    label(begin_of(order) - query.lookback.value_or(Duration{}), kind, zone);
            wanted.to = label(last_of(order), kind, zone);
            break;
    }
    std::vector<task::InputSlice> slices;
    for (const auto& slice : ledger.live(wanted)) {
        task::InputSlice input{
            .dataset = slice.key.dataset,
            .partition = slice.key.partition,
            .slice = slice.key.slice,
            .generation = slice.generation,
            .rows = slice.rows,
        };
        for (const auto& file : nlohmann::json::parse(slice.files))
            input.files.push_back(file.at("path").get<std::string>());
        if (query.with_read) input.read = task::read_in(slice.input);
        slices.push_back(std::move(input));
    }
    return slices;
}

bool is_lake(const std::string& dataset) {
    return dataset.starts_with("raw.") || dataset.starts_with("processed.") ||
           dataset.starts_with("curated.");
}

task::OutputClaim claim_output(
    store::Ledger& ledger, const AttemptOrder& order, const executor::ClaimRequest& request
) {
    const store::Claim claim{
        .key = {request.dataset, request.partition, request.slice},
        .attempt = order.key,
        .dag_id = order.dag->dag_id,
        .run_id = order.run->run_id,
        .task_id = order.dag->tasks[static_cast<std::size_t>(order.key.task.task)].id,
        .try_number = order.try_number,
        .interval = order.run->data_interval,
        .at_least = request.at_least,
    };
    const auto generation = ledger.claim(claim);
    if (!is_lake(request.dataset)) return {.generation = generation};
    return {
        .generation = generation,
        .folder = generation_folder(claim.key, generation, order.key),
    };
}

/// Which instances' values an attempt sees of a mapped task: one's, or a list.
struct Pushed {
    MapIndex index{unmapped};
    bool list{false};
    std::optional<std::vector<MapIndex>> of{};  // in this order; none = all by map index
};

/// As instances depend on each other (docs/design/semantics.md 14).
Pushed pushed_for(store::MapItems& items, const AttemptOrder& order, TaskNo task) {
    const Dag& dag = *order.dag;
    const auto mapping_of = [&](TaskNo no) {
        return dag.tasks[static_cast<std::size_t>(no)].mapping;
    };
    const auto outer_of = [&](MapNo map) {
        return map == no_map ? no_map : dag.mappings[static_cast<std::size_t>(map)].outer;
    };
    const TaskKey& own = order.key.task;
    const MapNo theirs = mapping_of(task);
    const MapNo ours = mapping_of(own.task);
    if (theirs == no_map) return {};
    if (theirs == ours && own.map_index != unmapped) return {.index = own.map_index};
    // Of which instance of the mapped group around it the attempt, or the list to be made, is.
    MapIndex outer = unmapped;
    if (outer_of(ours) != no_map)
        outer = place_of(items, order).outer;
    else if (outer_of(theirs) != no_map && outer_of(theirs) == ours)
        outer = own.map_index;
    if (theirs == outer_of(ours) && outer != unmapped) return {.index = outer};
    if (outer_of(theirs) == no_map) return {.list = true};
    const bool kin =
        outer != unmapped && (outer_of(theirs) == ours || outer_of(theirs) == outer_of(ours));
    std::vector<MapIndex> of;
    const auto add = [&](const MapLength& list) {
        for (const MapIndex index : store::indexes_of(list)) of.push_back(index);
    };
    if (!kin) {
        for (const auto& list : items.lists(own.run, theirs)) add(list);
    } else if (const auto list = items.length(own.run, theirs, outer)) {
        add(*list);
    }
    return {.list = true, .of = std::move(of)};
}

/// Where an instance depends on some instances of the writer only, it reads their slices only: the
/// others are still writing theirs.
void keep_own_instances(
    store::MapItems& items,
    const AttemptOrder& order,
    const std::string& dataset,
    std::vector<task::InputSlice>& slices
) {
    const auto* known = find_dataset(*order.dag, dataset);
    const TaskKey& own = order.key.task;
    if (known == nullptr || known->writer == no_task || known->writer == own.task) return;
    const auto mapping = [&](TaskNo no) {
        return order.dag->tasks[static_cast<std::size_t>(no)].mapping;
    };
    if (own.map_index == unmapped || mapping(known->writer) == no_map) return;
    const Pushed from = pushed_for(items, order, known->writer);
    if (from.list && !from.of) return;
    std::set<std::string> wanted;
    if (!from.list) wanted.insert(std::to_string(from.index));
    for (const MapIndex index : from.of.value_or(std::vector<MapIndex>{}))
        wanted.insert(std::to_string(index));
    std::erase_if(slices, [&](const task::InputSlice& slice) {
        const auto hash = slice.slice.find('#');
        return hash == std::string::npos || !wanted.contains(slice.slice.substr(hash + 1));
    });
}

/// The values of a mapped task's instances; each may be an artefact.
std::string resolved_list(const std::string& list, Artefacts& artefacts) {
    auto values = nlohmann::json::parse(list);
    for (auto& value : values) value = nlohmann::json::parse(artefacts.resolve(value.dump()));
    return values.dump();
}

}  // namespace

std::string partition_of(const AttemptOrder& order, const std::string& dataset) {
    const auto& dag = *order.dag;
    return label(begin_of(order), partitioning(dag, dataset), zone_of(dag, dataset));
}

std::string partition_key_of(const AttemptOrder& order) {
    // The data sets that a DAG writes share its default partitioning unless they say otherwise.
    const auto& datasets = order.dag->datasets;
    const auto written = std::ranges::find_if(datasets, [&](const DatasetSpec& dataset) {
        return dataset.writer == order.key.task.task && dataset.partition != "none";
    });
    const std::string kind = written == datasets.end() ? "day" : written->partition;
    const auto zone = Zone::find(order.dag->timezone).value_or(Zone::utc());
    return partition_key(begin_of(order), kind, zone);
}

namespace {

/// As templates see them: per asset the list of its events.
std::string asset_events_json(const std::vector<AssetEvent>& events) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& event : events) {
        nlohmann::json item{
            {"id", event.id},
            {"asset", event.asset},
            {"timestamp", format_offset(event.at)},
            {"extra", nlohmann::json::parse(event.extra)},
            {"source_dag_id", nullptr},
            {"source_run_id", nullptr},
            {"source_task_id", nullptr},
            {"source_map_index", event.map_index}
        };
        if (!event.dag_id.empty()) {
            item["source_dag_id"] = event.dag_id;
            item["source_run_id"] = event.run_id;
            item["source_task_id"] = event.task_id;
        }
        out[event.asset].push_back(std::move(item));
    }
    return out.dump();
}

}  // namespace

executor::Services task_services(ServiceSources sources) {
    executor::Services services;
    services.connection = sources.connection;
    services.variable = sources.variable;
    services.secret = [secrets =
                           sources.secrets](const std::string& name) -> std::optional<Secret> {
        auto all = secrets();
        const auto found = all.find(name);
        if (found == all.end()) return std::nullopt;
        return std::move(found->second);
    };
    services.artefacts = &sources.artefacts;
    services.xcoms =
        [xcoms = sources.xcoms,
         lists = sources.xcom_lists,
         items = sources.map_items,
         &artefacts = sources.artefacts](const AttemptOrder& order, const std::string& task_id) {
            std::map<std::string, std::string> values;
            const TaskNo task = find_task(*order.dag, task_id);
            if (task == no_task) return values;
            const TaskKey& own = order.key.task;
            const Pushed from = items == nullptr ? Pushed{} : pushed_for(*items, order, task);
            if (from.list && lists) {
                values = lists(own.run, task, from.of ? &*from.of : nullptr);
                for (auto& [key, list] : values) list = resolved_list(list, artefacts);
                values.try_emplace("return_value", "[]");  // of no instances, or none with a value
                return values;
            }
            values = xcoms({own.run, task, from.index});
            for (auto& [key, value] : values) value = artefacts.resolve(std::move(value));
            return values;
        };
    services.load_checkpoint = [load = sources.load_checkpoint](const AttemptOrder& order) {
        return load(order.key.task);
    };
    services.save_checkpoint = [save = sources.save_checkpoint](
                                   const AttemptOrder& order, const std::string& state
                               ) { save(order.key, state); };
    if (sources.asset_events)
        services.asset_events = [events = sources.asset_events](const AttemptOrder& order) {
            return asset_events_json(events(order.run->key));
        };
    if (sources.updates_of)
        services.updates_of = [updates = sources.updates_of](const auto& assets) {
            auto out = nlohmann::json::object();
            for (const auto& asset : assets) {
                out[asset] = nlohmann::json::array();
                out.update(nlohmann::json::parse(asset_events_json(updates(asset))));
            }
            return out.dump();
        };
    if (sources.previous_success)
        services.previous_success = [previous = sources.previous_success](const AttemptOrder& order
                                    ) -> std::optional<RenderPreviousRun> {
            if (!order.run->logical_date) return std::nullopt;
            const auto run = previous(order);
            if (!run) return std::nullopt;
            return RenderPreviousRun{run->data_interval, run->start_date, run->end_date};
        };
    if (sources.map_items != nullptr) {
        services.map_length = [items = sources.map_items](const AttemptOrder& order
                              ) -> std::optional<std::int64_t> {
            const auto& task = order.dag->tasks[static_cast<std::size_t>(order.key.task.task)];
            const auto& mapping = order.dag->mappings[static_cast<std::size_t>(task.mapping)];
            if (mapping.length) return *mapping.length;
            const MapIndex outer =
                mapping.outer == no_map ? unmapped : place_of(*items, order).outer;
            const auto length = items->length(order.key.task.run, task.mapping, outer);
            if (!length || length->length < 0) return std::nullopt;
            return length->length;
        };
        auto values = std::make_shared<MapValues>(*sources.map_items);
        services.put_items = [values](const auto& order, const auto& expansion) {
            values->put(order, expansion);
        };
        services.map_value = [values](const auto& order) { return values->of(order); };
        auto keys = std::make_shared<MapKeys>(*sources.map_items, values);
        services.map_keys = [keys](const auto& order, const auto& question) {
            return keys->answer(order, question);
        };
    }
    services.partition_key = partition_key_of;
    services.partition = partition_of;
    services.inputs = [&ledger = sources.ledger,
                       items = sources.map_items](const auto& order, const auto& query) {
        auto slices = live_inputs(ledger, order, query);
        if (items != nullptr) keep_own_instances(*items, order, query.dataset, slices);
        return slices;
    };
    services.claim = [&ledger = sources.ledger](const auto& order, const auto& request) {
        return claim_output(ledger, order, request);
    };
    if (!sources.schema_suffix.empty())
        services.physical_schema = [suffix = sources.schema_suffix](
                                       const AttemptOrder&, const auto& schema
                                   ) { return schema + suffix; };
    return services;
}

}  // namespace sluice
