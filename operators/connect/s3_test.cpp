#include "operators/connect/s3.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>

#include "operators/connect/aws_settings.hpp"
#include "operators/connect/s3_stub.hpp"
#include "operators/engine/failure.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using namespace sluice::connect;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const std::string root = "some/lake/";

std::string noise(std::size_t size) {
    std::string bytes(size, '\0');
    std::uint32_t state = 12'345;
    for (char& byte : bytes) {
        state = state * 1'664'525 + 1'013'904'223;
        byte = static_cast<char>(state >> 24U);
    }
    return bytes;
}

struct Bench {
    Bench() {
        std::string pattern = (fs::temp_directory_path() / "s3-XXXXXX").string();
        folder = mkdtemp(pattern.data());
    }
    ~Bench() { fs::remove_all(folder); }

    fs::path file(const std::string& name, const std::string& bytes) const {
        std::ofstream(folder / name, std::ios::binary) << bytes;
        return folder / name;
    }
    std::string text(const std::string& name) const {
        std::ifstream in(folder / name, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    S3Stub stub;
    task::FakeLedger ledger;
    task::FakeContext fake{ledger};
    fs::path folder;
};

/// Class and text of what it throws.
std::pair<ErrorClass, std::string> failure_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const engine::Failure& failure) {
        return {failure.error_class(), failure.what()};
    }
    return {ErrorClass::none, ""};
}

bool says(const std::string& text, const std::string& part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

/// Every kind of request there is, on keys of one folder.
void use_all(Bench& bench, S3& s3) {
    const std::string large = noise((std::size_t{5} << 20) + 1);
    s3.put("g=1/a.bin", bench.file("a", "hello"));
    s3.put("g=1/b.bin", bench.file("b", large));
    CHECK(s3.head("g=1/a.bin")->bytes == 5);
    std::vector<std::string> keys;
    s3.list("g=1/", [&](const S3Object& object) { keys.push_back(object.key); });
    CHECK(keys == std::vector<std::string>{"g=1/a.bin", "g=1/b.bin"});
    s3.get("g=1/b.bin", bench.folder / "b2");
    CHECK(bench.text("b2") == large);
    s3.abort_uploads("g=1/b.bin");
    s3.remove("g=1/a.bin");
    CHECK_FALSE(s3.head("g=1/a.bin"));
}

}  // namespace

TEST_CASE("objects go up, come down, are listed and removed", "[s3]") {
    Bench bench;
    bench.stub.page(2);
    S3 s3(bench.fake.context(), bench.stub.connection());
    for (const char* key : {"a b+c/é.txt", "raw/x/dt=2026-01-05/g=1/p", "raw/y&<z>", "raw/z", "t"})
        s3.put(key, bench.file("in", std::string("bytes of ") + key));
    s3.put("empty", bench.file("in", ""));
    s3.get("a b+c/é.txt", bench.folder / "out");
    CHECK(bench.text("out") == "bytes of a b+c/é.txt");
    s3.get("empty", bench.folder / "out");
    CHECK(bench.text("out").empty());
    CHECK(s3.get_range("raw/z", 0, 5) == "bytes");
    std::vector<std::string> keys;
    s3.list("raw/", [&](const S3Object& object) {
        keys.push_back(object.key);
        CHECK(format_z(object.changed_at) == "2026-01-05T10:00:00Z");
    });
    CHECK(keys == std::vector<std::string>{"raw/x/dt=2026-01-05/g=1/p", "raw/y&<z>", "raw/z"});
    s3.remove("raw/z");
    s3.remove("raw/z");
    CHECK_FALSE(s3.head("raw/z"));
    CHECK(bench.stub.objects().contains(root + "raw/y&<z>"));
    CHECK(s3.address("t") == "s3://bucket/some/lake/t");
    CHECK(s3.lifecycle().empty());
    s3.put_lifecycle("<LifecycleConfiguration/>");
    CHECK(s3.lifecycle() == "<LifecycleConfiguration/>");
}

TEST_CASE("large files go in parts, encrypted as the connection says", "[s3]") {
    Bench bench;
    const json extra{
        {"part_bytes", 5 << 20},
        {"server_side_encryption", "aws:kms"},
        {"sse_kms_key_id", "alias/lake"},
        {"storage_class", "STANDARD_IA"}
    };
    S3 s3(bench.fake.context(), bench.stub.connection(extra));
    const std::string bytes = noise(std::size_t{11} << 20);
    s3.put("large", bench.file("in", bytes));
    const auto object = bench.stub.objects().at(root + "large");
    CHECK(object.bytes == bytes);
    CHECK(object.headers.at("x-amz-meta-sha256") == sha256_hex(bytes));
    CHECK(object.headers.at("x-amz-server-side-encryption") == "aws:kms");
    CHECK(object.headers.at("x-amz-server-side-encryption-aws-kms-key-id") == "alias/lake");
    CHECK(object.headers.at("x-amz-storage-class") == "STANDARD_IA");
    CHECK(bench.stub.uploads() == 0);
    CHECK(bench.stub.requests() == 5);  // begin, three parts, complete
    s3.put_text("report.html", "x", "text/html");
    CHECK(
        bench.stub.objects().at(root + "report.html").headers.at("x-amz-server-side-encryption") ==
        "aws:kms"
    );
}

