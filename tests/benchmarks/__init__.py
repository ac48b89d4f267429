"""Tests of benchmarks that are packages; those of modules are test_benchmarks*.py."""
