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
    /// From now on starts nothing: attempts under way may end. Then `drained`.
    void drain();
    [[nodiscard]] bool drained() const;
    /// True when the loop cannot go on: the lease was lost where nobody can stand by, or worse.
    [[nodiscard]] bool deposed() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
