#include "instance.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <vector>

#include <spdlog/spdlog.h>

#include "api/app.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "connections.hpp"
#include "dag_loading.hpp"
#include "executor/callback_runner.hpp"
#include "executor/local_executor.hpp"
#include "git_version.hpp"
#include "home.hpp"
#include "http/server.hpp"
#include "lake_service.hpp"
#include "metric_service.hpp"
#include "operators/operators.hpp"
#include "owners_work.hpp"
#include "run_requests.hpp"
#include "runtime/dag_folder.hpp"
#include "runtime/deliveries.hpp"
#include "runtime/runtime.hpp"
#include "runtime/upkeep.hpp"
#include "shop_api.hpp"
#include "store/admin.hpp"
#include "store/checkpoints.hpp"
#include "store/cluster.hpp"
#include "store/connection_pool.hpp"
#include "store/follower.hpp"
#include "store/ledger.hpp"
#include "store/outbox.hpp"
#include "store/pg_journal.hpp"
#include "store/queries.hpp"
#include "store/task_metrics.hpp"
#include "task_services.hpp"
#include "test_schemas.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// The private cluster if there is to be one, started.
std::unique_ptr<store::Cluster> start_cluster(const Config& config) {
    if (!config.database_url.empty()) return nullptr;
    auto cluster = std::make_unique<store::Cluster>(config.home);
    cluster->start();
    cluster->keep_alive();
    return cluster;
}

std::size_t pool_threads(const Config& config) {
    if (config.threads > 0) return static_cast<std::size_t>(config.threads);
    return static_cast<std::size_t>(std::max(config.parallelism, machine_cores()));
}

fs::path dag_folder(const Config& config) {
    const auto folder = config.dags.empty() ? config.home / "dags" : config.dags;
    std::error_code error;
    if (config.dags.empty()) fs::create_directories(folder, error);
    if (!fs::is_directory(folder, error))
        throw Error(ErrorCode::invalid, "the DAG folder " + folder.string() + " is not a folder");
    return fs::absolute(folder).lexically_normal();
}

void check_web_folder(const fs::path& folder) {
    std::error_code error;
    if (folder.empty() || fs::is_regular_file(folder / "index.html", error)) return;
    throw Error(
        ErrorCode::invalid,
        "--web-dir: " + folder.string() +
            " has no index.html; `npm run build` in web/ makes one in web/dist"
    );
}

Config checked(Config config) {
    check_web_folder(config.web_dir);
    config.home = fs::absolute(config.home).lexically_normal();
    return config;
}

}  // namespace

class Instance::Impl {
public:
    explicit Impl(const Config& config)
        : config_(checked(config)),
          dags_(dag_folder(config_)),
          home_(config_.home),
          artefacts_(config_.home / "artefacts"),
          server_(
              std::in_place,
              http::ServerOptions{.address = config_.address, .port = config_.port},
              [this](http::Request request) { return answer(std::move(request)); }
          ),
          address_("http://" + config_.address + ':' + std::to_string(server_->port())),
          cluster_(start_cluster(config_)),
          url_(cluster_ ? cluster_->url("sluice") : config_.database_url),
          pool_(url_, 8),
          admin_(pool_),
          queries_(pool_),
          map_items_(pool_),
          ledger_(pool_),
          lake_(pool_),
          metrics_(pool_),
          checkpoints_(pool_),
          outbox_(pool_),
          connections_(admin_, config_.home),
          journal_(journal_settings()),
          follower_(journal_settings()),
          executor_(
              executor_settings(),
              services(),
              ops::all_operators(),
              [this](std::vector<AttemptResult> results) { runtime_.report(std::move(results)); }
          ),
          runtime_(runtime_settings(), clock_, journal_, executor_, DagLoading::load_stored),
          checks_(ops::all_operators(), program()),
          loading_(dags_, checks_),
          versions_(runtime_.registry(), queries_, DagLoading::load_stored),
          callbacks_(executor_settings(), services(), ops::all_operators()),
          deliveries_(delivery_world()),
          upkeep_(upkeep_world()),
          folder_(
              dags_,
              [this](const auto& text, const auto& file, const auto& others) {
                  return loading_.load(text, file, others);
              },
              runtime_,
              config_.dag_stale_after
          ),
          owners_work_([this] { begin_as_owner(); }, [this] { folder_.stop(); }) {
        // A private cluster has no other daemon.
        if (!cluster_) runtime_.follow(follower_);
        runtime_.on_role([this](bool owner) { owners_work_.set(owner); });
        runtime_.start();
        deliveries_.start();
        upkeep_.start();
        app_.emplace(runtime_, queries_, admin_, clock_, api_instance(), DagLoading::load_stored);
        app_->set_server_counters(&server_->counters());
        owners_work_.begin();
        serving_ = true;
        home_.write_address(address_);
        spdlog::info("serving at {} with home {}", address_, config_.home.string());
    }

