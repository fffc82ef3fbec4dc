// generation_file.hpp — the Parquet file of a new generation.
#pragma once

#include <cstdint>
#include <string>

#include "operators/engine/content_hash.hpp"
#include "operators/engine/database.hpp"
#include "operators/lake/slice.hpp"
#include "operators/lake/storage.hpp"

namespace sluice::lake {

/// Rows and content hash (operators.md 3) of a relation that has `_sluice_row_hash`.
struct Content {
    std::int64_t rows{};
    std::string hash;
};
Content content_of(engine::Database& database, const std::string& relation);

/// A file in a folder that is made for it and gone again unless it is kept.
class GenerationFile {
public:
    GenerationFile(Storage& storage, std::string folder);
    GenerationFile(const GenerationFile&) = delete;
    GenerationFile& operator=(const GenerationFile&) = delete;
    ~GenerationFile();

    /// Who is told how far the writing is.
    struct Watched {
        task::TaskContext& context;
        std::string what;
        std::int64_t rows{-1};  // that will be written; -1 = unknown
    };

    /// Writes the query's rows (Parquet, zstd) and waits until they are safe. The query has
    /// `_sluice_row_hash`; a sum that it added every row's to saves reading them back.
    Written write(
        engine::Database& database,
        const std::string& query,
        const Watched* watched = nullptr,
        const engine::ContentSum* sum = nullptr
    );
    /// The ledger's `files`: a JSON array of {path, rows, bytes}.
    [[nodiscard]] std::string listed(const Written& written) const;
    void keep() { kept_ = true; }

private:
    Storage& storage_;
    std::string folder_;
    bool kept_{false};
};

}  // namespace sluice::lake
