"""Tests of vanishing/datasets."""