    ~Impl() {
        if (app_) app_->stop();
        server_.reset();
        owners_work_.stop();
        folder_.stop();
        upkeep_.stop();
        deliveries_.stop();
        // No new decision may start an attempt that is about to be ended.
        runtime_.stop();
        executor_.stop();
        journal_.release_lease();
        follower_.leave();
    }

    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    [[nodiscard]] const std::string& url() const { return address_; }
    [[nodiscard]] bool deposed() const { return runtime_.deposed(); }
    void drain() { runtime_.drain(); }
    [[nodiscard]] bool drained() const { return runtime_.drained(); }

private:
    http::Reply answer(http::Request request) {
        if (serving_) return app_->handle(std::move(request));
        auto reply = http::json_reply(503, R"({"detail":"The daemon is starting"})");
        reply.set_header("Retry-After", "1");
        return reply;
    }

    /// What only the owner of the run state does, each time it has become that.
    void begin_as_owner() {
        put_connections();
        // The node that was owner first made the user; the others do not know the password.
        if (cluster_ || home_.has_admin_password() || !admin_.user("admin"))
            api::App::ensure_user(admin_, clock_, "admin", "admin", home_.admin_password());
        folder_.start();
    }

    [[nodiscard]] store::JournalSettings journal_settings() const {
        return {
            .url = url_,
            .holder = home_.instance_id(),
            .address = config_.advertise.empty() ? address_ : config_.advertise,
            .lease = config_.lease,
        };
    }

    [[nodiscard]] executor::Settings executor_settings() const {
        return {
            .threads = pool_threads(config_),
            .logs_root = (config_.home / "logs").string(),
            .scratch_root = (config_.home / "scratch").string(),
            .instance = home_.instance_id(),
            .program = program(),
            .may_start = [this] { return journal_.lease_is_fresh(); },
        };
    }

    [[nodiscard]] runtime::Settings runtime_settings() {
        return {
            .core =
                {.parallelism = config_.parallelism,
                 .cpu = machine_cores(),
                 .memory_mb = machine_memory_mb()},
            .dags_are_paused_at_creation = config_.dags_are_paused_at_creation,
            .callbacks_due = [this] { deliveries_.wake(); },
            .dags_deleted = [this] { upkeep_.wake(); },
            .dag_removed = [this](const std::string& dag_id) { folder_.read_again(dag_id); },
        };
    }

    [[nodiscard]] runtime::Deliveries::World delivery_world() {
        return {
            .outbox = outbox_,
            .queries = queries_,
            .runner = callbacks_,
            .clock = clock_,
            .version =
                [this](const store::RunRow& row) {
                    return versions_.dag(row.run.version, row.run.dag_id, row.version_number);
                },
            .is_owner = [this] { return runtime_.figures().owner.load(); },
        };
    }

    [[nodiscard]] runtime::Upkeep::World upkeep_world() {
        return {
            .database_url = url_,
            .artefacts = artefacts_,
            .logs = config_.home / "logs",
            .keep_runs = config_.retention_runs,
            .is_owner = [this] { return runtime_.figures().owner.load(); },
            .dag_removed = [this](const DeletedDag& dag) { runtime_.post(core::DagRemoved{dag}); },
        };
    }

    [[nodiscard]] api::Instance api_instance() {
        return {
            .name = cluster_ ? "standalone" : "serve",
            .node_id = home_.instance_id(),
            .version = SLUICE_VERSION,
            .git_version = git_version(),
            .logs = (config_.home / "logs").string(),
            .dags = dags_.string(),
            .web_dir = config_.web_dir.string(),
            .executor_slots = config_.parallelism,
            .started_at = clock_.now(),
            .folder_looked_at = [this] { return folder_.last_look(); },
            .artefacts = &artefacts_,
            .outbox = &outbox_,
            .deliver_again = [this](std::int64_t id) { deliveries_.again(id); },
            .lake = &lake_,
            .metrics = &metrics_,
            .progress = [this] { return running_progress(); },
            .vault = [this](const std::string& question) { return ask_vault(question); },
        };
    }

    [[nodiscard]] std::vector<api::TaskProgress> running_progress() const {
        std::vector<api::TaskProgress> all;
        for (auto& [task, said] : executor_.progress()) {
            const double spent = to_seconds(said.at - said.since);
            all.push_back(
                {.task = task,
                 .fraction = said.fraction,
                 .what = std::move(said.what),
                 .rows = said.rows,
                 .bytes = said.bytes,
                 .rows_per_second =
                     said.rows >= 0 && spent > 0 ? static_cast<double>(said.rows) / spent : 0,
                 .at = said.at}
            );
        }
        return all;
    }

    std::string ask_vault(const std::string& question) {
        return ops::vault_request(
            question,
            [this](const std::string& id) {
                auto found = connections_.find(id);
                if (!found)
                    throw Error(ErrorCode::not_found, "connection \"" + id + "\" is not defined");
                return *found;
            },
            [this](const std::string& name) {
                const auto all = home_.secrets();
                const auto found = all.find(name);
                if (found == all.end())
                    throw Error(ErrorCode::not_found, "secret \"" + name + "\" is not defined");
                return found->second;
            }
        );
    }

