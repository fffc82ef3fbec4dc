// SQL over columns that have a class.
#include <catch2/catch.hpp>

#include "operators/transform/transform_fixture.hpp"

using namespace sluice;
using namespace sluice::transform_test;

namespace {

struct Masking : Transform {
    Masking() {
        policy = "p.yaml";
        of_the_dag = true;
        files[policy] =
            "key: master\nallow: {curated: []}\nclasses:\n"
            "  email: {method: hmac, normalize: [trim, lower]}\n  dob: year\n";
        secrets["master"] =
            Secret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        secrets["salt"] = Secret("s3cret");
        given(
            R"j({"id": "bigint", "email": "varchar @email", "card": "varchar @card", "born": "date @dob"})j",
            "select 1::bigint as id, 'Ana.Silva@example.com' as email, '4111-1111-1111-1111' as "
            "card, date '1980-02-03' as born union all select 2, null, null, null"
        );
    }
    Lines codes(const std::string& sql) {
        Lines out;
        for (const Problem& one : check(op(), {{"to", "curated.out"}, {"sql", sql}}).problems)
            out.push_back(one.code);
        return out;
    }
};

}  // namespace

TEST_CASE("SQL beside classified inputs keeps names or needs attest", "[transform]") {
    Transform t;
    t.given(
        R"j({"id": "bigint", "who": "varchar @name"})j", "select 1::bigint as id, 'Ana' as who"
    );
    const Json params{
        {"to", "processed.out"},
        {"sql", {"select id, upper(who) as who, id + 1 as next_id", "from processed.x"}}
    };
    const auto refused = t.check(op(), params);
    REQUIRE(refused.problems.size() == 1);
    CHECK(refused.problems[0].code == "E-ATTEST");
    CHECK(refused.reads == Lines{"processed.x"});
    const auto attested = t.check(op(), params, "next_id is a number of orders");
    CHECK(attested.problems.empty());
    CHECK(t.column("who") == "varchar @name");
    CHECK(t.column("next_id") == "bigint @");
    CHECK(t.run(op(), params).kind == OutcomeKind::success);
    CHECK(t.rows({"processed.out"}, "select who, next_id from processed.out") == Lines{"ANA|2"});
    CHECK(t.dataset("processed.out").columns[1].origins == Lines{"processed.x.who"});
}

TEST_CASE(
    "masking functions inside SQL give what rules give, and clear the class", "[transform][mask]"
) {
    Masking m;
    const Lines got = m.run_params(
        {{"to", "processed.out"},
         {"sql",
          "select id, mask(email, 'email') as email, mask_hmac(lower(email), 'email') as same, "
          "mask_partial(card, 4) as card, mask_email(email, 'keep') as shown, "
          "mask_sha256(lower(email), 'salt') as salted, "
          "mask_shift_date(born, id, 10, 'dob') as moved, mask_year(born) as born from "
          "processed.x"}},
        "select email = same, length(email), card, shown, salted, moved between date '1980-01-24' "
        "and date '1980-02-13', born from processed.out order by id"
    );
    CHECK(
        got ==
        Lines{
            "true|64|****-****-****-1111|A***@example.com|"
            "e589a3a52fc2d2f7ddc4d7ddab4edd8fc79a9b0589f58c998e84e2c6aed09556|true|1980",
            "null|null|null|null|null|null|null"
        }
    );
    for (const char* name : {"email", "same", "card", "shown", "salted", "moved", "born"}) {
        CAPTURE(name);
        CHECK(m.column(name).ends_with(" @"));
    }
    const Lines steps = m.steps(
        R"j([{"sql": "select id, mask_ff1(card, 'card') as card from input"}])j",
        "select card from processed.out where id = 1"
    );
    CHECK(steps.at(0).size() == 19);
    CHECK(steps.at(0) != "4111-1111-1111-1111");
    CHECK(m.column("card") == "varchar @");
}

TEST_CASE("what is not masked, or too weakly, keeps its class", "[transform][mask]") {
    Masking m;
    const std::string from = " from processed.x";
    CHECK(m.codes("select mask_hmac(email, 'email') as e" + from).empty());
    CHECK(m.codes("select md5(email) as e" + from) == Lines{"E-ATTEST"});
    CHECK(m.codes("select mask_partial(card, 10) as c" + from) == Lines{"E-ATTEST"});
    CHECK(m.codes("select mask_nothing(card) as c" + from) == Lines{"E-SQL"});
    const Json unknown{
        {"to", "processed.out"}, {"sql", "select mask(card, 'pets') as card from processed.x"}
    };
    const Outcome outcome = m.run(op(), unknown);
    CHECK(outcome.message.find("the policy has no rule \"pets\"") != std::string::npos);
    CHECK(outcome.message.find("4111") == std::string::npos);
}
