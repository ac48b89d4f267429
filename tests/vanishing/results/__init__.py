"""Tests of vanishing/results."""