    executor::Services services() {
        auto made = task_services({
            .ledger = ledger_,
            .connection = [this](const std::string& id) { return connections_.find(id); },
            .secrets = [this] { return home_.secrets(); },
            .variable = [this](const std::string& key) -> std::optional<std::string> {
                const auto found = admin_.variable(key);
                if (!found) return std::nullopt;
                return found->value;
            },
            .xcoms =
                [this](const TaskKey& key) {
                    std::map<std::string, std::string> values;
                    for (auto& row : queries_.xcoms(key)) values[row.name] = std::move(row.value);
                    return values;
                },
            .artefacts = artefacts_,
            .load_checkpoint = [this](const TaskKey& task) { return checkpoints_.load(task); },
            .save_checkpoint = [this](
                                   const AttemptKey& attempt, const std::string& state
                               ) { checkpoints_.save(attempt, state); },
            .asset_events =
                [this](RunKey run) {
                    return queries_.asset_events({.taken_by = run, .page = {.limit = 10'000}}).rows;
                },
            .xcom_lists = [this](
                              RunKey run, TaskNo task, const std::vector<MapIndex>* of
                          ) { return queries_.xcom_lists(run, task, of); },
            .map_items = &map_items_,
            .previous_success = [this](const AttemptOrder& order) -> std::optional<DagRun> {
                store::RunFilter filter;
                filter.dag_ids = {order.dag->dag_id};
                filter.states = {RunState::success};
                filter.logical_date.lt = order.run->logical_date;
                filter.order = {{store::RunOrder::logical_date, true}};
                filter.page.limit = 1;
                auto found = queries_.runs(filter);
                if (found.rows.empty()) return std::nullopt;
                return std::move(found.rows.front().run);
            },
            .updates_of =
                [this](const std::string& asset) {
                    constexpr std::int64_t last = 100;
                    auto rows =
                        queries_
                            .asset_events({.asset = asset, .newest_first = true, .page = {last, 0}})
                            .rows;
                    std::ranges::reverse(rows);
                    return rows;
                },
        });
        made.run_facts = [this](const RunQuestion& question) {
            return runtime_.run_facts(question);
        };
        made.lake = [this](const AttemptOrder& order, const std::string& question) {
            return answer_lake(lake_, order, question, clock_.now());
        };
        serve_metrics(made, metrics_);
        made.trigger_run = [this](const AttemptOrder& order, const RunWish& wish) {
            return trigger_run(runtime_, order, wish);
        };
        return made;
    }

    void put_connections() {
        if (!cluster_) return put_folder_connections(admin_, config_.home);
        put_home_connections(
            admin_,
            {.home = config_.home,
             .shop_url = cluster_->url("shop"),
             .warehouse_url = cluster_->url("warehouse")}
        );
        serve_shop();
        if (const int left = TestSchemas::sweep(cluster_->url("warehouse")); left > 0)
            spdlog::info("dropped {} schemas that a killed `dags test` had left", left);
    }

    /// At the port of the last time, so that its connection stays the same, if that is free.
    void serve_shop() {
        const Secret secret = home_.secret_or_new("orders_api_client_secret");
        const auto known = admin_.connection(orders_api_id);
        const int port = known && known->port ? *known->port : 0;
        shop_api_.emplace(
            config_.home / "sample" / "ecommerce" / "orders",
            secret,
            static_cast<std::uint16_t>(std::clamp(port, 0, 65'535))
        );
        put_orders_api(admin_, shop_api_->port(), secret);
    }

    Config config_;
    fs::path dags_;
    SystemClock clock_;
    Home home_;
    Artefacts artefacts_;
    std::optional<http::Server> server_;
    std::string address_;
    std::unique_ptr<store::Cluster> cluster_;
    std::string url_;
    store::ConnectionPool pool_;
    store::Admin admin_;
    store::Queries queries_;
    store::PgMapItems map_items_;
    store::PgLedger ledger_;
    store::LakeStore lake_;
    store::TaskMetrics metrics_;
    store::Checkpoints checkpoints_;
    store::Outbox outbox_;
    Connections connections_;
    store::PgJournal journal_;
    store::Follower follower_;
    executor::LocalExecutor executor_;
    runtime::Runtime runtime_;
    executor::DagChecks checks_;
    DagLoading loading_;
    api::Versions versions_;
    executor::CallbackRunner callbacks_;
    runtime::Deliveries deliveries_;
    runtime::Upkeep upkeep_;
    runtime::DagFolder folder_;
    std::optional<ShopApi> shop_api_;
    OwnersWork owners_work_;
    std::optional<api::App> app_;
    std::atomic<bool> serving_{false};
};

Instance::Instance(const Config& config) : impl_(std::make_unique<Impl>(config)) {}
Instance::~Instance() = default;
const std::string& Instance::url() const { return impl_->url(); }
bool Instance::deposed() const { return impl_->deposed(); }
void Instance::drain() { impl_->drain(); }
bool Instance::drained() const { return impl_->drained(); }

}  // namespace sluice
