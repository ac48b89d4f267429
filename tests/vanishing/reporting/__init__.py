"""Tests of vanishing/reporting."""
