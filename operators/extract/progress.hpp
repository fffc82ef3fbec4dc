// progress.hpp — how far a source has been read, for `incremental` by cursor and by files. Each
// slice of the data set says in the ledger what it read, in the commit that makes it live: so what
// is read and what is known to be read are never two things. A run looks at the slices before and
// behind its own; it may be repeated or come out of order.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "task/context.hpp"

namespace sluice::extract {

/// Everything up to a value, and of the rows with that value those with these keys.
struct CursorBound {
    std::string value;              // as the engine writes it
    std::vector<std::string> keys;  // JSON arrays of texts
    friend bool operator==(const CursorBound&, const CursorBound&) = default;
};

/// What a slice read: behind `from`, up to `to`. None = from the very beginning; nothing was there.
struct CursorRange {
    std::optional<CursorBound> from;
    std::optional<CursorBound> to;
    friend bool operator==(const CursorRange&, const CursorRange&) = default;
};

/// One live slice of the data set.
struct ReadSlice {
    std::string place;  // sorts by time
    nlohmann::json read;
};

/// The live slices of the data set but the one of this attempt, in order, that say what they read.
std::vector<ReadSlice> read_slices(task::TaskContext& context, const std::string& dataset);
/// Where this attempt's slice stands among them.
std::string own_place(task::TaskContext& context, const std::string& dataset);

/// What a run may read: behind what earlier slices have, up to where the next one began. `none`:
/// a later slice has read from the very beginning.
struct CursorWindow {
    CursorRange range;
    bool bounded{false};  // `range.to` is the next slice's beginning
    bool none{false};
};
CursorWindow window_of(
    const std::vector<ReadSlice>& slices, const std::string& place, const std::string& column
);

nlohmann::json to_json(const std::string& column, const CursorRange& range);

/// Path -> fingerprints of the versions that have been read.
using FilesRead = std::map<std::string, std::vector<nlohmann::json>>;
FilesRead known_files(const std::vector<ReadSlice>& slices);

}  // namespace sluice::extract
