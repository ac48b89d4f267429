"""Tests of vanishing/stats."""
