#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include "tests/source_dir.hpp"

const char* const sluice_source_dir = SLUICE_SOURCE_DIR;
