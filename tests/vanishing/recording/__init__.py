"""Tests of vanishing/recording."""
