#include "api/metrics.hpp"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/live.hpp"
#include "base/error.hpp"

namespace sluice::api {
namespace {

/// A label's value: backslash, quote and line break escaped.
std::string label(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        out += c;
    }
    return out;
}

class Text {
public:
    void metric(const char* name, const char* type, const char* help) {
        out_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
    }
    template <class Value>
    void sample(const char* name, Value value, const std::string& labels = {}) {
        out_ += labels.empty() ? fmt::format("{} {}\n", name, value)
                               : fmt::format("{}{{{}}} {}\n", name, labels, value);
    }
    template <class Value>
    void one(const char* name, const char* type, const char* help, Value value) {
        metric(name, type, help);
        sample(name, value);
    }
    void raw(const std::string& text) { out_ += text; }
    std::string take() { return std::move(out_); }

private:
    std::string out_;
};

double resident_bytes() {
    std::ifstream in("/proc/self/statm");
    double total = 0;
    double resident = 0;
    in >> total >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void add_loop(Text& text, Services& services) {
    const auto& figures = services.runtime.figures();
    text.one(
        "sluice_loop_turns_total", "counter", "Turns of the scheduler loop.", figures.turns.load()
    );
    text.one(
        "sluice_commits_total",
        "counter",
        "Transactions committed by the loop.",
        figures.commits.load()
    );
    text.one(
        "sluice_transitions_total",
        "counter",
        "State transitions made durable.",
        figures.transitions.load()
    );
    text.one(
        "sluice_commits_refused_total",
        "counter",
        "Commits refused for their data.",
        figures.refused.load()
    );
    text.one(
        "sluice_reloads_total",
        "counter",
        "Times the state was loaded from the database.",
        figures.reloads.load()
    );
    text.metric("sluice_commit_seconds", "summary", "Time of a commit.");
    text.sample("sluice_commit_seconds_sum", static_cast<double>(figures.commit_micros) / 1e6);
    text.sample("sluice_commit_seconds_count", figures.commits.load());
    text.one(
        "sluice_last_commit_seconds",
        "gauge",
        "Time of the last commit.",
        static_cast<double>(figures.last_commit_micros) / 1e6
    );
    text.one(
        "sluice_database_available",
        "gauge",
        "1 while the run-state database answers.",
        figures.database_available ? 1 : 0
    );
    text.one(
        "sluice_owner", "gauge", "1 while this daemon holds the lease.", figures.owner ? 1 : 0
    );
    text.one(
        "sluice_last_seq",
        "gauge",
        "Last place in the transition log.",
        services.runtime.seq().value
    );
    text.one(
        "airflow_scheduler_heartbeat",
        "counter",
        "Turns of the scheduler loop, under Airflow's name.",
        figures.turns.load()
    );
}

void add_scheduler(Text& text, Services& services) {
    if (!services.runtime.figures().owner) return;  // the owner tells
    core::Scheduler::Counts counts;
    std::vector<core::Scheduler::PoolUse> pools;
    services.runtime.query([&](const core::Scheduler& scheduler) {
        counts = scheduler.counts();
        pools = scheduler.pool_use();
    });
    text.one("sluice_open_runs", "gauge", "DAG runs that have not ended.", counts.open_runs);
    text.one("sluice_running_tasks", "gauge", "Attempts under way.", counts.running_tasks);
    text.one(
        "sluice_ready_tasks", "gauge", "Task instances that wait for a slot.", counts.ready_tasks
    );
    text.one(
        "airflow_executor_running_tasks", "gauge", "Attempts under way.", counts.running_tasks
    );
    text.one(
        "airflow_executor_queued_tasks",
        "gauge",
        "Task instances that wait for a slot.",
        counts.ready_tasks
    );
    const auto by_pool = [&](const char* metric, const char* help, auto value) {
        text.metric(metric, "gauge", help);
        for (const auto& use : pools)
            text.sample(metric, value(use), "pool=\"" + label(use.pool.name) + "\"");
    };
    by_pool("airflow_pool_running_slots", "Slots of running tasks.", [](const auto& use) {
        return use.running;
    });
    by_pool("airflow_pool_queued_slots", "Slots of queued tasks.", [](const auto& use) {
        return use.queued;
    });
    by_pool(
        "airflow_pool_scheduled_slots",
        "Slots that waiting tasks ask for.",
        [](const auto& use) { return use.scheduled; }
    );
    by_pool("airflow_pool_open_slots", "Free slots, -1 = no limit.", [](const auto& use) {
        return use.pool.slots < 0
                   ? std::int64_t{-1}
                   : std::max<std::int64_t>(0, use.pool.slots - use.running - use.queued);
    });
}

}  // namespace

void RequestCounters::count(const http::Request& request, int status) {
    std::size_t method = methods.size() - 1;
    for (std::size_t i = 0; i + 1 < methods.size(); ++i)
        if (request.method == methods[i]) method = i;
    const auto status_class = static_cast<std::size_t>(std::clamp(status / 100, 0, 5));
    counts_[method][status_class].fetch_add(1, std::memory_order_relaxed);
}

std::string RequestCounters::text() const {
    std::string out;
    for (std::size_t method = 0; method < methods.size(); ++method)
        for (std::size_t status = 0; status < 6; ++status) {
            const auto count = counts_[method][status].load(std::memory_order_relaxed);
            if (count == 0) continue;
            out += fmt::format(
                "sluice_http_requests_total{{method=\"{}\",status=\"{}xx\"}} {}\n",
                methods[method],
                status,
                count
            );
        }
    return out;
}

std::string metrics_text(
    Services& services, const RequestCounters& requests, const http::ServerCounters* server
) {
    Text text;
    text.metric("sluice_build_info", "gauge", "Version of this daemon.");
    text.sample("sluice_build_info", 1, "version=\"" + label(services.instance.version) + "\"");
    add_loop(text, services);
    try {
        add_scheduler(text, services);
    } catch (const Error&) {
        // The loop is stopping or the database is away: the figures above say so.
    }
    const auto dags = services.runtime.registry().all();
    text.one("airflow_dagbag_size", "gauge", "DAGs that are listed.", dags.size());
    text.one(
        "airflow_dag_processing_import_errors",
        "gauge",
        "DAG files that do not load.",
        services.runtime.registry().import_errors().size()
    );
    text.metric("sluice_http_requests_total", "counter", "Requests answered.");
    text.raw(requests.text());
    text.one("sluice_live_streams", "gauge", "Browsers that listen.", services.live.streams());
    if (server != nullptr) {
        text.one(
            "sluice_http_connections", "gauge", "Open connections.", server->connections.load()
        );
        text.one(
            "sluice_http_accepted_total",
            "counter",
            "Connections accepted.",
            server->accepted.load()
        );
        text.one(
            "sluice_http_refused_total",
            "counter",
            "Connections or requests over a limit.",
            server->refused.load()
        );
        text.one(
            "sluice_http_bad_requests_total",
            "counter",
            "Requests that were not HTTP.",
            server->bad_requests.load()
        );
    }
    text.one("process_cpu_seconds_total", "counter", "CPU time of the daemon.", cpu_seconds());
    text.one(
        "process_resident_memory_bytes", "gauge", "Resident memory of the daemon.", resident_bytes()
    );
    text.one(
        "process_start_time_seconds",
        "gauge",
        "When the daemon started.",
        static_cast<double>(to_micros(services.instance.started_at)) / 1e6
    );
    return text.take();
}

}  // namespace sluice::api