TEST_CASE("whatever goes wrong once, at whatever request, changes nothing", "[s3]") {
    Bench bench;
    S3 s3(bench.fake.context(), bench.stub.connection({{"part_bytes", 5 << 20}}));
    use_all(bench, s3);
    const int requests = bench.stub.requests();
    const auto whole = bench.stub.objects();
    CHECK(requests == 11);
    const std::vector<std::function<std::optional<std::string>(int)>> troubles{
        [](int) { return S3Stub::error(503, "SlowDown", "Retry-After: 0\r\n"); },
        [](int) { return S3Stub::error(500, "InternalError"); },
        [](int) { return std::string(); },                 // no reply
        [](int) { return std::optional<std::string>(); },  // the reply is lost: see below
    };
    for (std::size_t kind = 0; kind < troubles.size(); ++kind) {
        for (int at = 1; at <= requests; ++at) {
            CAPTURE(kind, at);
            bench.stub.count_anew();
            bench.stub.instead([&](int number) {
                return number == at ? troubles[kind](number) : std::nullopt;
            });
            bench.stub.on_the_way([&](int number, std::string reply) {
                if (kind == 3 && number == at) reply.resize(reply.size() / 2);
                return reply;
            });
            use_all(bench, s3);
            CHECK(bench.stub.uploads() == 0);
            const auto now = bench.stub.objects();
            REQUIRE(now.size() == whole.size());
            for (const auto& [key, object] : whole) CHECK(now.at(key).bytes == object.bytes);
        }
    }
}

