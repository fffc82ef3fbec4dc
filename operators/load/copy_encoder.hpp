// copy_encoder.hpp — chunks of the engine as PostgreSQL's binary COPY. Pure.
#pragma once

#include <string>

#include "operators/engine/chunk.hpp"

namespace sluice::load {

/// The bytes before the first row and after the last.
std::string copy_header();
std::string copy_trailer();

/// Appends every row of the chunk to `out`. The columns of the table must have the types that
/// engine::postgres_type() gives for the chunk's.
void encode(const engine::Chunk& chunk, std::string& out);

}  // namespace sluice::load
