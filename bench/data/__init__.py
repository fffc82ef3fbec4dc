"""Benchmarks of the data plane, side by side with the same work done otherwise."""
