"""The tests; they mirror stages/ and tools/ path for path."""
