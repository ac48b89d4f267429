"""Tests of vanishing.comparing."""
