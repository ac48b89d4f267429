"""Tests of vanishing/explaining."""
