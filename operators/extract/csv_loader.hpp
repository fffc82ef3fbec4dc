// csv_loader.hpp — CSV files into tables of the engine, one for each distinct header; broken lines
// into sluice_rejects, which must exist.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "operators/extract/source.hpp"

namespace sluice::extract {

class CsvLoader {
public:
    CsvLoader(task::TaskContext& context, engine::Database& database, const Request& request);
    ~CsvLoader();
    CsvLoader(const CsvLoader&) = delete;
    CsvLoader& operator=(const CsvLoader&) = delete;

    /// `read` fills a buffer and returns the bytes, 0 at the end.
    void load(const std::string& name, const std::function<std::size_t(char*, std::size_t)>& read);
    /// What all files have given.
    Extracted finish();

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::extract
