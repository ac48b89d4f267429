"""Tests of vanishing/theory/network."""
