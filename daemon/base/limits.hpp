// limits.hpp — every limit of Sluice, in one table. A limit that is hit is an error with its name
// in it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::limits {

inline constexpr std::size_t dag_file_bytes = 4U << 20;
inline constexpr std::size_t dag_file_depth = 64;
inline constexpr std::size_t tasks_per_dag = 100'000;
inline constexpr std::size_t run_id_bytes = 250;
inline constexpr std::size_t dag_id_bytes = 250;
inline constexpr std::size_t log_line_bytes = 64U << 10;
inline constexpr std::size_t error_text_bytes = 4U << 10;
inline constexpr std::size_t inline_value_bytes = 64U << 10;  // XCom, conf, rendered field
inline constexpr std::size_t artefact_bytes = 64U << 20;      // a value over the line above
inline constexpr std::size_t frame_bytes = 1U << 20;          // worker protocol
inline constexpr std::size_t message_bytes = 64U << 20;       // of several frames
inline constexpr std::size_t request_body_bytes = 8U << 20;
inline constexpr std::size_t request_header_bytes = 32U << 10;
inline constexpr std::size_t api_queue_events =
    20'000;  // commands waiting for the loop; more = 429
inline constexpr std::size_t connections = 1'024;
inline constexpr std::size_t page_rows = 100;        // Airflow's maximum_page_limit
inline constexpr std::size_t report_rows = 100'000;  // of one query
inline constexpr std::size_t backfill_runs = 100'000;
inline constexpr std::int32_t max_lost_attempts = 10;
inline constexpr std::size_t path_component_bytes = 255;

}  // namespace sluice::limits
