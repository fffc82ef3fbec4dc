// config.hpp — the settings of a daemon, from the command line and the environment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/instant.hpp"

namespace sluice {

struct Config {
    std::filesystem::path home{".sluice"};
    std::string address{"127.0.0.1"};
    std::uint16_t port{8080};
    std::filesystem::path dags;     // empty = HOME/dags
    std::filesystem::path web_dir;  // empty = the embedded dashboard
    std::string database_url;       // empty = the home's private PostgreSQL
    int parallelism{128};           // attempts at once
    int threads{0};                 // of the task pool; 0 = chosen from parallelism and cores
    bool dags_are_paused_at_creation{true};
    /// How long a new owner waits for the file of a DAG that it knows before the DAG is stale.
    Duration dag_stale_after{std::chrono::minutes{5}};
    Duration retention_runs{};  // run state older than this goes; 0 = it is kept for ever
    std::string advertise;      // where other daemons reach this one; empty = by address and port
    Duration lease{std::chrono::seconds{3}};
    Duration drain{std::chrono::seconds{5}};  // running attempts may end in this time at a stop
    std::string log_level{"info"};
};

/// Path of the running binary: what workers are started from.
std::string program();

/// Totals of the built-in pools: cores, and 70 % of memory or of the container's limit.
int machine_cores();
std::int64_t machine_memory_mb();

}  // namespace sluice
