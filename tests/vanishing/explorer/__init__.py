"""Tests of vanishing/explorer."""
