"""Tests of vanishing/judging."""
