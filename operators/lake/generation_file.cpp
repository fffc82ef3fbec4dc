#include "operators/lake/generation_file.hpp"

#include <filesystem>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "operators/engine/content_hash.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/progress.hpp"

namespace sluice::lake {

namespace {

constexpr const char* name = "part-0.parquet";

/// To look for dictionaries of tens of thousands of values is a fifth of the writing. Room for
/// them is made for each column before its values are known: not for thousands of columns.
constexpr std::size_t columns_of_limited_dictionaries = 100;

/// The encodings of Parquet's version 2 (differences of numbers, texts behind their lengths) take a
/// quarter off the writing and a third off the reading, and files are smaller. A higher level of
/// zstd costs twice the time for a hundredth of the size: hashes have no pattern.
std::string parquet_options(std::size_t columns) {
    std::string options =
        "format parquet, parquet_version v2, compression zstd, compression_level 1";
    if (columns <= columns_of_limited_dictionaries) options += ", dictionary_size_limit 4096";
    return " (" + options + ")";
}

}  // namespace

Content content_of(engine::Database& database, const std::string& relation) {
    const auto sums =
        database
            .query(
                "select count(*), " + std::string(engine::content_hash_pieces) + " from " + relation
            )
            .rows.at(0);
    return {
        std::get<std::int64_t>(sums.at(0)),
        engine::content_hash(
            {engine::to_text(sums.at(1)),
             engine::to_text(sums.at(2)),
             engine::to_text(sums.at(3)),
             engine::to_text(sums.at(4))}
        )
    };
}

GenerationFile::GenerationFile(Storage& storage, std::string folder)
    : storage_(storage), folder_(std::move(folder)) {}

GenerationFile::~GenerationFile() {
    if (!kept_) storage_.drop(folder_);
}

Written GenerationFile::write(
    engine::Database& database,
    const std::string& query,
    const Watched* watched,
    const engine::ContentSum* sum
) {
    const std::filesystem::path folder = storage_.begin(folder_);
    const std::filesystem::path file = folder / name;
    const std::string path = engine::literal(file.string());
    std::int64_t rows = 0;
    {
        std::optional<Watch> watch;
        if (watched != nullptr)
            watch.emplace(
                watched->context, database, watched->what, watched->rows, folder.string()
            );
        rows = database.execute(
            "copy (" + query + ") to " + path + parquet_options(database.describe(query).size())
        );
    }
    Content content;
    if (sum != nullptr && sum->rows() == rows) {
        content = {rows, sum->hash()};
    } else {
        content = content_of(database, "read_parquet(" + path + ")");
    }
    Written written{
        .rows = content.rows,
        .bytes = static_cast<std::int64_t>(std::filesystem::file_size(file)),
        .files = 1,
        .content_hash = std::move(content.hash),
    };
    storage_.finish(folder_, {name});
    return written;
}

std::string GenerationFile::listed(const Written& written) const {
    return nlohmann::json::array(
               {{{"path", folder_ + '/' + name}, {"rows", written.rows}, {"bytes", written.bytes}}}
    ).dump();
}

}  // namespace sluice::lake
