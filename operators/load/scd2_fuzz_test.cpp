// Random histories, intervals run in shuffled orders with repeats and one poisoned and corrected:
// the dimension and the facts must always be those of a slow, obviously right oracle.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

constexpr int days = 5;

struct Row {
    int id{};
    int hour{};     // since 2026-01-01
    std::string a;  // "" = NULL
    int once{};     // type 1
    bool deleted{false};
};

struct FactRow {
    int id{};
    int customer{};  // 0 = NULL
    int hour{};
};

struct World {
    std::vector<std::vector<Row>> rows;  // by day
    std::vector<std::vector<FactRow>> facts;
};

using Random = std::mt19937;

int below(Random& random, int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); }

std::vector<Row> random_rows(Random& random, int day, bool snapshot) {
    std::vector<Row> rows;
    std::set<std::pair<int, int>> taken;
    for (int i = below(random, 9); i >= 0; --i) {
        Row row;
        row.id = 1 + below(random, 4);
        // Late by up to four days; a snapshot dates its rows by the end of the day.
        row.hour = snapshot ? (day + 1) * 24 : std::max(0, day * 24 - 96 + below(random, 120));
        row.a =
            below(random, 4) == 0 ? "" : std::string(1, static_cast<char>('p' + below(random, 3)));
        row.once = below(random, 1000);
        row.deleted = !snapshot && below(random, 6) == 0;
        if (taken.insert({row.id, row.hour}).second) rows.push_back(row);
    }
    return rows;
}

std::vector<FactRow> random_facts(Random& random, int day) {
    std::vector<FactRow> facts;
    for (int i = 0; i < 6; ++i) {
        facts.push_back({day * 100 + i, below(random, 7), below(random, days * 24)});
    }
    return facts;
}

World random_world(Random& random, bool snapshot) {
    World world;
    for (int day = 0; day < days; ++day) {
        world.rows.push_back(random_rows(random, day, snapshot));
        world.facts.push_back(random_facts(random, day));
    }
    return world;
}

std::string hour_text(int hour) {
    return format_offset(parse_time("2026-01-01")->at + std::chrono::hours{hour});
}

std::string rows_sql(const std::vector<Row>& rows, bool snapshot) {
    std::string sql = "select 0::bigint id, ''::varchar a, 0 once" +
                      std::string(snapshot ? "" : ", now() at_, false gone") + " where false";
    for (const Row& row : rows) {
        sql += " union all select " + std::to_string(row.id) + ", " +
               (row.a.empty() ? "null" : "'" + row.a + "'") + ", " + std::to_string(row.once);
        if (!snapshot) {
            sql +=
                ", timestamptz '" + hour_text(row.hour) + "', " + (row.deleted ? "true" : "false");
        }
    }
    return sql;
}

std::string facts_sql(const std::vector<FactRow>& facts) {
    std::string sql = "select 0 fact_id, 0::bigint id, now() at_ where false";
    for (const FactRow& fact : facts) {
        sql += " union all select " + std::to_string(fact.id) + ", " +
               (fact.customer == 0 ? "null" : std::to_string(fact.customer)) + ", timestamptz '" +
               hour_text(fact.hour) + "'";
    }
    return sql;
}

struct Version {
    int from{};  // hour; -1 = beginning
    int to{};    // hour; 1000000 = infinity
    std::string a;
    int once{};
};

/// What must come out, as two texts.
std::pair<std::string, std::string> oracle(const World& world, bool snapshot) {
    struct Seen {
        int hour, day;
        bool deleted;
        std::string a;
        int once;
    };
    std::map<int, std::vector<Seen>> seen;
    for (int day = 0; day < days; ++day) {
        std::set<int> here;
        for (const Row& row : world.rows[static_cast<std::size_t>(day)]) {
            seen[row.id].push_back({row.hour, day, row.deleted, row.a, row.once});
            here.insert(row.id);
        }
        if (!snapshot || day == 0) continue;
        for (const Row& row : world.rows[static_cast<std::size_t>(day - 1)]) {
            if (!here.contains(row.id)) {
                seen[row.id].push_back({(day + 1) * 24, day, true, "", 0});
            }
        }
    }
    std::map<int, std::vector<Version>> versions;
    for (auto& [id, list] : seen) {
        std::map<int, Seen> at;  // the greatest day for each hour
        const Seen* latest = nullptr;
        for (const Seen& s : list) {
            auto [found, is_new] = at.try_emplace(s.hour, s);
            if (!is_new && s.day >= found->second.day) found->second = s;
            const bool later = latest == nullptr ||
                               std::pair(s.hour, s.day) >= std::pair(latest->hour, latest->day);
            if (!s.deleted && later) latest = &s;
        }
        const Seen* previous = nullptr;
        Version* open = nullptr;
        int kept = 0;
        for (const auto& [hour, s] : at) {
            const bool same = previous != nullptr && previous->deleted == s.deleted &&
                              (s.deleted || previous->a == s.a);
            previous = &s;
            if (same) continue;
            if (open != nullptr) open->to = hour;
            open = nullptr;
            ++kept;
            if (s.deleted) continue;
            versions[id].push_back({kept == 1 ? -1 : hour, 1'000'000, s.a, latest->once});
            open = &versions[id].back();
        }
    }
    std::set<int> inferred;
    std::ostringstream facts;
    for (const auto& day : world.facts) {
        for (const FactRow& fact : day) {
            facts << fact.id << ':';
            if (fact.customer == 0) {
                facts << "-1 ";
                continue;
            }
            if (versions[fact.customer].empty()) {
                inferred.insert(fact.customer);
                facts << fact.customer << "@-1 ";
                continue;
            }
            std::string found = "-2";
            for (const Version& v : versions[fact.customer]) {
                if (fact.hour >= v.from && fact.hour < v.to) {
                    found = std::to_string(fact.customer) + "@" + std::to_string(v.from);
                }
            }
            facts << found << ' ';
        }
    }
    std::ostringstream dims;
    for (const auto& [id, list] : versions) {
        for (const Version& v : list) {
            dims << id << ',' << v.from << ',' << v.to << ',' << (v.a.empty() ? "-" : v.a) << ','
                 << v.once << ",f ";
        }
        if (inferred.contains(id)) dims << id << ",-1,1000000,-,-,t ";
    }
    return {dims.str(), facts.str()};
}

