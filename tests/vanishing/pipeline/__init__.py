"""Tests of vanishing/pipeline."""
