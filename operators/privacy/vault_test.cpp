#include "operators/privacy/vault.hpp"

#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "operators/binding/warehouse_fixture.hpp"

using namespace sluice;
using privacy::Vault;
using Purpose = Vault::Purpose;

namespace {

const Secret master(std::string(32, 'm'));
const privacy::VaultActor eve{"eve", "a test", ""};

struct VaultFixture {
    VaultFixture() : sql(binding::warehouse_connection(), "test") {
        sql.execute("drop schema if exists vault cascade");
    }
    std::vector<std::string> tokens(const std::vector<std::string>& values) {
        Vault vault(sql, master);
        std::vector<Vault::Entry> entries;
        for (const std::string& value : values) entries.push_back({value, value});
        return vault.tokenize("person", entries);
    }
    connect::Postgres sql;
};

}  // namespace

TEST_CASE("equal values have one token for ever, and it gives the value back", "[mask][vault]") {
    VaultFixture f;
    const auto first = f.tokens({"219-09-9999", "x'y\\", "219-09-9999", ""});
    CHECK(first[0] == first[2]);
    CHECK(std::set<std::string>(first.begin(), first.end()).size() == 3);
    CHECK(first[0].size() == 30);
    CHECK(first[0].starts_with("tok_"));
    CHECK(f.tokens({"x'y\\", "new"})[0] == first[1]);
    Vault vault(f.sql, master);
    const auto back = vault.detokenize("person", {first[1], "tok_nothing", first[3]}, eve);
    CHECK(back[0] == "x'y\\");
    CHECK_FALSE(back[1]);
    CHECK(back[2] == "");
    CHECK_FALSE(vault.detokenize("other", {first[0]}, eve)[0]);
    // Nothing readable lies in the table.
    CHECK(
        f.sql.integer("select count(*) from vault.token t where t::text like '%219%09%9999%' or "
                      "encode(value_enc, 'escape') like '%219-09-9999%'") == 0
    );
    CHECK_THROWS_AS(
        Vault(f.sql, Secret(std::string(32, 'x'))).detokenize("person", {first[0]}, eve), Error
    );
}

