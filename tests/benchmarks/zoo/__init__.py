"""Tests of benchmarks/zoo."""
