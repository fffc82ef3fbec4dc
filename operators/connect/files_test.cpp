#include "operators/connect/files.hpp"

#include <functional>

#include <catch2/catch.hpp>
#include <zlib.h>
#include <zstd.h>

#include "operators/engine/error_number.hpp"
#include "operators/engine/failure.hpp"

using namespace sluice;
using namespace sluice::connect;

namespace {

namespace fs = std::filesystem;

struct PackedFolder {
    PackedFolder() {
        std::string pattern = (fs::temp_directory_path() / "files-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }
    ~PackedFolder() { fs::remove_all(path); }
    fs::path path;

    std::string read(const std::string& bytes, Compression compression) const {
        const fs::path file = path / "x.csv";
        std::ofstream(file, std::ios::binary) << bytes;
        FileReader reader(file, compression);
        std::string text;
        std::string buffer(1000, '\0');
        while (const std::size_t got = reader.read(buffer.data(), buffer.size()))
            text.append(buffer, 0, got);
        return text;
    }
    std::string why(const std::string& bytes, Compression compression) const {
        try {
            read(bytes, compression);
        } catch (const engine::Failure& failure) {
            CHECK(failure.error_class() == ErrorClass::data_quality);
            return failure.what();
        }
        return "nothing is wrong";
    }
};

std::string gzipped(std::string text) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(text.size() + 1000, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(text.data());
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string zstandard(const std::string& text) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size()));
    ZSTD_freeCCtx(context);
    return out;
}

std::string with_other_byte(std::string text, std::size_t from_end) {
    text[text.size() - from_end] = static_cast<char>(text[text.size() - from_end] ^ 1);
    return text;
}

}  // namespace

TEST_CASE("bad input, packed files: cut off, damaged, not packed at all", "[files][bad]") {
    const PackedFolder folder;
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919) + ",x\n";
    SECTION("gzip") {
        const auto why = [&](const std::string& bytes) {
            return folder.why(bytes, Compression::gzip);
        };
        const std::string packed = gzipped(text);
        CHECK(folder.read(packed, Compression::gzip) == text);
        CHECK(folder.read(packed + gzipped("more"), Compression::gzip) == text + "more");
        CHECK(folder.read(packed + std::string(600, '\0'), Compression::gzip) == text);
        CHECK(folder.read(gzipped(""), Compression::gzip).empty());
        CHECK(
            why(packed.substr(0, packed.size() / 2)) == "x.csv cannot be unpacked: it is cut off"
        );
        CHECK(
            why(packed.substr(0, packed.size() - 1)) == "x.csv cannot be unpacked: it is cut off"
        );
        CHECK(why(with_other_byte(packed, 6)) == "x.csv cannot be unpacked: incorrect data check");
        CHECK(
            why(with_other_byte(packed, 2)) == "x.csv cannot be unpacked: incorrect length check"
        );
        CHECK(why(with_other_byte(packed, packed.size() / 2)) != "nothing is wrong");
        CHECK(
            why(packed + "more") ==
            "x.csv cannot be unpacked: bytes that are no gzip follow its end"
        );
        CHECK(why(text) == "x.csv cannot be unpacked: it is no gzip");
        CHECK(why("") == "x.csv cannot be unpacked: it is empty");
    }
    SECTION("zstd") {
        const auto why = [&](const std::string& bytes) {
            return folder.why(bytes, Compression::zstd);
        };
        const std::string packed = zstandard(text);
        CHECK(folder.read(packed, Compression::zstd) == text);
        CHECK_THAT(why(packed.substr(0, packed.size() / 2)), Catch::Contains("Truncated"));
        CHECK_THAT(why(with_other_byte(packed, 1)), Catch::Contains("checksum"));
        CHECK(why(text) == "x.csv cannot be unpacked: it is no zstd");
        CHECK(why(gzipped(text)) == "x.csv cannot be unpacked: it is no zstd");
        CHECK(why("") == "x.csv cannot be unpacked: it is empty");
    }
    SECTION("zip") {
        CHECK_THAT(folder.why(text, Compression::zip), Catch::Contains("x.csv cannot be unpacked"));
        CHECK_THAT(folder.why("", Compression::zip), Catch::Contains("x.csv cannot be unpacked"));
    }
}

TEST_CASE("a bomb is unpacked piece by piece", "[files][bad]") {
    // 200 MB of zeros in 200 kB.
    const PackedFolder folder;
    const std::string packed = gzipped(std::string(std::size_t{20} << 20, '\0'));
    std::string all;
    for (int i = 0; i < 10; ++i) all += packed;
    const fs::path file = folder.path / "x.csv.gz";
    std::ofstream(file, std::ios::binary) << all;
    FileReader reader(file, Compression::gzip);
    std::string buffer(std::size_t{1} << 16, '\0');
    std::size_t bytes = 0;
    while (const std::size_t got = reader.read(buffer.data(), buffer.size())) bytes += got;
    CHECK(bytes == std::size_t{200} << 20);
}

TEST_CASE("reasons of the system have their class", "[files][bad]") {
    CHECK(engine::class_of_errno(ENOSPC) == ErrorClass::resource);
    CHECK(engine::class_of_errno(EACCES) == ErrorClass::auth);
    CHECK(engine::class_of_errno(EIO) == ErrorClass::transient);
    CHECK(engine::class_of_errno(ENOTDIR) == ErrorClass::permanent);
    const auto outcome = engine::guarded([]() -> Outcome {
        throw fs::filesystem_error("x", std::error_code(ENOSPC, std::system_category()));
    });
    CHECK(outcome.error_class == ErrorClass::resource);
}
