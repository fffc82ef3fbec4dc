// source_dir.hpp — where the repository lies, for tests that read its files.
#pragma once

/// Absolute path without a slash at the end. One file knows it (catch_main.cpp), so that the
/// objects of all other tests are the same in every work tree.
extern const char* const sluice_source_dir;