TEST_CASE("two tasks at a time agree on every token", "[mask][vault]") {
    VaultFixture f;
    {
        Vault made(f.sql, master);
    }
    std::vector<std::string> values;
    for (int i = 0; i < 2000; ++i) values.push_back("value " + std::to_string(i));
    std::vector<std::vector<std::string>> got(4);
    std::vector<std::thread> threads;
    for (std::size_t n = 0; n < got.size(); ++n)
        threads.emplace_back([&, n] {
            connect::Postgres sql(binding::warehouse_connection(), "test");
            Vault vault(sql, master);
            for (std::size_t at = 0; at < values.size(); at += 500) {
                std::vector<Vault::Entry> entries;
                for (std::size_t i = at; i < at + 500; ++i)
                    entries.push_back({values[i], values[i]});
                for (std::string& token : vault.tokenize("person", entries))
                    got[n].push_back(std::move(token));
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const auto& one : got) CHECK(one == got[0]);
    CHECK(f.sql.integer("select count(*) from vault.token") == 2000);
}

TEST_CASE("an erased value is gone, its token stays and stays erased", "[mask][vault]") {
    VaultFixture f;
    const auto tokens = f.tokens({"a", "b"});
    Vault vault(f.sql, master);
    CHECK(vault.find("person", {"a", "never seen"}) == std::vector<std::string>{tokens[0]});
    CHECK(vault.erase("person", {tokens[0]}, eve) == 1);
    CHECK(vault.erase("person", {tokens[0]}, eve) == 0);
    const auto back = vault.detokenize("person", tokens, eve);
    CHECK_FALSE(back[0]);
    CHECK(back[1] == "b");
    CHECK(f.tokens({"a"})[0] == tokens[0]);
    CHECK_FALSE(vault.detokenize("person", {tokens[0]}, eve)[0]);
    CHECK(f.sql.integer("select count(*) from vault.token where erased_at is not null") == 1);
}

TEST_CASE("keys are rotated in batches; tokens and values stay the same", "[mask][vault]") {
    VaultFixture f;
    std::vector<std::string> values;
    for (int i = 0; i < 25; ++i) values.push_back(std::to_string(i));
    const auto tokens = f.tokens(values);
    Vault vault(f.sql, master);
    vault.erase("person", {tokens[24]}, eve);
    const auto purpose = GENERATE(Purpose::data, Purpose::lookup);
    const std::string word = purpose == Purpose::data ? "data" : "lookup";
    auto rotation = vault.rotate("person", purpose, 10, eve);
    const int kid = rotation.kid;
    CHECK(rotation.changed == 10);
    CHECK(rotation.left == 14);
    // In the middle of it all is found, and new values get their tokens.
    CHECK(f.tokens(values) == tokens);
    CHECK(vault.detokenize("person", tokens, eve)[20] == "20");
    const auto late = f.tokens({"late"});
    while (rotation.left > 0) rotation = vault.rotate("person", purpose, 10, eve);
    CHECK(rotation.kid == kid);
    CHECK(f.tokens(values) == tokens);
    CHECK(f.tokens({"late"}) == late);
    const auto back = vault.detokenize("person", tokens, eve);
    for (std::size_t i = 0; i < 24; ++i) CHECK(back[i] == values[i]);
    // The old data key is gone; the old lookup key still finds what is erased.
    CHECK(
        f.sql.value(
            "select string_agg(state, ',' order by kid) from vault.key where purpose = $1", {word}
        ) == (purpose == Purpose::data ? "destroyed,active" : "decrypt_only,active")
    );
    CHECK_THROWS_AS(vault.rotate("nothing", purpose, 10, eve), Error);
}

TEST_CASE("every access is a link of a chain that shows what was changed", "[mask][vault]") {
    VaultFixture f;
    const auto tokens = f.tokens({"a"});
    Vault vault(f.sql, master);
    vault.note("tokenize", "person", 1, {"shop.mask", "mask", "run"});
    vault.detokenize("person", tokens, eve);
    vault.erase("person", tokens, eve);
    CHECK(f.sql.integer("select count(*) from vault.access where actor = 'eve'") == 2);
    CHECK_FALSE(vault.broken_link());
    f.sql.execute("update vault.access set reason = 'another' where action = 'detokenize'");
    CHECK(vault.broken_link() == 2);
    f.sql.execute("update vault.access set reason = 'a test' where action = 'detokenize'");
    CHECK_FALSE(vault.broken_link());
    f.sql.execute("delete from vault.access where action = 'detokenize'");
    CHECK(vault.broken_link() == 3);
}

TEST_CASE("a token that passes is computed, and kept nowhere", "[mask][vault]") {
    const std::string one = privacy::passing_token(master, "person", "a");
    CHECK(one == privacy::passing_token(master, "person", "a"));
    CHECK(one != privacy::passing_token(master, "other", "a"));
    CHECK(one.size() == 30);
}

TEST_CASE("a subject that is erased takes its key and all its values with it", "[mask][vault]") {
    VaultFixture f;
    Vault vault(f.sql, master);
    const auto tokens = vault.tokenize(
        "person", {{"1", "1", "ana"}, {"2", "2", "ana"}, {"1", "1", "ben"}, {"1", "1"}}
    );
    // The same value of two subjects has two tokens; each gives it back.
    CHECK(std::set<std::string>(tokens.begin(), tokens.end()).size() == 4);
    CHECK(vault.tokenize("person", {{"2", "2", "ana"}}).at(0) == tokens[1]);
    const auto values = [&] { return vault.detokenize("person", tokens, eve); };
    CHECK(values() == std::vector<std::optional<std::string>>{"1", "2", "1", "1"});
    // Both rotations leave them as they are: a new data key wraps the subjects' keys.
    for (const auto purpose : {Purpose::data, Purpose::lookup}) {
        auto rotation = vault.rotate("person", purpose, 1, eve);
        CHECK(rotation.left > 0);
        while (rotation.left > 0) rotation = vault.rotate("person", purpose, 1, eve);
    }
    CHECK(f.sql.integer("select count(*) from vault.key where state = 'destroyed'") == 2);
    CHECK(values() == std::vector<std::optional<std::string>>{"1", "2", "1", "1"});
    CHECK(vault.tokenize("person", {{"1", "1", "ben"}}).at(0) == tokens[2]);

    // What a backup of the tokens would still have.
    f.sql.execute("create temp table backup as select * from vault.token");
    CHECK(vault.erase_subject("person", "ana", eve) == 2);
    CHECK(vault.erase_subject("person", "ana", eve) == 0);
    CHECK(values() == std::vector<std::optional<std::string>>{{}, {}, "1", "1"});
    CHECK(f.sql.integer("select count(*) from vault.subject where wrapped is null") == 1);
    CHECK(vault.tokenize("person", {{"1", "1", "ana"}}).at(0) == tokens[0]);
    const auto late = vault.tokenize("person", {{"3", "3", "ana"}});
    CHECK_FALSE(vault.detokenize("person", late, eve)[0]);
    f.sql.execute("delete from vault.token; insert into vault.token select * from backup");
    CHECK_THROWS_WITH(values(), Catch::Contains("cannot be decrypted"));
    CHECK_FALSE(vault.broken_link());
}

TEST_CASE("a vault of before there were subjects is brought up", "[mask][vault]") {
    VaultFixture f;
    const auto tokens = f.tokens({"a"});
    f.sql.execute(
        "drop table vault.subject; drop index vault.token_subject; "
        "alter table vault.token drop column subject"
    );
    Vault vault(f.sql, master);
    CHECK(vault.detokenize("person", tokens, eve)[0] == "a");
    CHECK(vault.tokenize("person", {{"a", "a", "ana"}}).at(0) != tokens[0]);
}
