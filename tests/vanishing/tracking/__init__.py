"""Tests of vanishing/tracking."""
