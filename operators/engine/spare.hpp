// spare.hpp — an instance of the engine that is opened before it is known what for.
#pragma once

namespace sluice::engine {

/// Opens an instance with one thread, none of them its own, for the first Database of this process
/// or of a copy of it: that one then sets what its options say. Draws no random numbers: those of
/// two copies differ.
void open_spare();

}  // namespace sluice::engine
