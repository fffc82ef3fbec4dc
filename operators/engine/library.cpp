#include "operators/engine/library.hpp"

#include <filesystem>
#include <string>

#include <dlfcn.h>

#include "base/error.hpp"

namespace sluice::engine {

namespace {

void* open_library() {
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
    std::string looked;
    std::filesystem::path folder = program.parent_path();
    for (int up = 0; up < 4; ++up) {
        const std::filesystem::path candidate = folder / "libduckdb.so";
        if (std::filesystem::exists(candidate)) {
            if (void* handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
            throw Error(ErrorCode::unavailable, std::string("DuckDB does not load: ") + dlerror());
        }
        looked += (looked.empty() ? "" : ", ") + folder.string();
        if (!folder.has_parent_path() || folder == folder.parent_path()) break;
        folder = folder.parent_path();
    }
    if (void* handle = dlopen("libduckdb.so", RTLD_NOW | RTLD_LOCAL)) return handle;
    throw Error(
        ErrorCode::unavailable,
        "libduckdb.so was not found beside the program (looked in " + looked + ")"
    );
}

Library load() {
    void* handle = open_library();
    Library functions;
#define SLUICE_DUCKDB_LOAD(name)                                                         \
    functions.name = reinterpret_cast<decltype(&::name)>(dlsym(handle, #name));          \
    if (functions.name == nullptr) {                                                     \
        throw Error(ErrorCode::unavailable, "this libduckdb.so has no function " #name); \
    }
    SLUICE_DUCKDB_FUNCTIONS(SLUICE_DUCKDB_LOAD)
#undef SLUICE_DUCKDB_LOAD
    return functions;
}

}  // namespace

const Library& library() {
    static const Library functions = load();
    return functions;
}

}  // namespace sluice::engine