TEST_CASE("a download that breaks off goes on where it was", "[s3]") {
    Bench bench;
    S3 s3(bench.fake.context(), bench.stub.connection());
    const std::string bytes = noise(200'000);
    s3.put("x", bench.file("in", bytes));
    bench.stub.count_anew();
    bench.stub.on_the_way([](int number, std::string reply) {
        if (number <= 3) reply.resize(reply.size() / 2);
        return reply;
    });
    s3.get("x", bench.folder / "out");
    CHECK(bench.text("out") == bytes);
    CHECK(bench.stub.requests() == 4);
}

TEST_CASE("a store that stays away is a transient failure that names the object", "[s3]") {
    Bench bench;
    S3 s3(bench.fake.context(), bench.stub.connection({{"retries", "1"}}));
    const fs::path in = bench.file("in", "x");
    bench.stub.instead([](int) { return std::string(); });
    const auto [kind, text] = failure_of([&] { s3.put("raw/x", in); });
    CHECK(kind == ErrorClass::transient);
    CHECK(says(text, R"(connection "lake": PUT s3://bucket/some/lake/raw/x: )"));
    CHECK(says(text, "(2 tries)"));
    bench.stub.instead([](int) { return S3Stub::error(503, "SlowDown"); });
    const auto [slow, slow_text] = failure_of([&] { s3.get("raw/x", bench.folder / "out"); });
    CHECK(slow == ErrorClass::rate_limited);
    CHECK(says(slow_text, R"(503 SlowDown: said "SlowDown")"));
    CHECK_FALSE(fs::exists(bench.folder / "out"));
}

TEST_CASE("what a retry does not mend fails at once", "[s3]") {
    Bench bench;
    S3 s3(bench.fake.context(), bench.stub.connection());
    CHECK(failure_of([&] { s3.get("gone", bench.folder / "out"); }).first == ErrorClass::permanent);
    task::Connection wrong = bench.stub.connection();
    wrong.password = Secret("other");
    const fs::path in = bench.file("in", "x");
    const auto [kind, text] = failure_of([&] { S3(bench.fake.context(), wrong).put("x", in); });
    CHECK(kind == ErrorClass::auth);
    CHECK(says(text, "the secret key is not that of the access key"));
    CHECK_FALSE(says(text, "other"));
    wrong.login = "nobody";
    CHECK(failure_of([&] {
              S3(bench.fake.context(), wrong).put("x", in);
          }).first == ErrorClass::auth);
    task::Connection elsewhere = bench.stub.connection();
    elsewhere.host = "other";
    const auto [missing, name] =
        failure_of([&] { (void)S3(bench.fake.context(), elsewhere).head("x"); });
    CHECK(missing == ErrorClass::none);  // a HEAD does not say which of both is missing
    CHECK(says(
        failure_of([&] { S3(bench.fake.context(), elsewhere).put("x", in); }).second,
        "the bucket is not there"
    ));
    CHECK(bench.stub.requests() == 5);
}

TEST_CASE("credentials that have expired are found anew, once", "[s3]") {
    Bench bench;
    int given = 0;
    Loopback role([&](const std::string&) {
        ++given;
        return Loopback::reply(
            200,
            R"({"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": "token", )"
            R"("Expiration": "2099-01-01T00:00:00Z"})"
        );
    });
    task::Connection connection = bench.stub.connection(
        {{"environment",
          {{"AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://127.0.0.1:" + std::to_string(role.port()) + "/"},
           {"HOME", bench.folder.string()}}}}
    );
    connection.login.clear();
    S3 s3(bench.fake.context(), connection);
    bench.stub.instead([](int number) -> std::optional<std::string> {
        if (number == 2) return S3Stub::error(400, "ExpiredToken");
        return std::nullopt;
    });
    s3.put("a", bench.file("in", "x"));
    s3.put("b", bench.file("in", "x"));
    CHECK(bench.stub.objects().size() == 2);
    CHECK(given == 2);
    bench.stub.instead([](int) { return S3Stub::error(400, "ExpiredToken"); });
    const auto [kind, text] = failure_of([&] { s3.put("c", bench.folder / "in"); });
    CHECK(kind == ErrorClass::auth);
    CHECK(says(text, "ExpiredToken"));
    CHECK_FALSE(says(text, "secret"));
}

TEST_CASE("bytes that are not those that were put are refused", "[s3]") {
    Bench bench;
    S3 s3(bench.fake.context(), bench.stub.connection());
    s3.put("x", bench.file("in", "hello"));
    bench.stub.damage(root + "x");
    const auto [kind, text] = failure_of([&] { s3.get("x", bench.folder / "out"); });
    CHECK(kind == ErrorClass::data_quality);
    CHECK(says(text, "s3://bucket/some/lake/x: its content is not what was written"));
    CHECK_FALSE(fs::exists(bench.folder / "out"));
}

TEST_CASE("the address follows the style", "[s3]") {
    task::Connection connection{.id = "c", .type = "aws", .host = "bucket"};
    const auto url = [&](const json& extra) {
        connection.extra = extra.dump();
        return s3_url(s3_settings(connection), "a b/c=1");
    };
    CHECK(url({}) == "https://bucket.s3.us-east-1.amazonaws.com/a%20b/c%3D1");
    CHECK(
        url({{"region_name", "cn-north-1"}}) ==
        "https://bucket.s3.cn-north-1.amazonaws.com.cn/a%20b/c%3D1"
    );
    CHECK(
        url({{"addressing_style", "path"}, {"region_name", "eu-west-1"}}) ==
        "https://s3.eu-west-1.amazonaws.com/bucket/a%20b/c%3D1"
    );
    CHECK(
        url({{"bucket_name", "with.dots"}}) ==
        "https://s3.us-east-1.amazonaws.com/with.dots/a%20b/c%3D1"
    );
    CHECK(url({{"endpoint_url", "http://store:9000/"}}) == "http://store:9000/bucket/a%20b/c%3D1");
    const json airflow{
        {"service_config", {{"s3", {{"bucket_name", "b2"}, {"endpoint_url", "https://s3.x"}}}}},
        {"config_kwargs",
         {{"s3", {{"addressing_style", "virtual"}}}, {"retries", {{"max_attempts", 3}}}}}
    };
    CHECK(url(airflow) == "https://b2.s3.x/a%20b/c%3D1");
    CHECK(s3_settings(connection).retries == 2);
}

TEST_CASE("settings that cannot be are refused, with the key's name", "[s3]") {
    const auto refusal = [](const json& extra, const std::string& bucket = "b") -> std::string {
        try {
            (void)s3_settings({.id = "c", .type = "s3", .host = bucket, .extra = extra.dump()});
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    };
    CHECK(says(refusal({}, ""), "names no bucket"));
    CHECK(says(refusal({{"endpoint_url", "minio:9000"}}), "endpoint_url"));
    CHECK(says(refusal({{"verify", false}}), "ca_file"));
    CHECK(says(refusal({{"server_side_encryption", "rot13"}}), "server_side_encryption"));
    CHECK(says(refusal({{"addressing_style", "odd"}}), "addressing_style"));
    CHECK(says(refusal({{"part_bytes", 5}}), "part_bytes"));
    CHECK(says(
        refusal({{"addressing_style", "virtual"}, {"endpoint_url", "http://127.0.0.1:1"}}),
        "virtual"
    ));
    CHECK(refusal({{"verify", "/etc/ca.pem"}, {"retries", "3"}}).empty());
}
