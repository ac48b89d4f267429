"""Tests of vanishing/theory."""
