// instance.hpp — a whole daemon: builds and joins all objects, serves until told to stop.
#pragma once

#include <memory>
#include <string>

#include "config.hpp"

namespace sluice {

class Instance {
public:
    /// Starts everything: home, private PostgreSQL (unless a database URL is given), recovery, DAG
    /// folder, HTTP server. Throws Error with what is in the way (home taken, port in use, ...).
    explicit Instance(const Config& config);
    /// Stops in the reverse order: no new work, attempts lost, PostgreSQL down.
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    [[nodiscard]] const std::string& url() const;
    /// True when the lease was lost: somebody else owns the run state now.
    [[nodiscard]] bool deposed() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
