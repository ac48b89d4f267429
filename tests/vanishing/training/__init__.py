"""Tests of vanishing/training."""