std::string hour_of(const std::string& column) {
    return "case when " + column + " = '1900-01-01+00' then -1 when " + column +
           " = 'infinity' then 1000000 else extract(epoch from " + column +
           " - timestamptz '2026-01-01+00')::int / 3600 end";
}

std::pair<std::string, std::string> actual(LoadFixture& f) {
    std::string dims;
    for (const auto& row :
         f.sql()
             .query(
                 "select id, " + hour_of("valid_from") + ", " + hour_of("valid_to") +
                 ", a, once, is_inferred, is_current = (valid_to = 'infinity') from "
                 "sales.dim_c where c_sk > 0 order by 1, 2"
             )
             .rows) {
        REQUIRE(row[6] == "t");
        for (std::size_t i = 0; i < 6; ++i) dims += (i == 0 ? "" : ",") + row[i].value_or("-");
        dims += ' ';
    }
    std::string facts;
    for (const auto& row : f.sql()
                               .query(
                                   "select fact_id, f.c_sk, d.id, " + hour_of("d.valid_from") +
                                   " from sales.fact f join sales.dim_c d using (c_sk) order by 1"
                               )
                               .rows) {
        facts += row[0].value() + ":";
        facts += row[1].value()[0] == '-' ? row[1].value() : row[2].value() + "@" + row[3].value();
        facts += ' ';
    }
    return {dims, facts};
}

void run_world(unsigned seed, bool snapshot) {
    CAPTURE(seed, snapshot);
    Random random(seed);
    const World world = random_world(random, snapshot);
    LoadFixture f;
    Json dimension{{"to", "sales.dim_c"}, {"mode", "scd2"}, {"key", "id"}, {"type1", {"once"}}};
    if (snapshot) {
        dimension["deletes"] = "absent";
    } else {
        dimension["updated_at"] = "at_";
        dimension["deletes"] = {{"where", "gone"}};
    }
    const Json fact{
        {"to", "sales.fact"},
        {"key", "fact_id"},
        {"event_time", "at_"},
        {"dimensions", {"sales.dim_c"}}
    };
    // Every load once in any order, a few of them before that too, some of those poisoned.
    std::vector<std::pair<int, bool>> loads;  // day, facts?
    for (int day = 0; day < days; ++day) {
        loads.emplace_back(day, false);
        loads.emplace_back(day, true);
    }
    std::shuffle(loads.begin(), loads.end(), random);
    const auto dims_first =
        std::find_if(loads.begin(), loads.end(), [](auto& l) { return !l.second; });
    std::swap(*loads.begin(), *dims_first);  // a fact needs its dimension to be there
    const auto load = [&](int day, bool facts, const World& from) {
        const auto index = static_cast<std::size_t>(day);
        const Outcome outcome = f.load(
            day,
            facts ? fact : dimension,
            facts ? facts_sql(from.facts[index]) : rows_sql(from.rows[index], snapshot)
        );
        INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
    };
    const World poison = random_world(random, snapshot);
    load(loads[0].first, false, poison);
    for (int i = 0; i < 4; ++i) {
        const auto& [day, facts] = loads[static_cast<std::size_t>(below(random, 2 * days))];
        load(day, facts, poison);
    }
    for (const auto& [day, facts] : loads) load(day, facts, world);
    const auto [expected_dims, expected_facts] = oracle(world, snapshot);
    const auto [dims, facts] = actual(f);
    REQUIRE(!dims.empty());
    CHECK(dims == expected_dims);
    CHECK(facts == expected_facts);
}

}  // namespace

TEST_CASE("scd2: random histories in shuffled orders equal the oracle", "[load][scd2][fuzz]") {
    const unsigned fresh = std::random_device{}();
    for (const unsigned seed : {1U, 2U, 3U, fresh}) run_world(seed, false);
}

TEST_CASE("scd2 of snapshots: keys that vanish are closed, in any order", "[load][scd2][fuzz]") {
    const unsigned fresh = std::random_device{}();
    for (const unsigned seed : {1U, 2U, fresh}) run_world(seed, true);
}
