#include "api/auth.hpp"

#include <catch2/catch.hpp>

#include "api/json.hpp"

using namespace sluice;
using namespace sluice::api;

namespace {

Claims claims() { return {"admin", "admin", "apache-airflow", "id-1", 1'000'000, 1'086'400}; }

const Secret key("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");

}  // namespace

TEST_CASE("a token is read back by its key, in its time, for its audience", "[api][auth]") {
    const std::string token = sign_token(claims(), key);
    const auto read = read_token(token, key, "apache-airflow", 1'000'100);
    REQUIRE(read.has_value());
    CHECK(read->subject == "admin");
    CHECK(read->id == "id-1");
    CHECK_FALSE(read_token(token, key, "apache-airflow", 1'086'400));
    CHECK_FALSE(read_token(token, key, "apache-airflow", 900'000));
    CHECK_FALSE(read_token(token, key, "sluice-session", 1'000'100));
    CHECK_FALSE(read_token(token, Secret("other"), "apache-airflow", 1'000'100));
}

TEST_CASE("a token that was changed anywhere is refused", "[api][auth]") {
    const std::string token = sign_token(claims(), key);
    for (std::size_t i = 0; i < token.size(); i += 7) {
        std::string changed = token;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        CAPTURE(i);
        if (changed == token) continue;
        CHECK_FALSE(read_token(changed, key, "apache-airflow", 1'000'100));
    }
    for (const char* text : {"", ".", "..", "a.b.c", "e30.e30.", "x"})
        CHECK_FALSE(read_token(text, key, "apache-airflow", 1'000'100));
}

TEST_CASE("a token with algorithm none, or signed for another one, is refused", "[api][auth]") {
    const std::string token = sign_token(claims(), key);
    const std::string payload = token.substr(token.find('.'), token.rfind('.') - token.find('.'));
    CHECK_FALSE(
        read_token(base64url(R"({"alg":"none"})") + payload + ".", key, "apache-airflow", 1'000'100)
    );
}

TEST_CASE("the claims and the header are those of Airflow", "[api][auth]") {
    const std::string token = sign_token(claims(), key);
    const auto first = token.find('.');
    const auto header = Json::parse(*base64url_decode(token.substr(0, first)));
    CHECK(header["alg"] == "HS512");
    const auto payload =
        Json::parse(*base64url_decode(token.substr(first + 1, token.rfind('.') - first - 1)));
    for (const char* name : {"sub", "role", "teams", "jti", "aud", "nbf", "iat", "exp"})
        CHECK(payload.contains(name));
}

TEST_CASE("a password matches its argon2id hash and no other", "[api][auth]") {
    const std::string hash = hash_password(Secret("secret"));
    CHECK(hash.starts_with("$argon2id$"));
    CHECK(hash != hash_password(Secret("secret")));
    CHECK(password_matches(hash, Secret("secret")));
    CHECK_FALSE(password_matches(hash, Secret("Secret")));
    CHECK_FALSE(password_matches("", Secret("")));
    CHECK_FALSE(password_matches("not a hash", Secret("secret")));
}

TEST_CASE("base64url takes its own output and nothing else", "[api][auth]") {
    for (const std::string& text :
         {std::string(), std::string("a"), std::string("\xff\xfe\x00z", 4)})
        CHECK(base64url_decode(base64url(text)) == text);
    CHECK_FALSE(base64url_decode("a b"));
    CHECK_FALSE(base64url_decode("+/=="));
}
