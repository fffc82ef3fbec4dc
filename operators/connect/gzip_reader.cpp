#include "operators/connect/gzip_reader.hpp"

#include <cstdio>
#include <fstream>
#include <vector>

#include <zlib.h>

#include "operators/connect/files.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace {

constexpr std::size_t block_bytes = std::size_t{256} << 10;
constexpr int gzip_only = 15 + 16;  // windowBits of zlib

}  // namespace

struct GzipReader::State {
    std::string name;
    std::ifstream file;
    std::vector<char> block = std::vector<char>(block_bytes);
    z_stream stream{};
    bool inside{false};  // a member
    int members{0};

    explicit State(const std::filesystem::path& path)
        : name(path.filename().string()), file(open_to_read(path)) {
        if (inflateInit2(&stream, gzip_only) != Z_OK)
            throw engine::Failure(ErrorClass::resource, "no memory to unpack " + name);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { inflateEnd(&stream); }

    [[noreturn]] void broken(const std::string& what) const {
        engine::bad_data(name + " cannot be unpacked: " + what);
    }
    /// False at the end of the file.
    bool fill() {
        const std::size_t got = read_some(file, name, block.data(), block.size());
        stream.next_in = reinterpret_cast<Bytef*>(block.data());
        stream.avail_in = static_cast<uInt>(got);
        return got > 0;
    }
    /// Zeros may stand behind the last member: what is copied in whole blocks has them.
    void skip_padding() {
        while (members > 0 && stream.avail_in > 0 && *stream.next_in == 0) {
            ++stream.next_in;
            --stream.avail_in;
        }
    }
    void inflate_some() {
        const int result = inflate(&stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END) {
            inside = false;
            ++members;
            inflateReset(&stream);
            return;
        }
        if (result == Z_OK || result == Z_BUF_ERROR) return;
        if (result == Z_MEM_ERROR)
            throw engine::Failure(ErrorClass::resource, "no memory to unpack " + name);
        const std::string why = stream.msg != nullptr ? stream.msg : "unknown";
        if (why != "incorrect header check") broken(why);
        broken(members > 0 ? "bytes that are no gzip follow its end" : "it is no gzip");
    }
};

GzipReader::GzipReader(const std::filesystem::path& file) : state_(std::make_unique<State>(file)) {}

GzipReader::~GzipReader() = default;

std::size_t GzipReader::read(char* buffer, std::size_t size) {
    State& s = *state_;
    s.stream.next_out = reinterpret_cast<Bytef*>(buffer);
    s.stream.avail_out = static_cast<uInt>(size);
    while (s.stream.avail_out == size) {
        if (s.stream.avail_in == 0 && !s.fill()) {
            if (s.inside) s.broken("it is cut off");
            if (s.members == 0) s.broken("it is empty");
            return 0;
        }
        if (!s.inside) {
            s.skip_padding();
            if (s.stream.avail_in == 0) continue;
            s.inside = true;
        }
        s.inflate_some();
    }
    return size - s.stream.avail_out;
}

}  // namespace sluice::connect
