#include "operators/connect/sigv4.hpp"

#include <catch2/catch.hpp>

#include "base/hash.hpp"

using namespace sluice;
using namespace sluice::connect;

namespace {

std::string signature(const std::string& authorization) {
    return authorization.substr(authorization.rfind('=') + 1);
}

/// The examples of the S3 API reference, "Signature Calculations: Transferring Payload in a Single
/// Chunk".
std::string of_s3(SigV4Request request) {
    if (request.payload_hash.empty()) request.payload_hash = sha256_hex("");
    request.headers.emplace_back("Host", "examplebucket.s3.amazonaws.com");
    request.headers.emplace_back("x-amz-content-sha256", request.payload_hash);
    request.headers.emplace_back("x-amz-date", "20130524T000000Z");
    const SigV4Key key{
        "AKIAIOSFODNN7EXAMPLE",
        Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        "us-east-1",
        "s3"
    };
    return signature(sigv4_authorization(key, request, "20130524T000000Z"));
}

/// Of the suite aws4_testsuite.
std::string of_suite(SigV4Request request) {
    request.payload_hash = sha256_hex("");
    request.headers.emplace_back("Host", "example.amazonaws.com");
    request.headers.emplace_back("X-Amz-Date", "20150830T123600Z");
    const SigV4Key key{
        "AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "us-east-1", "service"
    };
    return signature(sigv4_authorization(key, request, "20150830T123600Z"));
}

}  // namespace

TEST_CASE("requests to S3 are signed as AWS's examples are", "[sigv4]") {
    CHECK(
        of_s3({"GET", "/test.txt", {}, {{"Range", "bytes=0-9"}}, ""}) ==
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    CHECK(
        of_s3(
            {"PUT",
             "/" + uri_encode("test$file.text"),
             {},
             {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
              {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
             sha256_hex("Welcome to Amazon S3.")}
        ) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    );
    CHECK(
        of_s3({"GET", "/", {{"lifecycle", ""}}, {}, ""}) ==
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    );
    CHECK(
        of_s3({"GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, ""}) ==
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    );
}

TEST_CASE("requests are signed as those of AWS's test suite", "[sigv4]") {
    CHECK(
        of_suite({"GET", "/", {}, {}, ""}) ==
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
    CHECK(
        of_suite({"POST", "/", {}, {}, ""}) ==
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    );
    CHECK(
        of_suite({"GET", "/", {{"Param2", "value2"}, {"Param1", "value1"}}, {}, ""}) ==
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    );
}

TEST_CASE("names are encoded as they are signed", "[sigv4]") {
    CHECK(uri_encode("a b/c=1+~é") == "a%20b%2Fc%3D1%2B~%C3%A9");
    CHECK(uri_encode("raw/x/dt=2026-01-05/g=1", true) == "raw/x/dt%3D2026-01-05/g%3D1");
    CHECK(canonical_query({{"uploads", ""}, {"a", "x/y"}}) == "a=x%2Fy&uploads=");
}
