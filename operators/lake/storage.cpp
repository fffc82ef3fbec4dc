#include "operators/lake/storage.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/connect/aws_settings.hpp"
#include "operators/connect/files.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/local_storage.hpp"
#include "operators/lake/s3_storage.hpp"

namespace sluice::lake {

namespace fs = std::filesystem;

std::unique_ptr<Storage> open_storage(task::TaskContext& context) {
    const task::Connection connection = context.connection(context.lake_connection());
    if (connection.type == "fs")
        return std::make_unique<LocalStorage>(connect::folder_of(connection));
    if (connect::is_object_store(connection))
        return std::make_unique<S3Storage>(context, connection);
    throw Error(
        ErrorCode::invalid,
        "connection \"" + connection.id + "\" is of type \"" + connection.type +
            "\": a lake lies in a folder (fs) or an object store (s3, aws)"
    );
}

fs::path local_home(const task::TaskContext& context) {
    const task::Connection connection = context.connection(context.lake_connection());
    if (!connect::is_object_store(connection)) return connect::folder_of(connection);
    const auto extra = nlohmann::json::parse(connection.extra, nullptr, false);
    if (extra.is_object() && extra.contains("local_folder") && extra["local_folder"].is_string())
        return extra["local_folder"].get<std::string>();
    return context.scratch();
}

OpenFiles::OpenFiles(Storage& storage, std::vector<std::string> files)
    : storage_(storage), files_(std::move(files)), paths_(storage_.open(files_)) {}

std::string OpenFiles::relation() const { return parquet_relation(paths_); }

std::string parquet_relation(const std::vector<std::string>& paths) {
    return "read_parquet(" + engine::literal_list(paths) +
           ", union_by_name = true, hive_partitioning = false)";
}

std::string dataset_folder(const std::string& dataset) {
    const auto dot = dataset.find('.');
    return dataset.substr(0, dot) + '/' + dataset.substr(dot + 1);
}

void check_generation_folder(const std::string& folder) {
    const fs::path relative = fs::path(folder).lexically_normal();
    const bool inside = relative.is_relative() && *relative.begin() != "..";
    if (!inside || !relative.filename().string().starts_with("g="))
        throw Error(ErrorCode::internal, '"' + folder + "\" is no generation's folder");
}

}  // namespace sluice::lake
