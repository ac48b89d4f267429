"""Tests of what make calls around the pipeline."""
