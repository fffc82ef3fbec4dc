#include "store/follower.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.hpp"
#include "store/migrate.hpp"
#include "store/pq.hpp"
#include "store/rows.hpp"
#include "store/stored_versions.hpp"

namespace sluice::store {
namespace {

using Steady = std::chrono::steady_clock;

constexpr auto register_pace = std::chrono::seconds{10};
// Told of DAGs by the owner; looked at by hand while it may not know of us yet, and rarely after.
constexpr auto dags_pace = std::chrono::seconds{30};
constexpr auto dags_pace_at_first = std::chrono::seconds{1};
constexpr auto first_time = std::chrono::seconds{10};

constexpr Query look_sql{"look", R"(
    select holder, address, last_seq,
        case when expires < clock_timestamp() then 0
            else ceil(extract(epoch from expires - clock_timestamp()) * 1000)::int8 end
    from lease)"};
constexpr Query register_sql{"register", R"(
    insert into standby (node_id, address, seen_at) values ($1, $2, clock_timestamp())
    on conflict (node_id) do update set address = excluded.address, seen_at = excluded.seen_at)"};
constexpr Query leave_sql{"leave", "delete from standby where node_id = $1"};

constexpr Query news_sql{"news", R"(
    select seq, run_key, at, task_no, map_lo, map_hi, try_number, from_state, to_state, cause, actor
    from transition where seq > $1 order by seq limit $2)"};
constexpr Query news_runs_sql{
    "news_runs", "select " SLUICE_RUN_COLUMNS " from dag_run r where r.run_key = any($1)"
};
constexpr Query news_tasks_sql{
    "news_tasks", "select distinct on (t.run_key, t.task_no, t.map_index) " SLUICE_TASK_COLUMNS R"(
    from unnest($1::int8[], $2::int4[], $3::int4[], $4::int4[]) as d(run_key, task_no, lo, hi)
    join task_instance t on t.run_key = d.run_key and t.task_no = d.task_no
        and t.map_index between d.lo and d.hi)"
};
constexpr Query news_dags_sql{
    "news_dags", "select " SLUICE_DAG_COLUMNS " from dag d order by d.dag_id"
};

}  // namespace

