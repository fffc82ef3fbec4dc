// storage.hpp — where the files of the lake lie: in a folder, or in a bucket of an object store.
// The engine reads and writes local files only; what that means is the storage's business. Paths
// ("raw/orders/dt=.../g=.../part-0.parquet") are relative to the lake's root. What is written is
// new each time: nothing is renamed or replaced, and nothing depends on what a list shows.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "task/context.hpp"

namespace sluice::lake {

class Storage {
public:
    Storage() = default;
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;
    virtual ~Storage() = default;

    /// An empty local folder for the files of a new generation.
    virtual std::filesystem::path begin(const std::string& folder) = 0;
    /// These files of begin()'s folder are in the lake, whole and durably, when this returns.
    virtual void finish(const std::string& folder, const std::vector<std::string>& names) = 0;
    /// Nothing of the folder is left, as far as that can be had: nobody knows of it yet.
    virtual void drop(const std::string& folder) noexcept = 0;

    /// Local paths of these files, for the engine, until they are closed. Throws Failure if one is
    /// not there or if there is no room for it.
    virtual std::vector<std::string> open(const std::vector<std::string>& files) = 0;
    virtual void close(const std::vector<std::string>& files) noexcept = 0;
    /// Throws Failure(permanent) that says why if it is not there.
    virtual std::int64_t bytes(const std::string& file) = 0;

    /// A small file, old or new and never half: a report.
    virtual void put(const std::string& file, const std::string& bytes) = 0;

    /// Removes a generation's folder ("raw/orders/dt=.../g=..."). One that is not there is fine.
    /// Throws Error(internal) for a path that is no generation's, Failure if it cannot.
    virtual void remove_folder(const std::string& folder) = 0;
    /// Folders of generations of this data set that are there and not in `known`, not changed since
    /// `before`; in order.
    virtual std::vector<std::string> unknown_folders(
        const std::string& dataset, const std::set<std::string>& known, Instant before
    ) = 0;

    /// What all keys of the lake begin with in its bucket ("a/b/"); "" in a folder.
    [[nodiscard]] virtual std::string prefix() const = 0;
    /// The bucket's lifecycle configuration, XML; "" = none. Throws Failure(permanent) if the lake
    /// is a folder.
    virtual std::string lifecycle() = 0;
    virtual void put_lifecycle(const std::string& xml) = 0;
};

/// The context's lake. Throws Error(invalid) if its connection is none that a lake can lie in.
std::unique_ptr<Storage> open_storage(task::TaskContext& context);

/// A local folder for what is no part of the lake and outlives an attempt (the spool of an HTTP
/// source): that of a local lake, else the one that the daemon has for the connection.
std::filesystem::path local_home(const task::TaskContext& context);

/// Files that are open as long as this lives.
class OpenFiles {
public:
    OpenFiles(Storage& storage, std::vector<std::string> files);
    ~OpenFiles() { storage_.close(files_); }
    OpenFiles(const OpenFiles&) = delete;
    OpenFiles& operator=(const OpenFiles&) = delete;

    /// SQL: their rows as one relation, columns united by name. There is at least one file.
    [[nodiscard]] std::string relation() const;

private:
    Storage& storage_;
    std::vector<std::string> files_;
    std::vector<std::string> paths_;
};

/// SQL that reads Parquet files.
std::string parquet_relation(const std::vector<std::string>& paths);

/// "raw/orders" of "raw.orders".
std::string dataset_folder(const std::string& dataset);
/// Throws Error(internal) if it is no generation's folder, or outside the lake.
void check_generation_folder(const std::string& folder);

}  // namespace sluice::lake
