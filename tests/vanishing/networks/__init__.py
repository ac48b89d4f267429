"""Tests of vanishing/networks."""