struct Follower::State {
    explicit State(JournalSettings s) : settings(std::move(s)), wake(::eventfd(0, EFD_CLOEXEC)) {}
    ~State() { ::close(wake); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    JournalSettings settings;
    int wake;
    std::unique_ptr<Connection> connection;
    Steady::time_point registered_at;
    Steady::time_point followed_since;
    Steady::time_point dags_read_at;
    bool dags_told{true};

    void connect() {
        if (connection != nullptr && !connection->broken()) return;
        connection = std::make_unique<Connection>(settings.url, "sluice standby");
        // An answer that does not come is no answer: the other side of the network is away.
        connection->set_patience(settings.lease);
        migrate(*connection);
        connection->script("listen sluice_turn");
        registered_at = {};
        followed_since = Steady::now();
        dags_told = true;
    }

    void register_now_and_then() {
        if (Steady::now() - registered_at < register_pace) return;
        Params params;
        params.add(settings.holder).add(settings.address);
        connection->run(register_sql, params);
        registered_at = Steady::now();
    }

    template <class Work>
    auto guarded(Work work) {
        try {
            return work();
        } catch (const ConnectionLost& lost) {
            connection.reset();
            throw Away(lost.what());
        } catch (const SqlError& error) {
            connection.reset();
            throw Away(error.what());
        }
    }

    bool take_told();
    void read_rows(News& news);
};

Follower::Follower(JournalSettings settings)
    : state_(std::make_unique<State>(std::move(settings))) {}
Follower::~Follower() { leave(); }

LeaseView Follower::look() {
    return state_->guarded([&] {
        state_->connect();
        state_->register_now_and_then();
        const Result row = state_->connection->run(look_sql);
        return LeaseView{
            .holder = row.text(0, 0),
            .address = row.text(0, 1),
            .left = std::chrono::milliseconds{row.int8(0, 3)},
            .last_seq = Seq{row.int8(0, 2)},
        };
    });
}

void Follower::wait(Duration at_most) {
    auto& state = *state_;
    // What came with the last answer lies in libpq's memory, not in the socket.
    if (state.take_told()) return;
    std::array<pollfd, 2> fds{{{state.wake, POLLIN, 0}, {-1, POLLIN, 0}}};
    if (state.connection != nullptr) fds[1].fd = state.connection->socket();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(at_most).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::clamp<std::int64_t>(ms, 1, 60'000)));
    if ((fds[0].revents & POLLIN) != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto got = ::read(state.wake, &count, sizeof count);
    }
    state.take_told();
}

bool Follower::State::take_told() {
    if (connection == nullptr) return false;
    const auto told = connection->notifications();
    dags_told = dags_told || std::ranges::any_of(told, [](const std::string& text) {
                    return text.find("\"dags\":true") != std::string::npos;
                });
    return !told.empty();
}

void Follower::wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(state_->wake, &one, sizeof one);
}

bool Follower::take_dags_are_due() {
    auto& state = *state_;
    const auto now = Steady::now();
    const auto pace = now - state.followed_since < first_time ? dags_pace_at_first : dags_pace;
    if (!std::exchange(state.dags_told, false) && now - state.dags_read_at < pace) return false;
    state.dags_read_at = now;
    return true;
}

void Follower::State::read_rows(News& news) {
    std::vector<std::int64_t> runs;
    std::vector<std::int64_t> keys;
    std::vector<std::int32_t> tasks;
    std::vector<std::int32_t> los;
    std::vector<std::int32_t> his;
    for (const Transition& move : news.transitions) {
        if (move.task == no_task) {
            runs.push_back(move.run.value);
            continue;
        }
        keys.push_back(move.run.value);
        tasks.push_back(move.task);
        los.push_back(move.map_lo);
        his.push_back(move.map_hi);
    }
    if (!runs.empty()) {
        Params params;
        params.add(std::span<const std::int64_t>{runs});
        const Result rows = connection->run(news_runs_sql, params);
        for (int i = 0; i < rows.rows(); ++i) news.runs.push_back(read_run(rows, i));
    }
    if (keys.empty()) return;
    Params params;
    params.add(std::span<const std::int64_t>{keys}).add(std::span<const std::int32_t>{tasks});
    params.add(std::span<const std::int32_t>{los}).add(std::span<const std::int32_t>{his});
    const Result rows = connection->run(news_tasks_sql, params);
    for (int i = 0; i < rows.rows(); ++i) news.instances.push_back(read_task(rows, i));
}

News Follower::news(Seq after, std::int64_t most) {
    return state_->guarded([&] {
        state_->connect();
        Params params;
        params.add(after.value).add(most);
        const Result rows = state_->connection->run(news_sql, params);
        News news;
        news.seq = after;
        for (int i = 0; i < rows.rows(); ++i) {
            Transition move;
            move.seq = Seq{rows.int8(i, 0)};
            move.run = RunKey{rows.int8(i, 1)};
            move.at = rows.time(i, 2);
            move.task = rows.int4(i, 3);
            move.map_lo = rows.int4(i, 4);
            move.map_hi = rows.int4(i, 5);
            move.try_number = rows.int4(i, 6);
            move.from = rows.int2(i, 7);
            move.to = rows.int2(i, 8);
            move.cause = rows.text(i, 9);
            move.actor = rows.text(i, 10);
            news.seq = move.seq;
            news.at = move.at;
            news.transitions.push_back(std::move(move));
        }
        state_->read_rows(news);
        return news;
    });
}

std::vector<DagState> Follower::dags() {
    return state_->guarded([&] {
        state_->connect();
        const Result rows = state_->connection->run(news_dags_sql);
        std::vector<DagState> dags;
        for (int i = 0; i < rows.rows(); ++i) dags.push_back(read_dag_state(rows, i));
        return dags;
    });
}

std::vector<Journal::StoredVersion> Follower::versions(const std::vector<VersionId>& ids) {
    return state_->guarded([&] {
        state_->connect();
        return read_versions(*state_->connection, ids);
    });
}

void Follower::leave() noexcept {
    if (state_->connection == nullptr) return;
    try {
        Params params;
        params.add(state_->settings.holder);
        state_->connection->run(leave_sql, params);
    } catch (const std::exception&) {
        // It is forgotten by and by.
    }
    state_->connection.reset();
}

}  // namespace sluice::store
