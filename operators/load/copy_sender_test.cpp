// A COPY that a thread of its own sends.
#include "operators/load/copy_sender.hpp"

#include <catch2/catch.hpp>

#include "operators/engine/failure.hpp"
#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;

namespace {

/// 1,000 rows, as COPY's text.
std::string lines(int piece) {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += std::to_string(piece * 1000 + i) + "\n";
    return text;
}

}  // namespace

TEST_CASE("pieces of a COPY arrive in order, or not at all", "[load][copy]") {
    LoadFixture f;
    f.sql().execute("create temp table numbers (place serial, n integer)");
    const std::string statement = "copy pg_temp.numbers (n) from stdin";
    const char* counted = "select count(*), count(*) filter (where n = place - 1) from numbers";

    SECTION("all of them") {
        CopySender sender(f.sql(), statement);
        for (int piece = 0; piece < 50; ++piece) {
            std::string text = lines(piece);
            sender.put(text);
            CHECK(text.empty());
        }
        CHECK(sender.end() == 50'000);
        CHECK(f.text(counted) == "50000,50000");
    }
    SECTION("none without an end") {
        {
            CopySender sender(f.sql(), statement);
            std::string text = lines(0);
            sender.put(text);
        }
        CHECK(f.text(counted) == "0,0");
    }
    SECTION("none if the server refuses one") {
        const auto copy = [&] {
            CopySender sender(f.sql(), statement);
            for (int piece = 0; piece < 50; ++piece) {
                std::string text = piece == 20 ? "no number\n" : lines(piece);
                sender.put(text);
            }
            sender.end();
        };
        CHECK_THROWS_AS(copy(), engine::Failure);
        CHECK(f.text(counted) == "0,0");
    }
    SECTION("none after a cancel") {
        const auto copy = [&] {
            CopySender sender(f.sql(), statement);
            f.sql().cancel();
            for (int piece = 0; piece < 50; ++piece) {
                std::string text = lines(piece);
                sender.put(text);
            }
            sender.end();
        };
        CHECK_THROWS_AS(copy(), engine::Failure);
    }
}
