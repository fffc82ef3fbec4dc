// artefacts.hpp — values that are too large for a row: files under DIR/artefacts, named by their
// content. A row has a reference in the value's place, a small JSON object; `spill` and `resolve`
// are the two directions, and what is small passes through both as it is. Thread-safe.
//
// A value is first a file (written under another name, fsync, rename), then a reference in a
// commit, which also counts it for its run (table `artefact`). A crash between the two leaves a
// file that nobody counts: `sweep` takes it away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.hpp"

namespace sluice {

struct ArtefactRef {
    std::string hash;      // 64 hex digits, of the content and its form
    std::int64_t bytes{};  // of the JSON text
    std::string type;      // object, list, string, number, boolean
    std::int64_t items{};  // of a list

    friend bool operator==(const ArtefactRef&, const ArtefactRef&) = default;
};

/// The object that stands in a row in the value's place.
std::string reference_text(const ArtefactRef& ref);
/// The reference, if the text is one.
std::optional<ArtefactRef> reference_of(std::string_view text);
/// All references in a JSON text, wherever they stand.
std::vector<ArtefactRef> references_in(std::string_view text);
/// object, list, string, number, boolean or null: of a JSON text, or of what it refers to.
std::string type_of_value(std::string_view text);

class Artefacts {
public:
    /// The folder is made when the first value is put.
    explicit Artefacts(std::filesystem::path root);

    /// Stores a JSON text; durable when it returns. Lists are stored an item a line with an index.
    /// Throws Error(limit) over limits::artefact_bytes, Error(unavailable) if it cannot be written.
    ArtefactRef put(std::string_view json);
    /// A list by its items, each a JSON text.
    ArtefactRef put_items(const std::vector<std::string>& items);
    /// The JSON text. Throws Error(not_found) when the file is gone.
    [[nodiscard]] std::string get(const ArtefactRef& ref) const;
    /// Item `index` of a list, read without the others. Throws Error(not_found) beyond its end.
    [[nodiscard]] std::string get_item(const ArtefactRef& ref, std::int64_t index) const;

    /// A value over limits::inline_value_bytes becomes a reference to its artefact. So does one
    /// that looks like a reference, which is why no task can forge one.
    std::string spill(std::string json);
    [[nodiscard]] std::string resolve(std::string value) const;

    /// Not to be swept until it is let go as often as it was held: of an attempt that still runs.
    void hold(const std::string& hash);
    /// Also makes it young again: its commit follows soon.
    void let_go(const std::string& hash);

    /// Removes files that are older than `age` and that nobody holds or counts: `counted` is asked
    /// for some hashes at a time and gives back those in use. Returns how many went.
    using Counted = std::function<std::set<std::string>(const std::vector<std::string>&)>;
    std::size_t sweep(Duration age, const Counted& counted);

private:
    [[nodiscard]] std::filesystem::path path_of(const ArtefactRef& ref) const;
    ArtefactRef store(ArtefactRef ref, std::string_view content, std::string_view index);
    bool remove_if_idle(const std::filesystem::path& path, const std::string& hash, Duration age);

    const std::filesystem::path root_;
    std::mutex mutex_;                 // guards held_, and that no file is swept while it is put
    std::map<std::string, int> held_;  // by hash
};

}  // namespace sluice
