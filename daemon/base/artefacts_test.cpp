#include "base/artefacts.hpp"

#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace {

using namespace sluice;
namespace fs = std::filesystem;

struct Folder {
    Folder() {
        std::string pattern = (fs::temp_directory_path() / "sluice-artefacts-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~Folder() { fs::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    fs::path path;
};

std::size_t files_in(const fs::path& root) {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root))
        count += entry.is_regular_file() ? 1U : 0U;
    return count;
}

std::set<std::string> none(const std::vector<std::string>&) { return {}; }

std::string big_string() { return '"' + std::string(1U << 20, 'x') + '"'; }

}  // namespace

TEST_CASE("a value over the inline limit becomes a reference, and itself again", "[artefacts]") {
    const Folder folder;
    Artefacts artefacts(folder.path / "artefacts");
    const std::string small = R"({"rows":3})";
    REQUIRE(artefacts.spill(small) == small);
    REQUIRE_FALSE(fs::exists(folder.path / "artefacts"));

    const std::string reference = artefacts.spill(big_string());
    REQUIRE(reference.size() < 200);
    const auto ref = reference_of(reference);
    REQUIRE(ref);
    REQUIRE(ref->bytes == (1 << 20) + 2);
    REQUIRE(ref->type == "string");
    REQUIRE(type_of_value(reference) == "string");
    REQUIRE(artefacts.resolve(reference) == big_string());
    REQUIRE(references_in(R"({"a":)" + reference + "}").size() == 1);
    // The same content is one file.
    REQUIRE(artefacts.spill(big_string()) == reference);
    REQUIRE(files_in(folder.path) == 1);
}

TEST_CASE("a value that looks like a reference is stored, not followed", "[artefacts]") {
    const Folder folder;
    Artefacts artefacts(folder.path);
    const std::string forged = reference_text({std::string(64, 'a'), 10, "string", 0});
    const std::string stored = artefacts.spill(forged);
    REQUIRE(stored != forged);
    REQUIRE(artefacts.resolve(stored) == forged);
    const std::string inside = R"({"deep":[)" + forged + "]}";
    REQUIRE(artefacts.resolve(artefacts.spill(inside)) == inside);
    // In a string it is a string.
    const std::string quoted = R"("{\"$sluice_artefact\":\")" + std::string(64, 'a') + R"(\"}")";
    REQUIRE(artefacts.spill(quoted) == quoted);
}

TEST_CASE("an item of a long list is read without the others", "[artefacts]") {
    const Folder folder;
    Artefacts artefacts(folder.path);
    std::string text = "[";
    for (int i = 0; i < 20'000; ++i) {
        if (i > 0) text += ',';
        text += R"({"n":)" + std::to_string(i) + R"(,"t":"a,]}\"","l":[1,[2]]})";
    }
    text += ']';
    const ArtefactRef ref = artefacts.put(text);
    REQUIRE(ref.type == "list");
    REQUIRE(ref.items == 20'000);
    REQUIRE(ref.bytes == static_cast<std::int64_t>(text.size()));
    REQUIRE(artefacts.get(ref) == text);
    for (const int i : {0, 1, 9'999, 19'999})
        REQUIRE(
            artefacts.get_item(ref, i) ==
            R"({"n":)" + std::to_string(i) + R"(,"t":"a,]}\"","l":[1,[2]]})"
        );
    REQUIRE_THROWS_AS(artefacts.get_item(ref, 20'000), Error);
    REQUIRE_THROWS_AS(artefacts.get_item(ref, -1), Error);
    REQUIRE(artefacts.put_items({"1", "2"}) == artefacts.put("[ 1,\n 2 ]"));
    REQUIRE(artefacts.get(artefacts.put("[]")) == "[]");
    REQUIRE(artefacts.get(artefacts.put("[[]]")) == "[[]]");

    // Only the lines of the item are read: the rest of the file may be unreadable.
    const fs::path file = folder.path / ref.hash.substr(0, 2) / (ref.hash + ".jsonl");
    fs::resize_file(file, 200);
    REQUIRE(artefacts.get_item(ref, 1).starts_with(R"({"n":1,)"));
    REQUIRE_THROWS_AS(artefacts.get_item(ref, 9'999), Error);
}

TEST_CASE("a value over artefact_bytes is refused by that name", "[artefacts]") {
    const Folder folder;
    Artefacts artefacts(folder.path);
    const std::string huge = '"' + std::string(limits::artefact_bytes, 'x') + '"';
    try {
        artefacts.spill(huge);
        FAIL("taken");
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::limit);
        REQUIRE(std::string(error.what()).find("artefact_bytes") != std::string::npos);
    }
    REQUIRE(files_in(folder.path) == 0);
}

TEST_CASE("files that nobody counts, holds or has just made are swept", "[artefacts]") {
    const Folder folder;
    Artefacts artefacts(folder.path);
    const ArtefactRef counted = artefacts.put("1");
    const ArtefactRef held = artefacts.put("[1]");
    const ArtefactRef idle = artefacts.put("[2]");
    std::ofstream(folder.path / "part-1-1") << "half";
    const auto in_use = [&](const std::vector<std::string>&) {
        return std::set<std::string>{counted.hash};
    };
    artefacts.hold(held.hash);
    REQUIRE(artefacts.sweep(std::chrono::hours{1}, in_use) == 0);
    REQUIRE(artefacts.sweep(Duration{}, in_use) == 2);
    REQUIRE(artefacts.get(counted) == "1");
    REQUIRE(artefacts.get(held) == "[1]");
    REQUIRE_THROWS_AS(artefacts.get(idle), Error);
    REQUIRE(files_in(folder.path) == 3);
    artefacts.let_go(held.hash);
    REQUIRE(artefacts.sweep(Duration{}, none) == 2);
    REQUIRE(files_in(folder.path) == 0);
}
