"""Tests of vanishing/gate."""
